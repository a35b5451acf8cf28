// The same question in the words of other programs. What goes into a shell or into Python is quoted for it.

import { copyButton, h } from "./dom.js";

const shell = (text) => (/^[A-Za-z0-9_.:/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
const python = (text) => JSON.stringify(text);

/** Return commands that ask what the page shows. */
export function questions(ask) {
  const endpoint = location.origin;
  const found = [];
  if (ask.name && ask.type && ask.dns) {
    const at = ask.dns.lastIndexOf(":");
    const host = ask.dns.slice(0, at).replace(/^\[|\]$/g, "").replace(/^0\.0\.0\.0$/, "127.0.0.1");
    found.push(["dig", `dig @${host} -p ${ask.dns.slice(at + 1)} ${shell(ask.name)} ${ask.type}`]);
  }
  found.push(["AWS CLI", [
    `AWS_ACCESS_KEY_ID=${shell(ask.access_key)} AWS_SECRET_ACCESS_KEY=… AWS_DISABLE_HOST_PREFIX_INJECTION=true \\`,
    `aws servicediscovery discover-instances --endpoint-url ${shell(endpoint)} --region ${shell(ask.region)} \\`,
    `  --namespace-name ${shell(ask.namespace)} --service-name ${shell(ask.service)}`].join("\n")]);
  found.push(["boto3", [
    "import boto3",
    "from botocore.config import Config",
    "",
    "client = boto3.client(",
    `    "servicediscovery", endpoint_url=${python(endpoint)}, region_name=${python(ask.region)},`,
    `    aws_access_key_id=${python(ask.access_key)}, aws_secret_access_key="…",`,
    "    config=Config(inject_host_prefix=False),",
    ")",
    `client.discover_instances(NamespaceName=${python(ask.namespace)}, ServiceName=${python(ask.service)})`].join("\n")]);
  found.push(["waypost", `waypost explain ${shell(ask.name ?? `${ask.service}.${ask.namespace}`)}`]);
  return found.map(([name, text]) => h("div", { class: "question" },
    h("h3", null, name), copyButton(text, name), h("pre", { tabindex: "0", role: "region", "aria-label": name }, text)));
}
