"""A registry with access keys, and the hosts under which one without them answers, over real sockets."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.loaders import Loader

from waypost.apis.cloudmap.gate import READS, UNBOUND, WRITES

SECRET = "a secret that is long enough"
KEYS = f"""
[AKIDADMIN]
secret = "{SECRET}"

[AKIDTEAM]
secret = "{SECRET}"
read = ["shared.internal"]
write = ["team-a.internal"]

[AKIDELSEWHERE]
secret = "{SECRET}"
account = "210987654321"
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, start_registry: Any) -> Iterator[Any]:
    """Yield a registry with access keys."""
    state = tmp_path_factory.mktemp("guarded")
    (state / "keys.toml").write_text(KEYS)
    yield from start_registry(state, WAYPOST_ACCESS_KEYS_FILE=str(state / "keys.toml"))


@pytest.fixture(scope="module")
def namespaces(guarded: Any) -> dict[str, str]:
    """Make two namespaces with a service each, and return the ids by name."""
    admin = client(guarded)
    made = {}
    for name in ("team-a.internal", "shared.internal", "secret.internal"):
        operation = admin.create_http_namespace(Name=name)["OperationId"]
        made[name] = admin.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]
        service = admin.create_service(Name="web", NamespaceId=made[name])["Service"]
        made[f"web in {name}"] = service["Id"]
        made[f"arn of web in {name}"] = service["Arn"]
    return made


def client(registry: Any, key: str = "AKIDADMIN", secret: str = SECRET) -> Any:
    return boto3.client(
        "servicediscovery",
        endpoint_url=registry.url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}),
    )


def code(call: Any, **input_: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**input_)
    return str(refused.value.response["Error"]["Code"])


def send(
    registry: Any, method: str, path: str, *, host: str | None = None, **headers: str
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(*registry.listener.getsockname(), timeout=30)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", "127.0.0.1" if host is None else host)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    json_ = (answer.getheader("content-type") or "").startswith("application/")
    return answer.status, json.loads(body) if json_ else {}


def test_a_signed_call_is_taken_and_an_unsigned_or_wrong_one_refused(guarded: Any) -> None:
    assert client(guarded).list_namespaces()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert code(client(guarded, secret="another secret, as long").list_namespaces) == "InvalidSignatureException"
    assert code(client(guarded, "AKIDNOBODY").list_namespaces) == "UnrecognizedClientException"
    status, error = send(guarded, "POST", "/")
    assert (status, error["__type"]) == (400, "MissingAuthenticationTokenException")
    status, error = send(guarded, "GET", "/history?namespace=x&service=y")
    assert (status, error["__type"]) == (403, "MissingAuthenticationTokenException")


def test_monitoring_needs_no_key(guarded: Any) -> None:
    assert send(guarded, "GET", "/health")[0] == 200
    assert send(guarded, "GET", "/metrics")[0] == 200
    assert send(guarded, "GET", "/metrics", host="attacker.example")[0] == 403


def test_a_key_has_its_own_account(guarded: Any) -> None:
    client(guarded, "AKIDELSEWHERE").create_http_namespace(Name="elsewhere")
    (found,) = client(guarded, "AKIDELSEWHERE").list_namespaces()["Namespaces"]
    assert ":210987654321:" in found["Arn"]
    assert "elsewhere" not in [each["Name"] for each in client(guarded).list_namespaces()["Namespaces"]]


def test_a_key_reads_and_writes_where_it_may(guarded: Any, namespaces: dict[str, str]) -> None:
    team = client(guarded, "AKIDTEAM")
    own, shared = namespaces["web in team-a.internal"], namespaces["web in shared.internal"]
    team.register_instance(ServiceId=own, InstanceId="i-1", Attributes={"a": "b"})
    assert team.get_instance(ServiceId=own, InstanceId="i-1")["Instance"]["Attributes"] == {"a": "b"}
    assert team.list_instances(ServiceId=shared)["Instances"] == []
    assert team.discover_instances(NamespaceName="shared.internal", ServiceName="web")["Instances"] == []
    assert {each["Name"] for each in team.list_namespaces()["Namespaces"]} == {"team-a.internal", "shared.internal"}
    assert {each["Id"] for each in team.list_services()["Services"]} == {own, shared}


def test_a_key_is_denied_where_it_may_not(guarded: Any, namespaces: dict[str, str]) -> None:
    team = client(guarded, "AKIDTEAM")
    shared, secret = namespaces["web in shared.internal"], namespaces["web in secret.internal"]
    denied = [
        code(team.register_instance, ServiceId=shared, InstanceId="i-1", Attributes={"a": "b"}),
        code(team.delete_service, Id=namespaces["arn of web in shared.internal"]),
        code(team.delete_namespace, Id=namespaces["shared.internal"]),
        code(team.create_service, Name="x", NamespaceId=namespaces["shared.internal"]),
        code(team.create_http_namespace, Name="new.internal"),
        code(team.get_service, Id=secret),
        code(team.list_instances, ServiceId=secret),
        code(team.get_namespace, Id=namespaces["secret.internal"]),
        code(team.discover_instances, NamespaceName="secret.internal", ServiceName="web"),
        code(team.discover_instances_revision, NamespaceName="secret.internal", ServiceName="web"),
    ]
    assert set(denied) == {"AccessDeniedException"}
    assert code(team.get_service, Id="srv-none") == "ServiceNotFound"


def signed(registry: Any, method: str, path: str, key: str) -> tuple[int, dict[str, Any]]:
    url = registry.url + path
    request = AWSRequest(method, url)
    SigV4Auth(Credentials(key, SECRET), "servicediscovery", "us-east-1").add_auth(request)
    headers = {name.replace("-", "_"): value for name, value in request.headers.items()}
    return send(registry, method, path, host=url.removeprefix("http://").partition("/")[0], **headers)


def test_rights_hold_for_the_calls_beyond_cloud_map_too(guarded: Any, namespaces: dict[str, str]) -> None:
    assert signed(guarded, "GET", "/history?namespace=team-a.internal&service=web", "AKIDTEAM")[0] == 200
    status, error = signed(guarded, "GET", "/history?namespace=secret.internal&service=web", "AKIDTEAM")
    assert (status, error["__type"]) == (403, "AccessDeniedException")
    assert signed(guarded, "GET", "/explain?name=web.team-a.internal", "AKIDTEAM")[0] == 200
    for name in ("web.secret.internal", "secret.internal", "web.never.internal"):
        status, error = signed(guarded, "GET", f"/explain?name={name}", "AKIDTEAM")
        assert (status, error["__type"]) == (403, "AccessDeniedException")
    status, error = signed(guarded, "GET", "/watch?namespace=secret.internal&service=web", "AKIDTEAM")
    assert (status, error["__type"]) == (403, "AccessDeniedException")


def test_rights_hold_for_drains_and_leases(guarded: Any, namespaces: dict[str, str]) -> None:
    own, shared = namespaces["web in team-a.internal"], namespaces["web in shared.internal"]
    client(guarded).register_instance(ServiceId=own, InstanceId="a/b", Attributes={"a": "b"})
    client(guarded).register_instance(ServiceId=shared, InstanceId="a/b", Attributes={"a": "b"})
    for call in ("drains", "leases"):
        status, error = signed(guarded, "PUT", f"/{call}/{shared}/a%2Fb", "AKIDTEAM")
        assert (status, error["__type"]) == (403, "AccessDeniedException")
    assert signed(guarded, "PUT", f"/drains/{own}/a%2Fb", "AKIDTEAM")[0] == 200
    assert signed(guarded, "DELETE", f"/drains/{own}/a%2Fb", "AKIDTEAM")[0] == 200


def test_every_operation_of_the_api_is_told_apart_as_a_read_or_a_write() -> None:
    operations = set(Loader().load_service_model("servicediscovery", "service-2")["operations"])
    assert operations == READS | WRITES | UNBOUND
    assert len(READS) + len(WRITES) + len(UNBOUND) == len(operations)


@pytest.mark.parametrize("path", ["/", "/health", "/metrics", "/history?namespace=x&service=y", "/batch"])
def test_an_unsigned_call_under_a_strangers_name_is_refused(shared_registry: Any, path: str) -> None:
    for method in ("GET", "POST"):
        status, error = send(shared_registry, method, path, host="attacker.example")
        assert (status, error["__type"]) == (403, "AccessDeniedException")
        assert "WAYPOST_HOSTS" in error["Message"]


@pytest.mark.parametrize("path", ["/", "/health", "/watch?namespace=x&service=y", "/uix"])
def test_no_web_page_may_call(shared_registry: Any, guarded: Any, path: str) -> None:
    for registry in (shared_registry, guarded):
        for origin in ("https://attacker.example", "null", "http://127.0.0.1:8500"):
            assert send(registry, "POST", path, Origin=origin)[0] == 403
            assert send(registry, "OPTIONS", path, Origin=origin)[0] == 403


def test_data_hosts_are_served(shared_registry: Any) -> None:
    target = "Route53AutoNaming_v20170314.ListNamespaces"
    for host in ("data-127.0.0.1:8500", "data-localhost", "data-servicediscovery.localhost:1", "[::1]:8500", "waypost"):
        assert send(shared_registry, "POST", "/", host=host, X_Amz_Target=target)[0] == 200


def test_a_registry_that_others_reach_wants_keys(tmp_path: Path, start_registry: Any) -> None:
    with pytest.raises(AssertionError, match=r"would take unsigned calls on 0\.0\.0\.0"):
        next(start_registry(tmp_path, address="0.0.0.0"))
    running = start_registry(tmp_path, address="0.0.0.0", WAYPOST_ACCESS_KEYS=f"A:{SECRET}")
    assert send(next(running), "GET", "/health")[0] == 200
    running.close()


def test_an_explicit_word_opens_it_and_rates_limit_its_callers(tmp_path: Path, start_registry: Any) -> None:
    rates = {"WAYPOST_DISCOVER_RATE": "0.001", "WAYPOST_CONTROL_RATE": "1.001"}
    running = start_registry(tmp_path, address="0.0.0.0", WAYPOST_ALLOW_UNSIGNED="1", **rates)
    limited = next(running).client()
    assert code(limited.discover_instances, NamespaceName="x", ServiceName="y") == "RequestLimitExceeded"
    limited.list_namespaces()
    limited.list_services()
    codes = [_code_or_none(limited.list_services) for _ in range(20)]
    assert "ThrottlingException" in codes
    running.close()


def _code_or_none(call: Any) -> str | None:
    try:
        call()
    except ClientError as refused:
        return str(refused.response["Error"]["Code"])
    return None
