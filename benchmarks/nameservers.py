"""The nameservers that people run, each on the same zone, and the floor under all of them."""

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from benchmarks.dns_load import SRV, A, query
from benchmarks.servers import Server, find, free_port, started
from benchmarks.waypost_parts import NAMESPACE

__all__ = ["PEERS", "TTL_S", "Zone", "ask_each_once", "until_answered"]

OF_ONE_SERVICE: Final = 3  # instances
TTL_S: Final = 10
PORT: Final = 8080
START_S: Final = 300.0  # a zone of a million takes its time
AT_ONCE: Final = 64  # queries, as many as any server's socket holds
WARM_UP_S: Final = 300.0  # of a slow server on a zone of a million
FLOOR: Final = """
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
int main(int count, char **given) {
    unsigned char packet[4096];
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(atoi(given[1]))}, peer;
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (count < 2 || bind(udp, (struct sockaddr *)&own, sizeof own)) return 1;
    for (;;) {
        socklen_t length = sizeof peer;
        ssize_t size = recvfrom(udp, packet, sizeof packet, 0, (struct sockaddr *)&peer, &length);
        if (size < 12) continue;
        packet[2] |= 0x84;
        packet[7] = 1;
        sendto(udp, packet, size, 0, (struct sockaddr *)&peer, length);
    }
}
"""
PYTHON_FLOOR: Final = """
import socket, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", int(sys.argv[1])))
while True:
    asked, peer = udp.recvfrom(4096)
    udp.sendto(asked[:2] + b"\\x84\\x00\\x00\\x01\\x00\\x01" + asked[8:], peer)
"""


@dataclass(frozen=True)
class Zone:
    """Services of three instances each: A records at their names, or SRV records and the addresses they point to."""

    services: int
    type: int  # as queries have it

    @property
    def instances(self) -> int:
        """How many there are."""
        return self.services * OF_ONE_SERVICE

    def addresses(self, service: int) -> list[str]:
        """Return the addresses of one service, which no other has."""
        first = service * OF_ONE_SERVICE
        return [f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(first, first + OF_ONE_SERVICE)]

    def write(self, path: Path) -> None:
        """Write it as a master file."""
        with path.open("w") as file:
            file.write(f"$ORIGIN {NAMESPACE}.\n@ {TTL_S} IN SOA ns hostmaster 1 60 60 60 5\n")
            file.write(f"@ {TTL_S} IN NS ns\nns {TTL_S} IN A 192.0.2.9\n")
            for number in range(self.services):
                name = f"svc-{number:04}"
                for index, address in enumerate(self.addresses(number)):
                    if self.type == SRV:
                        file.write(f"{name} {TTL_S} IN SRV 1 1 {PORT} i-{index}.{name}\n")
                        file.write(f"i-{index}.{name} {TTL_S} IN A {address}\n")
                    else:
                        file.write(f"{name} {TTL_S} IN A {address}\n")

    def write_hosts(self, hosts: Path, services: Path) -> None:
        """Write it for dnsmasq: a hosts file, and a file of options for what hosts files cannot say."""
        with hosts.open("w") as addresses, services.open("w") as options:
            for number in range(self.services):
                name = f"svc-{number:04}.{NAMESPACE}"
                for index, address in enumerate(self.addresses(number)):
                    if self.type == SRV:
                        options.write(f"srv-host={name},i-{index}.{name},{PORT},1,1\n")
                        addresses.write(f"{address} i-{index}.{name}\n")
                    else:
                        addresses.write(f"{address} {name}\n")


def until_answered(port: int, zone: Zone, process: psutil.Process, *, log: Path) -> None:
    """Return once a server answers what is asked of the zone."""
    deadline = time.monotonic() + START_S
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect(("127.0.0.1", port))
        asker.settimeout(0.05)
        while not _answers(asker, zone):
            if time.monotonic() > deadline or process.status() == psutil.STATUS_ZOMBIE:
                raise RuntimeError(f"a nameserver did not start: {log.read_text()[-2000:]}")
            time.sleep(0.005)


def ask_each_once(port: int, zone: Zone) -> int:
    """Ask for every service of the zone, so that nothing is looked up for the first time while it is measured.

    Returned is how many were answered: a server that is slower than all patience is not waited for.
    """
    answered, deadline = 0, time.monotonic() + WARM_UP_S
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect(("127.0.0.1", port))
        asker.settimeout(0.2)
        for first in range(0, zone.services, AT_ONCE):
            some = range(first, min(first + AT_ONCE, zone.services))
            if time.monotonic() > deadline:
                break
            for number in some:
                asker.send(number.to_bytes(8, "big")[-2:] + query(number, zone.type))
            with suppress(TimeoutError):  # what is lost is not asked for again
                for _ in some:
                    asker.recv(4096)
                    answered += 1
    return answered


def _answers(asker: socket.socket, zone: Zone) -> bool:
    """Ask for the last service, and tell whether the answer holds a record."""
    try:
        asker.send(b"\0\1" + query(zone.services - 1, zone.type))
        answer = asker.recv(4096)
    except OSError:  # nobody listens there yet, or it is still reading
        return False
    return answer[3] & 15 == 0 and answer[6:8] != b"\0\0"


@contextmanager
def floor(folder: Path, _: Zone) -> Iterator[Server]:
    """Run the least that a server can be: one loop that sends each query back as its own answer."""
    compiler, port = shutil.which("cc"), free_port()
    if compiler is None:
        (folder / "floor.py").write_text(PYTHON_FLOOR)
        yield from _serve(
            [find("python3", "apt-get install python3"), str(folder / "floor.py"), str(port)], port, folder
        )
        return
    (folder / "floor.c").write_text(FLOOR)
    subprocess.run([compiler, "-O2", "-o", folder / "floor", folder / "floor.c"], check=True)
    yield from _serve([str(folder / "floor"), str(port)], port, folder)


@contextmanager
def knot(folder: Path, zone: Zone) -> Iterator[Server]:
    """Run Knot DNS."""
    program, port = find("knotd", "apt-get install knot"), free_port()
    zone.write(folder / "bench.zone")
    (folder / "knot.conf").write_text(
        f"server:\n  listen: 127.0.0.1@{port}\n  rundir: {folder}\n  udp-workers: 1\n"
        f"database:\n  storage: {folder}\nlog:\n  - target: stderr\n    any: warning\n"
        f"zone:\n  - domain: {NAMESPACE}\n    file: {folder / 'bench.zone'}\n    zonefile-sync: -1\n"
    )
    yield from _serve([program, "-c", str(folder / "knot.conf")], port, folder, zone)


@contextmanager
def nsd(folder: Path, zone: Zone) -> Iterator[Server]:
    """Run NSD, without the authority section that the others leave out, too."""
    program, port = find("nsd", "apt-get install nsd"), free_port()
    zone.write(folder / "bench.zone")
    (folder / "nsd.conf").write_text(
        f'server:\n  ip-address: 127.0.0.1@{port}\n  server-count: 1\n  username: ""\n  zonesdir: "{folder}"\n'
        f'  pidfile: "{folder}/nsd.pid"\n  xfrdfile: "{folder}/xfrd.state"\n  zonelistfile: "{folder}/zone.list"\n'
        "  rrl-ratelimit: 0\n  minimal-responses: yes\nremote-control:\n  control-enable: no\n"
        f"zone:\n  name: {NAMESPACE}\n  zonefile: bench.zone\n"
    )
    yield from _serve([program, "-d", "-c", str(folder / "nsd.conf")], port, folder, zone)


@contextmanager
def bind(folder: Path, zone: Zone) -> Iterator[Server]:
    """Run BIND, likewise."""
    program, port = find("named", "apt-get install bind9"), free_port()
    zone.write(folder / "bench.zone")
    (folder / "named.conf").write_text(
        f'options {{ directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n'
        f'  pid-file "{folder}/pid"; session-keyfile "{folder}/session.key"; recursion no; minimal-responses no-auth;\n'
        "  dnssec-validation no; notify no; allow-transfer { none; }; };\ncontrols {};\n"
        f'zone "{NAMESPACE}" {{ type primary; file "bench.zone"; check-names ignore; }};\n'
    )
    yield from _serve([program, "-g", "-n", "1", "-c", str(folder / "named.conf")], port, folder, zone)


@contextmanager
def powerdns(folder: Path, zone: Zone) -> Iterator[Server]:
    """Run PowerDNS on a zone file, with its packet cache as it comes."""
    program, port = find("pdns_server", "apt-get install pdns-server pdns-backend-bind"), free_port()
    zone.write(folder / "bench.zone")
    (folder / "zones.conf").write_text(f'zone "{NAMESPACE}" {{ type master; file "{folder}/bench.zone"; }};\n')
    (folder / "pdns.conf").write_text(
        f"launch=bind\nbind-config={folder}/zones.conf\nlocal-address=127.0.0.1\nlocal-port={port}\n"
        f"socket-dir={folder}\nreceiver-threads=1\ndistributor-threads=1\nsecurity-poll-suffix=\nloglevel=3\n"
    )
    command = [program, f"--config-dir={folder}", "--daemon=no", "--guardian=no", "--disable-syslog"]
    yield from _serve(command, port, folder, zone)


@contextmanager
def dnsmasq(folder: Path, zone: Zone) -> Iterator[Server]:
    """Run dnsmasq on a hosts file of the same names."""
    program, port = find("dnsmasq", "apt-get install dnsmasq-base"), free_port()
    zone.write_hosts(folder / "hosts", folder / "options")
    options = f"-k -p {port} -h -H {folder / 'hosts'} -R --listen-address=127.0.0.1 --bind-interfaces"
    own = f"--user={getpass.getuser()} --pid-file={folder / 'pid'} --local=/{NAMESPACE}/ --local-ttl={TTL_S}"
    command = [program, *options.split(), *own.split(), "-C", str(folder / "options")]
    yield from _serve(command, port, folder, zone)


PEERS: Final[Mapping[str, Callable[[Path, Zone], AbstractContextManager[Server]]]] = {
    "knot": knot,
    "nsd": nsd,
    "bind9": bind,
    "dnsmasq": dnsmasq,
    "pdns": powerdns,
    "floor (an echo)": floor,
}


def _serve(command: list[str], port: int, folder: Path, zone: Zone | None = None) -> Iterator[Server]:
    with started(command, log=folder / "log") as process:
        until_answered(port, zone or Zone(1, A), process, log=folder / "log")
        yield Server((process,), port)
