// One whole life of a namespace, as a program on the AWS SDK for JavaScript v3 lives it. Prints what it saw as JSON.
import {
  CreatePrivateDnsNamespaceCommand,
  CreateServiceCommand,
  DeleteNamespaceCommand,
  DeleteServiceCommand,
  DeregisterInstanceCommand,
  DiscoverInstancesCommand,
  DiscoverInstancesRevisionCommand,
  GetInstancesHealthStatusCommand,
  GetOperationCommand,
  ListTagsForResourceCommand,
  RegisterInstanceCommand,
  ServiceDiscoveryClient,
  UpdateInstanceCustomHealthStatusCommand,
  paginateListInstances,
} from "@aws-sdk/client-servicediscovery";

const [endpoint, accessKeyId, secretAccessKey] = process.argv.slice(2);
const client = new ServiceDiscoveryClient({
  endpoint,
  region: "eu-west-1",
  credentials: { accessKeyId, secretAccessKey },
  disableHostPrefix: true,
  maxAttempts: 1,
});
const seen = {};

async function operation(promise) {
  const { OperationId } = await promise;
  const { Operation } = await client.send(new GetOperationCommand({ OperationId }));
  return Operation;
}

async function refusal(command) {
  try {
    await client.send(command);
  } catch (error) {
    return { name: error.name, status: error.$metadata.httpStatusCode, message: error.message, is: error.$fault };
  }
  return null;
}

const created = await operation(
  client.send(
    new CreatePrivateDnsNamespaceCommand({ Name: "js.internal", Vpc: "vpc-1", Tags: [{ Key: "from", Value: "js" }] }),
  ),
);
seen.created = { status: created.Status, type: created.Type, isDate: created.CreateDate instanceof Date };
const NamespaceId = created.Targets.NAMESPACE;

const { Service } = await client.send(
  new CreateServiceCommand({
    Name: "web",
    NamespaceId,
    DnsConfig: { DnsRecords: [{ Type: "A", TTL: 5 }] },
    HealthCheckCustomConfig: { FailureThreshold: 1 },
  }),
);
seen.again = await refusal(new CreateServiceCommand({ Name: "WEB", NamespaceId, CreatorRequestId: "another" }));

for (const number of [1, 2, 3]) {
  const Attributes = { AWS_INSTANCE_IPV4: `192.0.2.${number}` };
  await operation(
    client.send(new RegisterInstanceCommand({ ServiceId: Service.Id, InstanceId: `i-${number}`, Attributes })),
  );
}
const pages = paginateListInstances({ client, pageSize: 2 }, { ServiceId: Service.Id });
seen.pages = [];
for await (const page of pages) {
  seen.pages.push(page.Instances.map((each) => each.Id));
}

await client.send(
  new UpdateInstanceCustomHealthStatusCommand({ ServiceId: Service.Id, InstanceId: "i-2", Status: "UNHEALTHY" }),
);
const health = await client.send(new GetInstancesHealthStatusCommand({ ServiceId: Service.Id }));
seen.health = health.Status;
const where = { NamespaceName: "js.internal", ServiceName: "web" };
const found = await client.send(new DiscoverInstancesCommand({ ...where, HealthStatus: "HEALTHY" }));
seen.healthy = found.Instances.map((each) => each.Attributes.AWS_INSTANCE_IPV4).sort();
const revision = await client.send(new DiscoverInstancesRevisionCommand(where));
seen.sameRevision = revision.InstancesRevision === found.InstancesRevision;
const tags = await client.send(
  new ListTagsForResourceCommand({ ResourceARN: Service.Arn.replace(/service\/.*/, `namespace/${NamespaceId}`) }),
);
seen.tags = tags.Tags;

seen.inUse = await refusal(new DeleteServiceCommand({ Id: Service.Id }));
seen.missing = await refusal(new DeregisterInstanceCommand({ ServiceId: Service.Id, InstanceId: "i-9" }));
for (const number of [1, 2, 3]) {
  await operation(client.send(new DeregisterInstanceCommand({ ServiceId: Service.Id, InstanceId: `i-${number}` })));
}
await client.send(new DeleteServiceCommand({ Id: Service.Id }));
seen.deleted = (await operation(client.send(new DeleteNamespaceCommand({ Id: NamespaceId })))).Status;
seen.gone = await refusal(new DiscoverInstancesCommand(where));

console.log(JSON.stringify(seen));
