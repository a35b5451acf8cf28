"""Run inside ``unshare -Urmn``: a machine of its own, whose only resolver is Waypost on port 53.

Arguments: the address to listen on, a folder with the files that take the place of those of /etc, the feed's socket,
and then the commands, one an argument. Prints what each says, and a line of dashes after it.
"""

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

SIOCSIFFLAGS, SIOCSIFADDR = 0x8914, 0x8916
UP_AND_RUNNING = 0x41
MS_BIND = 4096


def bring_up_the_network() -> None:
    """Bring loopback up, with an address of each family that is no loopback address.

    The C library looks for no address of a family that the machine has none of (AI_ADDRCONFIG).
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ipv4:
        fcntl.ioctl(ipv4, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", UP_AND_RUNNING))
        address = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton("198.51.100.1"))
        fcntl.ioctl(ipv4, SIOCSIFADDR, struct.pack("16s", b"lo:1") + address + bytes(8))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as ipv6:
        address = socket.inet_pton(socket.AF_INET6, "2001:db8:ffff::1")
        fcntl.ioctl(ipv6, SIOCSIFADDR, address + struct.pack("=Ii", 128, socket.if_nametoindex("lo")))


def main(address: str, files: str, feed: str, *commands: str) -> None:
    bring_up_the_network()
    libc = ctypes.CDLL(None, use_errno=True)
    for file in Path(files).iterdir():
        target = os.path.realpath(f"/etc/{file.name}")
        if libc.mount(bytes(file), target.encode(), None, MS_BIND, None):
            sys.exit(f"{file} cannot take the place of {target}: {os.strerror(ctypes.get_errno())}")
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((address, 53))
    listener = socket.create_server((address, 53))
    ready, say_ready = os.pipe()
    environment = {
        **os.environ,
        "WAYPOST_DNS_UDP_FD_0": str(datagrams.fileno()),
        "WAYPOST_DNS_TCP_FD_0": str(listener.fileno()),
        "WAYPOST_READY_FD": str(say_ready),
        "WAYPOST_FEED": feed,
    }
    nameserver = subprocess.Popen(
        [sys.executable, "-m", "waypost.nameserver"],
        env=environment,
        pass_fds=(datagrams.fileno(), listener.fileno(), say_ready),
    )
    os.close(say_ready)
    try:
        assert os.read(ready, 10) == b"ready\n"
        for command in commands:
            said = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=50)
            print(said.stdout + said.stderr + "-" * 9, flush=True)
    finally:
        nameserver.terminate()
        nameserver.wait(10)


if __name__ == "__main__":
    main(*sys.argv[1:])
