"""A catalog as a document: what ``waypost export`` writes, and ``import`` and ``apply`` read.

Members that describe a service are spelled as in Cloud Map's API, version 2017-03-14, so that they can be taken from
there and given there. Health is not part of it: it is observed and not wished for.
"""

import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from waypost.cli.errors import Misused

__all__ = ["Document", "NamespaceEntry", "ServiceEntry", "read_document", "write_document"]

VERSION: Final = 1
STDIN: Final = Path("-")


class ServiceEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A service with its instances."""

    name: str
    description: str | None = None
    dns_config: dict[str, Any] | None = msgspec.field(name="DnsConfig", default=None)
    health_check: dict[str, Any] | None = msgspec.field(name="HealthCheckConfig", default=None)
    custom_health_check: dict[str, Any] | None = msgspec.field(name="HealthCheckCustomConfig", default=None)
    type: str | None = msgspec.field(name="Type", default=None)  # HTTP: by API alone
    instances: dict[str, dict[str, str]] = {}  # id → attributes


class NamespaceEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A namespace with its services."""

    name: str
    type: str  # HTTP, DNS_PRIVATE or DNS_PUBLIC
    vpc: str | None = None  # of a private one; its id is not told by the API, so an export has none
    description: str | None = None
    services: tuple[ServiceEntry, ...] = ()


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Namespaces with what is in them."""

    version: int
    namespaces: tuple[NamespaceEntry, ...]


def read_document(path: Path) -> Document:
    """Return the document of a file; ``-`` is standard input.

    :raises Misused: it cannot be read, or is none.
    """
    try:
        content = sys.stdin.buffer.read() if path == STDIN else path.read_bytes()
        document = msgspec.json.decode(content, type=Document)
    except OSError as error:
        raise Misused(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Misused(f"{path}: {error}") from error
    if document.version != VERSION:
        raise Misused(f"{path}: version {document.version} is not known, only {VERSION}")
    return document


def write_document(document: Document) -> str:
    """Return the text that ``read_document`` reads."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
