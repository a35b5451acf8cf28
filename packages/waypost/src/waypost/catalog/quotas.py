"""How much an account may hold. AWS's own limits are adjustable there, and off here unless they are asked for."""

from dataclasses import dataclass
from typing import Final

from waypost.catalog.errors import ResourceLimitExceeded

__all__ = ["AWS", "UNLIMITED", "Quotas"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """Upper bounds; None is no bound."""

    namespaces: int | None = None  # of an account in a region
    namespace_instances: int | None = None  # in all services of a namespace
    service_instances: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Quotas":
        """Return what a setting says: nothing, ``aws``, or ``namespaces=50,namespace-instances=2000,…``.

        :raises ValueError: it says none of these.
        """
        if text == "aws":
            return AWS
        given: dict[str, int] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, number = part.partition("=")
            if name not in NAMES or not number.isdecimal():
                raise ValueError(f"{part!r} is no quota: give aws, or numbers for {', '.join(NAMES)}, as in {EXAMPLE}")
            given[name.replace("-", "_")] = int(number)
        return cls(**given)

    def __str__(self) -> str:
        bounds = ((name, getattr(self, name.replace("-", "_"))) for name in NAMES)
        return ",".join(f"{name}={bound}" for name, bound in bounds if bound is not None)

    def check_namespaces(self, present: int) -> None:
        """Refuse one more namespace. Raises ResourceLimitExceeded."""
        _check(present, self.namespaces, "namespaces in a region")

    def check_instances(self, *, in_service: int, in_namespace: int) -> None:
        """Refuse one more instance. Raises ResourceLimitExceeded."""
        _check(in_service, self.service_instances, "instances in a service")
        _check(in_namespace, self.namespace_instances, "instances in a namespace")


def _check(present: int, bound: int | None, what: str) -> None:
    if bound is not None and present >= bound:
        raise ResourceLimitExceeded(f"The quota of {bound} {what} is used up: delete some, or raise WAYPOST_QUOTAS.")


NAMES: Final = ("namespaces", "namespace-instances", "service-instances")
EXAMPLE: Final = "namespaces=50,service-instances=1000"
UNLIMITED: Final = Quotas()
AWS: Final = Quotas(namespaces=50, namespace_instances=2_000, service_instances=1_000)
