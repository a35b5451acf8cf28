"""How soon an exit shows: ``python -m benchmarks.exits [--services 13]``.

A platform runs eight tasks of each service, all that one answer names. One after the other is killed by SIGKILL, and
DNS is asked without a pause until it does not name it any more. Printed is the time from the kill to the question whose
answer was the first without it.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dns.message

from benchmarks.arithmetic import percentile
from benchmarks.servers import SERVER_CORE, on_core

TASKS = 8  # of each service, all that one answer names
SERVER = """
import os, socket
listener = socket.create_server((os.environ["SERVICE_ADDRESS"], int(os.environ["SERVICE_PORT"])))
while True:
    client = listener.accept()[0]
    client.recv(4096)
    client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
    client.close()
"""
SERVICE = """
[services.{name}]
command = ["{python}", "-IS", "server.py"]
count = {count}
ttl_s = 0
health = {{ interval_ms = 5000 }}
"""


def answered(nameserver: socket.socket, question: bytes) -> set[str]:
    """Return the addresses of one answer."""
    nameserver.send(question)
    return {record.to_text() for rrset in dns.message.from_wire(nameserver.recv(4096)).answer for record in rrset}


def measure(run: dict[str, Any]) -> list[float]:
    """Kill every task once; return the milliseconds that each stayed in DNS."""
    host, _, port = run["dns_address"].rpartition(":")
    taken = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nameserver:
        nameserver.connect((host, int(port)))
        nameserver.settimeout(2)
        for task in run["tasks"]:
            question = dns.message.make_query(f"{task['service']}.example.test", "A").to_wire()
            address = task["address"].rpartition(":")[0]
            assert address in answered(nameserver, question)
            os.kill(task["pid"], signal.SIGKILL)
            killed_at = asked_at = time.perf_counter()
            while address in answered(nameserver, question):
                asked_at = time.perf_counter()
            taken.append((asked_at - killed_at) * 1000)
            time.sleep(0.2)  # its successor starts: not what is measured
    return taken


def exits_ms(*, services: int, tasks: int = TASKS) -> list[float]:
    """Run a platform of so many services, kill every task once, and return how long each stayed in DNS."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "server.py").write_text(SERVER)
        tables = (SERVICE.format(name=f"s{each}", python=sys.executable, count=tasks) for each in range(services))
        (folder / "platform.toml").write_text('namespace = "example.test"\n' + "".join(tables))
        command = [str(Path(sys.executable).with_name("waypost")), "up", str(folder / "platform.toml")]
        command += ["--http-address=127.0.0.1:0", "--dns-address=127.0.0.1:0", f"--state-dir={folder / 'state'}"]
        command = on_core(SERVER_CORE, [*command, "--task-network=127.199.0.0/16"])
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as platform:
            assert platform.stdout is not None
            try:
                if not any(line.startswith("ready") for line in platform.stdout):
                    raise RuntimeError("the platform did not start")
                return measure(json.loads((folder / "state/run.json").read_text()))
            finally:
                platform.send_signal(signal.SIGTERM)
                for _ in platform.stdout:
                    pass


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=13)
    taken = sorted(exits_ms(services=parser.parse_args().services))
    p50, p99 = percentile(taken, 50), percentile(taken, 99)
    print(f"{len(taken)} exits: p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {taken[-1]:.1f} ms")


if __name__ == "__main__":
    main()
