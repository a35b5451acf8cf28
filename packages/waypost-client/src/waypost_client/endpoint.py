"""Where one instance of a service listens."""

from dataclasses import dataclass
from ipaddress import ip_address

__all__ = ["Endpoint"]


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """An address and a port that can be connected to without asking anybody.

    >>> Endpoint.parse("192.0.2.1:8080")
    Endpoint(address='192.0.2.1', port=8080)
    """

    address: str  # IPv4 or IPv6, as text; never a name
    port: int  # 1..65535

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """Return the endpoint that ``192.0.2.1:8080`` or ``[2001:db8::1]:8080`` says.

        :raises ValueError: it is not an IP address, a colon and a port of 1 to 65535.
        """
        host, colon, port = text.rpartition(":")
        if host.startswith("[") != host.endswith("]") or (":" in host and not host.startswith("[")):
            raise ValueError(f"{text!r} is not address:port; an IPv6 address is written in brackets")
        if not (colon and port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
            raise ValueError(f"{text!r} is not address:port with a port of 1 to 65535")
        return cls(str(ip_address(host.strip("[]"))), int(port))

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"
