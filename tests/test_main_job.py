"""A message written through the balancer arrives on real channels, by a worker that was found by DNS."""

import json
import subprocess
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.conftest import CHECKOUT, Mailbox, Platform, WebhookReceiver, eventually

FINAL = {"completed", "partially_failed", "failed", "cancelled"}


def call(platform: Platform, path: str, body: object = None) -> tuple[int, dict[str, str], Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(platform.url + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, dict(answer.headers), json.loads(answer.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, dict(refusal.headers), json.loads(refusal.read())


def settled(platform: Platform, message_id: str) -> dict[str, Any]:
    """Return a message once nothing more will happen to it."""

    def look() -> dict[str, Any] | None:
        message = call(platform, f"/v1/messages/{message_id}")[2]
        return dict(message) if message["status"] in FINAL else None

    return dict(eventually(look, what=f"message {message_id} is settled"))


def test_a_message_arrives_on_both_channels(
    platform: Platform, webhooks: WebhookReceiver, mailbox: tuple[Mailbox, str]
) -> None:
    recipients = [
        {"channel": "webhook", "address": webhooks.url},
        {"channel": "email", "address": "ada@example.com"},
    ]
    status, headers, posted = call(
        platform, "/v1/messages", {"subject": "Launch", "body": "We are live.", "recipients": recipients}
    )
    assert status == 202
    assert headers["location"] == f"/v1/messages/{posted['id']}"
    assert [(each["channel"], each["address"]) for each in posted["deliveries"]] == [
        (each["channel"], each["address"]) for each in recipients
    ]
    message = settled(platform, posted["id"])
    assert message["status"] == "completed"
    assert [(each["status"], each["attempts"], each["last_error"]) for each in message["deliveries"]] == [
        ("delivered", 1, None),
        ("accepted", 1, None),
    ]
    ((_, hook),) = webhooks.about("Launch")
    by_webhook = message["deliveries"][0]["id"]
    assert hook == {
        "id": by_webhook,
        "message_id": posted["id"],
        "subject": "Launch",
        "body": "We are live.",
        "attempt": 1,
        "webhook-id": by_webhook,
    }
    _, to, mail = mailbox[0].mails.get(timeout=5)
    assert to == ["ada@example.com"]
    assert mail["Subject"] == "Launch"
    assert mail["From"] == "news@example.com"
    assert "We are live." in str(mail.get_payload(decode=True).decode())  # type: ignore[union-attr]


def test_a_message_for_later_arrives_when_it_is_due(
    platform: Platform, webhooks: WebhookReceiver, mailbox: tuple[Mailbox, str]
) -> None:
    due = datetime.now(UTC) + timedelta(seconds=2)
    recipients = [
        {"channel": "webhook", "address": webhooks.url},
        {"channel": "email", "address": "bob@example.com"},
    ]
    body = {"subject": "Later", "body": "Now.", "send_at": due.isoformat(), "recipients": recipients}
    _, _, posted = call(platform, "/v1/messages", body)
    assert posted["status"] == "scheduled"
    assert {each["status"] for each in posted["deliveries"]} == {"scheduled"}
    assert settled(platform, posted["id"])["status"] == "completed"
    ((hooked_at, _),) = webhooks.about("Later")
    mailed_at, to, _ = mailbox[0].mails.get(timeout=5)
    assert to == ["bob@example.com"]
    for arrived in (hooked_at, mailed_at):
        assert due <= arrived <= due + timedelta(seconds=1)


def test_messages_are_listed_newest_first(platform: Platform, webhooks: WebhookReceiver) -> None:
    recipients = [{"channel": "webhook", "address": webhooks.url}]
    posted = [
        call(platform, "/v1/messages", {"subject": f"List {n}", "body": "x", "recipients": recipients})[2]["id"]
        for n in range(3)
    ]
    for message_id in posted:
        settled(platform, message_id)
    first = call(platform, "/v1/messages?status=completed&limit=2")[2]
    assert [each["id"] for each in first["items"]] == [posted[2], posted[1]]
    second = call(platform, f"/v1/messages?status=completed&limit=2&cursor={first['next']}")[2]
    assert second["items"][0]["id"] == posted[0]


def test_bad_input_is_refused_by_field_and_stores_nothing(platform: Platform) -> None:
    before = call(platform, "/v1/messages")[2]
    bad = {"subject": 7, "recipients": [{"channel": "pigeon", "address": "loft"}], "send_at": "tomorrow", "extra": 1}
    status, headers, problem = call(platform, "/v1/messages", bad)
    assert status == 422
    assert headers["content-type"].startswith("application/problem+json")
    named = json.dumps(problem)
    for member in ("subject", "body", "send_at", "extra", "recipients"):
        assert member in named
    assert call(platform, "/v1/messages")[2] == before
    assert call(platform, "/v1/messages/unknown")[0] == 404


def test_the_channels_say_how_they_are(platform: Platform) -> None:
    items = {each["name"]: each for each in call(platform, "/v1/channels")[2]["items"]}
    assert items["webhook"]["configured"]
    assert items["email"]["configured"]


def test_direct_calls_spread_over_all_workers(platform: Platform) -> None:
    workers = {task["address"] for task in platform.tasks("worker")}
    assert len(workers) == 3
    seen = set()
    for number in range(30):
        status, _, answer = call(platform, f"/v1/echo-worker?text=hello{number}")
        assert status == 200
        assert answer["text"] == f"hello{number}"
        seen.add(answer["worker"])
    assert seen == workers


def test_dns_answers_every_healthy_worker_in_random_order(platform: Platform) -> None:
    expected = {task["address"].partition(":")[0] for task in platform.tasks("worker")}
    for tcp in (False, True):
        answer = platform.ask_dns("worker.secure-api.local", tcp=tcp)
        assert answer.flags & 0x0400  # authoritative
        (rrset,) = answer.answer
        assert rrset.ttl == 2
        assert {record.to_text() for record in rrset} == expected
    orders = {tuple(platform.answered("worker")) for _ in range(60)}
    assert len({order[0] for order in orders}) == 3
    assert platform.ask_dns("worker.secure-api.local", "SRV").rcode() == 0
    assert platform.ask_dns("worker.secure-api.local", "AAAA").authority[0].rdtype == 6  # SOA: no such record here
    assert platform.ask_dns("nobody.secure-api.local").rcode() == 3  # NXDOMAIN
    assert platform.ask_dns("example.com").rcode() == 5  # REFUSED


def test_the_aws_command_line_sees_what_boto3_sees(platform: Platform) -> None:
    found = platform.cloudmap().discover_instances(NamespaceName="secure-api.local", ServiceName="worker")
    command = [
        CHECKOUT / ".venv/bin/aws",
        *("servicediscovery", "discover-instances", "--namespace-name", "secure-api.local"),
        *("--service-name", "worker", "--region", "us-east-1", "--output", "json"),
    ]
    environment = {
        "PATH": "/usr/bin:/bin",
        "AWS_ENDPOINT_URL_SERVICEDISCOVERY": f"http://{platform.address('http')}",
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_ACCESS_KEY_ID": "anyone",
        "AWS_SECRET_ACCESS_KEY": "anything",
    }
    told = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True, timeout=30).stdout)
    assert {each["InstanceId"] for each in told["Instances"]} == {each["InstanceId"] for each in found["Instances"]}
    assert len(told["Instances"]) == 3


def test_the_command_line_finds_the_platform_by_its_state_directory(platform: Platform) -> None:
    workers = {task["address"].partition(":")[0] for task in platform.tasks("worker")}
    told = json.loads(platform.waypost("resolve", "worker.secure-api.local", "--output", "json").stdout)
    assert {row["answer"] for row in told if row["type"] == "A"} == workers
    assert {row["answer"] for row in told if row["type"] == "SRV"} == {"no data"}
    listed = json.loads(platform.waypost("instances", "worker.secure-api.local", "--output", "json").stdout)
    assert {(row["health"], row["address"].partition(":")[0]) for row in listed} == {("HEALTHY", x) for x in workers}
    platform.waypost("wait", "worker.secure-api.local", "--for", "visible", "--count", "3")


def test_no_address_is_written_into_a_task_but_its_own(platform: Platform) -> None:
    for task in platform.tasks("api"):
        with open(f"/proc/{task['pid']}/environ", "rb") as file:
            environment = dict(item.split("=", 1) for item in file.read().decode().split("\0") if "=" in item)
        assert environment["WORKER_SERVICE_HOST"] == "worker.secure-api.local"
        assert environment["SERVICE_NAMESPACE"] == "secure-api.local"
        assert f"{environment['SERVICE_ADDRESS']}:{environment['SERVICE_PORT']}" == task["address"]
        others = [each["address"].partition(":")[0] for each in platform.tasks("worker")]
        assert not any(address in value for value in environment.values() for address in others)


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/health", "/health/ready"])
def test_the_api_shows_itself_through_the_balancer(platform: Platform, path: str) -> None:
    with urllib.request.urlopen(platform.url + path, timeout=10) as answer:
        assert answer.status == 200
