"""Tags of namespaces and services. Source: the Cloud Map API reference, TagResource and UntagResource."""

from dataclasses import dataclass

import msgspec

from waypost.catalog import rules
from waypost.catalog.changes import NamespaceUpdated, ServiceUpdated
from waypost.catalog.decisions import Decision, Moment
from waypost.catalog.errors import ResourceNotFoundException
from waypost.catalog.identifiers import resource_id
from waypost.catalog.index import View
from waypost.catalog.model import Namespace, Service

__all__ = ["TagResource", "UntagResource", "find_tagged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TagResource:
    """Add tags to a resource, in the place of those with the same keys."""

    account: str
    region: str
    arn: str
    tags: tuple[tuple[str, str], ...]

    def decide(self, view: View, moment: Moment) -> Decision[None]:
        resource = find_tagged(view, self.arn, account=self.account, region=self.region)
        rules.check_tags(self.tags, self.arn)
        tags = tuple((dict(resource.tags) | dict(self.tags)).items())
        rules.check_tag_count(len(tags), self.arn)
        return _retagged(resource, tags)


@dataclass(frozen=True, slots=True, kw_only=True)
class UntagResource:
    """Take the tags with these keys from a resource; keys that it does not have are passed over."""

    account: str
    region: str
    arn: str
    keys: frozenset[str]

    def decide(self, view: View, moment: Moment) -> Decision[None]:
        resource = find_tagged(view, self.arn, account=self.account, region=self.region)
        return _retagged(resource, tuple(tag for tag in resource.tags if tag[0] not in self.keys))


def find_tagged(view: View, arn: str, *, account: str, region: str) -> Namespace | Service:
    """Return the namespace or service of an ARN, or raise ResourceNotFoundException: an id is no ARN."""
    if arn.startswith("arn:"):
        namespace = view.get_namespace(resource_id("namespace", arn, region=region, account=account))
        found = namespace or view.get_service(resource_id("service", arn, region=region, account=account))
        if found is not None and (found.account, found.region) == (account, region):
            return found
    raise ResourceNotFoundException(f"No namespace or service has the ARN {arn}")


def _retagged(resource: Namespace | Service, tags: tuple[tuple[str, str], ...]) -> Decision[None]:
    if tags == resource.tags:
        return Decision(None)
    if isinstance(resource, Namespace):
        return Decision(None, NamespaceUpdated(msgspec.structs.replace(resource, tags=tags)))
    return Decision(None, ServiceUpdated(msgspec.structs.replace(resource, tags=tags)))
