"""A change in a few words, for people. Pure."""

import re

from waypost.catalog.changes import Change, HealthChanged, InstanceRegistered, OperationFailed
from waypost.catalog.model import Instance, decode_attributes

__all__ = ["summary_of"]


def summary_of(change: Change) -> str:
    """Return what happened: ``registered 10.0.0.1:8080, HEALTHY``, ``became UNHEALTHY``, ``instance deregistered``."""
    match change:
        case InstanceRegistered(instance):
            where = _where(instance)
            return f"registered{' ' if where else ''}{where}, {instance.health}"
        case HealthChanged():
            return f"became {change.health}"
        case OperationFailed():
            return f"failed: {change.message}"
        case _:
            words = re.findall(r"[A-Z][a-z]*", type(change).__name__)
            return " ".join(word.lower() for word in words)


def _where(instance: Instance) -> str:
    attributes = decode_attributes(instance.attributes)
    for name in ("AWS_INSTANCE_IPV4", "AWS_INSTANCE_IPV6", "AWS_INSTANCE_CNAME", "AWS_ALIAS_DNS_NAME"):
        if name in attributes:
            address = f"[{attributes[name]}]" if name == "AWS_INSTANCE_IPV6" else attributes[name]
            port = attributes.get("AWS_INSTANCE_PORT")
            return address if port is None else f"{address}:{port}"
    return attributes.get("AWS_EC2_INSTANCE_ID", "")
