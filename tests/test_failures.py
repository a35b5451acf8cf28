"""What is killed, stopped or fed nonsense, and what its users notice of it."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import psutil
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from tests.conftest import Platform, WebhookReceiver, eventually
from tests.test_main_job import call, settled


@pytest.fixture(scope="module")
def platform(own_platform: Platform) -> Platform:
    """Return a platform of this module's own: the others' loses no worker and no api."""
    return own_platform


def test_a_worker_killed_amid_200_messages_loses_and_doubles_nothing(
    platform: Platform, webhooks: WebhookReceiver
) -> None:
    before = {task["instance"]: task for task in platform.tasks("worker")}
    victim = next(iter(before.values()))
    victim_address = victim["address"].partition(":")[0]
    recipients = [{"channel": "webhook", "address": webhooks.url}]

    def post(number: int) -> str:
        status, _, posted = call(
            platform, "/v1/messages", {"subject": "Storm", "body": str(number), "recipients": recipients}
        )
        assert status == 202
        return str(posted["id"])

    with ThreadPoolExecutor(16) as senders:
        posting = [senders.submit(post, number) for number in range(200)]
        eventually(lambda: len(webhooks.about("Storm")) >= 40, what="deliveries are under way")
        os.kill(victim["pid"], signal.SIGKILL)
        killed_at = time.monotonic()
        eventually(lambda: victim_address not in platform.answered("worker"), within_s=1, what="out of DNS")
        assert time.monotonic() - killed_at < 1
        message_ids = [each.result() for each in posting]
    deliveries = [settled(platform, message_id)["deliveries"][0] for message_id in message_ids]
    assert Counter(each["status"] for each in deliveries) == {"delivered": 200}
    arrived = Counter(hook["id"] for _, hook in webhooks.about("Storm"))
    assert set(arrived) == {each["id"] for each in deliveries}
    attempts = {each["id"]: each["attempts"] for each in deliveries}
    for delivery, times in arrived.items():
        # A second arrival is right only where the first attempt died with the worker, its end never recorded.
        assert times == 1 or (times == 2 and attempts[delivery] == 2), (delivery, times, attempts[delivery])

    def replaced() -> bool:
        now = {task["instance"] for task in platform.running("worker")}
        return len(now) == 3 and victim["instance"] not in now

    eventually(replaced, what="a new worker is registered")
    now = {task["address"].partition(":")[0] for task in platform.tasks("worker")}
    assert victim_address not in now
    assert set(platform.answered("worker")) == now


def test_a_graceful_stop_fails_none_of_2000_requests(platform: Platform) -> None:
    one, other = platform.tasks("api")
    failures: list[object] = []
    done = 0
    stopping = threading.Event()

    async def drive() -> None:
        nonlocal done
        limits = httpx2.Limits(max_connections=16)
        async with httpx2.AsyncClient(base_url=platform.url, limits=limits, timeout=10) as client:

            async def ask(_: int) -> None:
                nonlocal done
                try:
                    answer = await client.get("/v1/channels")
                except httpx2.HTTPError as error:
                    failures.append(error)
                else:
                    if answer.status_code != 200:
                        failures.append(answer.status_code)
                done += 1
                if done == 300:
                    stopping.set()

            turns = asyncio.Semaphore(16)

            async def in_turn(number: int) -> None:
                async with turns:
                    await ask(number)

            async with asyncio.TaskGroup() as asking:
                for number in range(2_000):
                    asking.create_task(in_turn(number))
                    if number % 100 == 0:
                        await asyncio.sleep(0.15)  # spreads the requests over the whole of the stop

    def stop() -> None:
        assert stopping.wait(30)
        platform.waypost("stop", one["instance"])

    stopper = threading.Thread(target=stop)
    stopper.start()
    asyncio.run(drive())
    stopper.join(30)
    assert done == 2_000
    assert failures == []
    assert [task["instance"] for task in platform.tasks("api")] == [other["instance"]]
    assert platform.answered("api") == [other["address"].partition(":")[0]]


def test_garbage_for_dns_is_survived(platform: Platform) -> None:
    host, _, port = platform.address("dns").rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for number in range(2_000):
            client.sendto(os.urandom(number % 64), (host, int(port)))
    with socket.create_connection((host, int(port)), 5) as client:
        client.sendall(b"\xff\xff" + os.urandom(2_000))  # a length that never comes
        assert len(platform.answered("worker")) == 3


def test_a_client_that_stops_half_way_holds_up_nobody(platform: Platform) -> None:
    host, _, port = platform.address("balancer").rpartition(":")
    slow = [socket.create_connection((host, int(port)), 5) for _ in range(100)]
    try:
        for client in slow:
            client.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
        assert call(platform, "/v1/channels")[0] == 200
    finally:
        for client in slow:
            client.close()


def test_a_body_of_ten_megabytes_is_refused_clearly(platform: Platform) -> None:
    for target, path, headers in (
        (platform.address("balancer"), "/v1/messages", {"Content-Type": "application/json"}),
        (platform.address("http"), "/", {"X-Amz-Target": "Route53AutoNaming_v20170314.ListNamespaces"}),
    ):
        connection = http.client.HTTPConnection(target, timeout=10)
        with contextlib.suppress(ConnectionError):  # it may have said its word and stopped reading
            connection.request("POST", path, b" " * (10 << 20), headers)
        answer = connection.getresponse()
        assert answer.status == 413
        assert json.loads(answer.read())
        connection.close()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"\\ud800"', b"\xff", b'{"recipients": {}}'])
def test_malformed_json_is_a_problem_that_says_so(platform: Platform, body: bytes) -> None:
    connection = http.client.HTTPConnection(platform.address("balancer"), timeout=10)
    connection.request("POST", "/v1/messages", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status in (400, 422)
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert json.loads(answer.read())["title"]
    connection.close()


@pytest.mark.timeout(150)
def test_a_killed_platform_comes_back_with_all_that_it_acknowledged(started: Callable[..., Platform]) -> None:
    platform = started()
    cloudmap = platform.cloudmap(max_pool_connections=32)
    (namespace,) = cloudmap.list_namespaces()["Namespaces"]
    service = cloudmap.create_service(
        Name="outside", NamespaceId=namespace["Id"], DnsConfig={"DnsRecords": [{"Type": "A", "TTL": 2}]}
    )["Service"]["Id"]
    asked = {"NamespaceName": "secure-api.local", "ServiceName": "outside"}
    acknowledged: list[str] = []
    revisions: list[int] = []
    enough = threading.Event()

    def register(number: int) -> None:
        attributes = {"AWS_INSTANCE_IPV4": f"192.0.2.{number % 250 + 1}"}
        try:
            cloudmap.register_instance(ServiceId=service, InstanceId=f"i-{number}", Attributes=attributes)
            acknowledged.append(f"i-{number}")
            if number % 40 == 0:
                revisions.append(cloudmap.discover_instances_revision(**asked)["InstancesRevision"])
        except (BotoCoreError, ClientError):
            return
        if len(acknowledged) >= 300:
            enough.set()

    tasks = {task["pid"]: task for name in ("api", "worker", "scheduler") for task in platform.tasks(name)}
    listeners = ("http", "dns", "dns_admin", "balancer", "balancer_admin")
    addresses = {f"WAYPOST_{name.upper()}_ADDRESS": platform.address(name) for name in listeners}
    with ThreadPoolExecutor(32) as callers:
        for number in range(1_000):
            callers.submit(register, number)
        assert enough.wait(60)
        platform.kill()
    assert len(acknowledged) < 1_000, "the crash came too late to show anything"
    assert all(psutil.pid_exists(pid) for pid in tasks), "tasks outlive the platform"
    dead = next(task for task in tasks.values() if task["service"] == "worker")
    os.kill(dead["pid"], signal.SIGKILL)
    platform.environment |= addresses  # the tasks that live know it by these
    platform.up()
    again = platform.cloudmap()
    pages = again.get_paginator("list_instances").paginate(ServiceId=service)
    there = {each["Id"] for page in pages for each in page["Instances"]}
    assert set(acknowledged) <= there
    assert again.discover_instances_revision(**asked)["InstancesRevision"] >= max(revisions)
    adopted = {task["pid"] for name in ("api", "worker", "scheduler") for task in platform.tasks(name)}
    assert adopted >= set(tasks) - {dead["pid"]}
    assert len(platform.tasks("worker")) == 3
    assert dead["address"].partition(":")[0] not in platform.answered("worker")
    platform.stop()
    assert platform.broken_promises() == []


@pytest.mark.timeout(150)
def test_two_platforms_run_side_by_side(
    platform: Platform, started: Callable[..., Platform], webhooks: WebhookReceiver
) -> None:
    other = started()
    platforms = [platform, other]
    for number, each in enumerate(platforms):
        recipients = [{"channel": "webhook", "address": webhooks.url}]
        body = {"subject": f"Side {number}", "body": "x", "recipients": recipients}
        assert settled(each, call(each, "/v1/messages", body)[2]["id"])["status"] == "completed"
        assert len(webhooks.about(f"Side {number}")) == 1
    workers: list[Any] = [set(each.answered("worker")) for each in platforms]
    assert workers[0].isdisjoint(workers[1])
    other.stop()
    assert other.broken_promises() == []
    assert set(platform.answered("worker")) == workers[0]
