"""DNS, side by side: CPU per query, memory per instance, latency, and how soon a change is answered.

``.venv/bin/python benchmarks/dns.py [--instances 3000,300000] [--seconds 4] [--against knotd,nsd,dnsmasq]``

Every server answers the same questions, of services with three addresses each, from loopback; dnsperf asks. What counts
is the CPU time of the serving process at a fixed rate, since dnsperf itself is the first to be at its limit: servers
are measured in turns, and the median of the turns is given with their range. One run's ratios can be compared, its
figures only with those of the same machine.
"""

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dns.message

from waypost.catalog.changes import InstanceRegistered
from waypost.catalog.index import Catalog
from waypost.catalog.model import (
    DnsRecord,
    Health,
    Instance,
    Namespace,
    NamespaceType,
    RecordType,
    RoutingPolicy,
    Service,
    ServiceType,
    encode_attributes,
)
from waypost.feed import Batch, Snapshot, decode_applied, encode_frame
from waypost.settings import ListenAddress
from waypost.tasks.listeners import bind_dns

ZONE = "bench.example"
OF_ONE_SERVICE = 3  # instances
QUESTIONS = 10_000  # different ones, at most: what dnsperf goes round
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Server:
    """One that runs, and where."""

    name: str
    process: "subprocess.Popen[bytes]"
    port: int
    cpu_us: list[float] = field(default_factory=list)  # per query, of each turn
    latency: list[dict[str, float]] = field(default_factory=list)


def address(number: int) -> str:
    """Return an address of its own for an instance."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def snapshot_of(instances: int) -> Snapshot:
    """Return a catalog of so many instances, three to a service, as a registry would send it."""
    common = {"account": "0" * 12, "region": "us-east-1", "description": None, "creator_request_id": None}
    namespace = Namespace(
        id="ns-bench",
        name=ZONE,
        http_name=ZONE,
        type=NamespaceType.DNS_PRIVATE,
        vpc="vpc-bench",
        hosted_zone="Z",
        soa_ttl_s=15,
        created_ms=1,
        operation="",
        **common,
    )
    services = [
        Service(
            id=f"srv-{number:016}",
            namespace_id=namespace.id,
            name=f"svc-{number}",
            type=ServiceType.DNS_HTTP,
            records=(DnsRecord(type=RecordType.A, ttl_s=5),),
            routing=RoutingPolicy.MULTIVALUE,
            health_check=None,
            custom_health_check=None,
            created_ms=1,
            **common,
        )
        for number in range(instances // OF_ONE_SERVICE)
    ]
    registered = [
        Instance(
            service_id=services[number // OF_ONE_SERVICE].id,
            id=f"task-{number:027}",
            attributes=encode_attributes(
                {
                    "AWS_INSTANCE_IPV4": address(number),
                    "AWS_INSTANCE_PORT": "8080",
                    "AVAILABILITY_ZONE": "us-east-1a",
                    "ECS_CLUSTER_NAME": "bench",
                }
            ),
            health=Health.HEALTHY,
            proven=True,
            generation=1,
        )
        for number in range(len(services) * OF_ONE_SERVICE)
    ]
    return Snapshot(
        revision=1, namespaces=[namespace], services=[(service, 1) for service in services], instances=registered
    )


class Feed:
    """The registry's end of the feed, by blocking calls."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()

    def accept(self) -> None:
        self._connection, _ = self._listener.accept()

    def tell(self, message: Snapshot | Batch) -> float:
        """Send, wait for the confirmation, and return the seconds between."""
        frame = encode_frame(message)
        began = time.perf_counter()
        self._connection.sendall(frame)
        length = int.from_bytes(self._read(4), "big")
        decode_applied(self._read(length))
        return time.perf_counter() - began

    def _read(self, count: int) -> bytes:
        read = b""
        while len(read) < count:
            read += self._connection.recv(count - len(read))
        return read


@contextmanager
def waypost(folder: Path) -> Iterator[tuple[Server, Feed]]:
    """Run the nameserver, with nothing told to it yet."""
    folder.mkdir(parents=True, exist_ok=True)
    feed = Feed(folder / "feed.sock")
    bound = bind_dns(ListenAddress("127.0.0.1", 0), "")
    descriptors = (bound.datagrams[0].fileno(), bound.streams.fileno())
    environment = {
        **os.environ,
        "WAYPOST_DNS_UDP_FD_0": str(descriptors[0]),
        "WAYPOST_DNS_TCP_FD_0": str(descriptors[1]),
        "WAYPOST_FEED": str(folder / "feed.sock"),
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "waypost.nameserver"], env=environment, pass_fds=descriptors, stderr=log
        )
    try:
        feed.accept()
        yield Server("waypost", process, bound.address.port), feed
    finally:
        process.terminate()
        process.wait(20)
        bound.close()


CONFIGURATIONS: Mapping[str, tuple[str, list[str]]] = {
    "knotd": (
        "server:\n  rundir: {folder}\n  listen: 127.0.0.1@{port}\n  udp-workers: 1\n  tcp-workers: 1\n"
        "  background-workers: 1\ndatabase:\n  storage: {folder}\n"
        "zone:\n  - domain: {zone}\n    file: {folder}/zone\n    semantic-checks: off\n",
        ["-c", "{folder}/conf"],
    ),
    "nsd": (
        'server:\n  ip-address: 127.0.0.1@{port}\n  server-count: 1\n  username: ""\n  chroot: ""\n'
        '  zonesdir: "{folder}"\n  pidfile: "{folder}/pid"\n  xfrdfile: "{folder}/xfrd"\n  xfrdir: "{folder}"\n'
        '  zonelistfile: "{folder}/list"\n  database: ""\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n'
        'zone:\n  name: {zone}\n  zonefile: "{folder}/zone"\n',
        ["-d", "-c", "{folder}/conf"],
    ),
    "dnsmasq": (
        "port={port}\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\naddn-hosts={folder}/hosts\n"
        "local=/{zone}/\nuser=\ngroup=\nlocal-ttl=5\npid-file={folder}/pid\n",
        ["--keep-in-foreground", "--conf-file={folder}/conf"],
    ),
}


@contextmanager
def other(name: str, folder: Path, instances: int) -> Iterator[Server]:
    """Run a server from Debian with the same names and addresses."""
    executable = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if executable is None:
        sys.exit(f"{name} is missing: apt-get install {name.removesuffix('d') if name == 'knotd' else name}")
    folder.mkdir(parents=True, exist_ok=True)
    free = bind_dns(ListenAddress("127.0.0.1", 0), "")
    free.close()
    port = free.address.port
    names = [(f"svc-{number // OF_ONE_SERVICE}.{ZONE}", address(number)) for number in range(instances)]
    soa = f"{ZONE}. 15 SOA ns.{ZONE}. host.{ZONE}. 1 7200 900 1209600 15\n{ZONE}. 15 NS ns.{ZONE}.\n"
    (folder / "zone").write_text(soa + f"ns.{ZONE}. 15 A 10.0.0.1\n" + "".join(f"{n}. 5 A {a}\n" for n, a in names))
    (folder / "hosts").write_text("".join(f"{a} {n}\n" for n, a in names))
    text, arguments = CONFIGURATIONS[name]
    (folder / "conf").write_text(text.format(folder=folder, port=port, zone=ZONE))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [executable, *(each.format(folder=folder) for each in arguments)], stdout=log, stderr=log
        )
    try:
        until_answered(port)
        yield Server(name, process, port)
    finally:
        process.terminate()
        process.wait(20)


def until_answered(port: int) -> None:
    """Wait until a server knows the first name."""
    query = dns.message.make_query(f"svc-0.{ZONE}", "A").to_wire()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.2)
        for _ in range(150):
            asker.sendto(query, ("127.0.0.1", port))
            try:
                if asker.recv(512)[3] & 15 == 0:
                    return
            except OSError:
                time.sleep(0.1)
    sys.exit("a server does not answer")


def family(pid: int) -> list[int]:
    """Return a process with its children, which some servers have."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in family(int(child)))]


def cpu_s(pid: int) -> float:
    """Return the seconds of CPU that a process and its children have used."""
    total = 0
    for each in family(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def memory(pid: int) -> int:
    """Return the proportional set size in octets."""
    rollup = (Path(f"/proc/{each}/smaps_rollup").read_text() for each in family(pid))
    return sum(int(found[1]) * 1024 for text in rollup if (found := re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)))


def load(server: Server, questions: Path, rate: int, seconds: int) -> dict[str, float]:
    """Ask at a rate; return queries, what was lost, and the latencies in seconds as dnsperf gives them."""
    before = cpu_s(server.process.pid)
    command = ["dnsperf", "-s", "127.0.0.1", "-p", str(server.port), "-d", str(questions), "-l", str(seconds)]
    said = subprocess.run(
        [*command, "-c", "8", "-T", "1", "-q", "200", "-Q", str(rate), "-v"],
        capture_output=True,
        text=True,
    )
    text = said.stdout
    spent = cpu_s(server.process.pid) - before

    def number(pattern: str) -> float:
        found = re.search(pattern, text)
        return float(found[1]) if found else float("nan")

    completed = number(r"Queries completed:\s+(\d+)")
    return {
        "cpu_us": spent / completed * 1e6,
        "completed": completed,
        "lost": number(r"Queries lost:\s+(\d+)"),
        "rate": number(r"Queries per second:\s+([\d.]+)"),
        "mean_ms": number(r"Average Latency \(s\):\s+([\d.]+)") * 1e3,
        "p99_ms": p99_ms(text),
    }


def p99_ms(text: str) -> float:
    """Return the 99th percentile of what dnsperf tells of each query."""
    took = sorted(float(found) for found in re.findall(r"^> \S+ \S+ \S+ ([\d.]+)", text, re.MULTILINE))
    return took[int(len(took) * 0.99)] * 1e3 if took else float("nan")


def latencies_ms(server: Server, rate: int, seconds: int, services: int) -> list[float]:
    """Ask one question after the other at a rate, and return how long each answer took."""
    queries = [dns.message.make_query(f"svc-{n % services}.{ZONE}", "A").to_wire() for n in range(200)]
    took = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect(("127.0.0.1", server.port))
        asker.settimeout(1)
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            asker.send(queries[len(took) % 200])
            asker.recv(512)
            took.append((time.perf_counter() - began) * 1e3)
            time.sleep(max(0.0, 1 / rate - (time.perf_counter() - began)))
    return took


def changes_ms(feed: Feed, server: Server, snapshot: Snapshot, count: int = 400) -> tuple[float, float]:
    """Register instances one by one, each in a service of its own; return p50 and p99 until it is answered."""
    catalog = Catalog()
    catalog.load(snapshot.revision, snapshot.namespaces, snapshot.services)
    took = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect(("127.0.0.1", server.port))
        asker.settimeout(2)
        for number in range(count):
            service = snapshot.services[number % len(snapshot.services)][0]
            instance = Instance(
                service_id=service.id,
                id=f"new-{number}",
                attributes=encode_attributes({"AWS_INSTANCE_IPV4": f"192.0.2.{number % 250}"}),
                health=Health.HEALTHY,
                proven=True,
                generation=snapshot.revision + number + 1,
            )
            began = time.perf_counter()
            feed.tell(Batch(first_revision=snapshot.revision + number + 1, changes=[InstanceRegistered(instance)]))
            asker.send(dns.message.make_query(f"{service.name}.{ZONE}", "A").to_wire())
            answer = asker.recv(512)
            assert socket.inet_aton(f"192.0.2.{number % 250}") in answer
            took.append((time.perf_counter() - began) * 1e3)
    took.sort()
    return took[len(took) // 2], took[int(len(took) * 0.99)]


def questions_file(folder: Path, services: int) -> Path:
    """Write what dnsperf asks: names from all over the catalog."""
    path = folder / f"questions-{services}"
    step = max(1, services // QUESTIONS)
    path.write_text("".join(f"svc-{number}.{ZONE} A\n" for number in range(0, services, step)))
    return path


def measure(instances: int, others: list[str], rate: int, seconds: int, turns: int) -> dict[str, object]:
    """Measure every server with so many instances."""
    snapshot = snapshot_of(instances)
    services = len(snapshot.services)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        ours, feed = stack.enter_context(waypost(folder / "waypost"))
        empty = memory(ours.process.pid)
        loading_s = feed.tell(snapshot)
        until_answered(ours.port)
        servers = [ours, *(stack.enter_context(other(each, folder / each, instances)) for each in others)]
        questions = questions_file(folder, services)
        for server in servers:
            load(server, questions, rate, 1)
        for _ in range(turns):
            for server in servers:
                found = load(server, questions, rate, seconds)
                server.cpu_us.append(found["cpu_us"])
                server.latency.append(found)
        quiet = sorted(latencies_ms(ours, 2_000, 2, services))
        p50, p99 = changes_ms(feed, ours, snapshot)
        return {
            "instances": instances,
            "loading_s": round(loading_s, 2),
            "octets_per_instance": round((memory(ours.process.pid) - empty) / instances),
            "servers": {
                server.name: {
                    "cpu_us": round(statistics.median(server.cpu_us), 2),
                    "range": [round(min(server.cpu_us), 2), round(max(server.cpu_us), 2)],
                    "rate": round(statistics.median(each["rate"] for each in server.latency)),
                    "lost": sum(each["lost"] for each in server.latency),
                    "mean_ms": round(statistics.median(each["mean_ms"] for each in server.latency), 3),
                    "p99_ms": round(statistics.median(each["p99_ms"] for each in server.latency), 3),
                }
                for server in servers
            },
            "one_by_one_p99_ms": round(quiet[int(len(quiet) * 0.99)], 3),
            "change_p50_ms": round(p50, 2),
            "change_p99_ms": round(p99, 2),
        }


def main() -> None:
    """Measure, and print a JSON object for each size of catalog."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--instances", default="3000,300000")
    arguments.add_argument("--against", default="knotd,nsd,dnsmasq", help="servers from Debian; empty for none")
    arguments.add_argument("--rate", type=int, default=20_000, help="questions a second")
    arguments.add_argument("--seconds", type=int, default=4)
    arguments.add_argument("--turns", type=int, default=3)
    chosen = arguments.parse_args()
    others = [each for each in chosen.against.split(",") if each]
    for instances in map(int, chosen.instances.split(",")):
        found = measure(instances, others if instances <= 10_000 else [], chosen.rate, chosen.seconds, chosen.turns)
        print(json.dumps(found, indent=1), flush=True)


if __name__ == "__main__":
    main()
