"""The environment of a task: the platform's own, then the manifest's, then the contract's names. Pure.

The contract is what ECS and Cloud Map give on AWS: a service finds the others by name and binds its own address.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from waypost.settings import ListenAddress
from waypost.tasks.access import SECRETS
from waypost.tasks.manifest import Manifest, Program
from waypost_client.endpoint import Endpoint

__all__ = ["INSTANCE", "Surroundings", "fingerprint", "task_environment", "with_aws_defaults"]

INSTANCE: Final = "SERVICE_INSTANCE"
"""Variable that holds a task's instance id: the mark by which its processes are known."""

OF_ONE_TASK: Final = ("SERVICE_ADDRESS", "SERVICE_PORT", INSTANCE)
AWS_DEFAULTS: Final = {"AWS_ACCESS_KEY_ID": "waypost", "AWS_SECRET_ACCESS_KEY": "waypost"}  # read, never checked
REGION: Final = "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a platform's tasks have in common."""

    manifest: Manifest
    registry_url: str
    dns: ListenAddress
    balancer: ListenAddress | None
    listeners: tuple[ListenAddress, ...]  # of the platform itself: nothing that a stranger names may be sent there
    state_dir: Path  # absolute
    programs: Path  # folder that commands are looked up in first


def with_aws_defaults(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which every AWS SDK finds a region and keys, real ones if there are any."""
    environment = dict(inherited)
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or REGION
    environment.setdefault("AWS_REGION", region)
    environment.setdefault("AWS_DEFAULT_REGION", region)  # the one of the two that botocore reads
    if "AWS_ACCESS_KEY_ID" not in environment and "AWS_PROFILE" not in environment:
        environment |= AWS_DEFAULTS
    return environment


def task_environment(
    surroundings: Surroundings,
    program: Program,
    endpoint: Endpoint | None,
    instance: str,
    *,
    inherited: Mapping[str, str],
    secrets: Mapping[str, str],
) -> dict[str, str]:
    """Return the whole environment of one task, or of a job, which has no endpoint."""
    environment = with_aws_defaults(inherited)
    for secret in ("WAYPOST_DATABASE_URL", *SECRETS):  # the registry's own
        environment.pop(secret, None)
    environment["PATH"] = f"{surroundings.programs}:{environment.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"
    environment.setdefault("PYTHONUNBUFFERED", "1")  # what a task prints is in its log, also if it is killed
    for name, value in _defaults(surroundings).items():
        environment.setdefault(name, value)
    environment.update(program.environment)
    environment.update(secrets)
    environment |= _contract(surroundings)
    environment[INSTANCE] = instance
    if endpoint is not None:
        environment |= {"SERVICE_ADDRESS": endpoint.address, "SERVICE_PORT": str(endpoint.port)}
    return environment


def fingerprint(program: Program, environment: Mapping[str, str], surroundings: Surroundings) -> str:
    """Return a digest of what a task was started with, apart from what is its own or its platform's terminal's.

    A task that outlived its supervisor stays only if the next one would start it in the same way.
    """
    told = {
        *dict(program.environment),
        *dict(program.secrets),
        *_defaults(surroundings),
        *_contract(surroundings),
    }
    known = {name: environment.get(name) for name in sorted(told) if name not in OF_ONE_TASK}
    folder = surroundings.manifest.folder / program.working_directory
    text = json.dumps([program.command, str(folder), program.limits.given, known])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _defaults(surroundings: Surroundings) -> dict[str, str]:
    """Return what the platform's environment and the manifest may set otherwise."""
    defaults = {
        "DATABASE_URL": f"sqlite:///{surroundings.state_dir / 'services.db'}",
        "STREAM_URL": "sql:",
        "WEBHOOK_REFUSE_LISTENERS": ",".join(str(each) for each in surroundings.listeners),
    }
    if surroundings.balancer is not None and surroundings.balancer.is_loopback:
        defaults["OMNICHANNEL_AUTH"] = "off"  # nobody but this machine's own users reaches the API
    return defaults


def _contract(surroundings: Surroundings) -> dict[str, str]:
    manifest = surroundings.manifest
    hosts = {
        f"{service.name.upper().replace('-', '_')}_SERVICE_HOST": f"{service.name}.{manifest.namespace}"
        for service in manifest.services
    }
    return hosts | {
        "SERVICE_NAMESPACE": manifest.namespace,
        "WAYPOST_DNS": str(surroundings.dns),
        "AWS_ENDPOINT_URL_SERVICEDISCOVERY": surroundings.registry_url,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
    }
