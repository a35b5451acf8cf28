"""Why the registry acts by itself, as its changes are kept: the ``call`` of their cause."""

from enum import StrEnum

from waypost.catalog.changes import Cause

__all__ = ["OwnCause"]


class OwnCause(StrEnum):
    """What made the registry act."""

    CHECK_FAILED = "CheckFailed"  # an active check; why: what was seen, and what the target said
    CHECK_PASSED = "CheckPassed"
    CHECK_REFUSED = "CheckRefused"  # the target is none that may be checked
    LEASE_LAPSED = "LeaseLapsed"
    LEASE_RENEWED = "LeaseRenewed"
    REMOVED = "InstanceRemoved"  # unwell for so long that it is taken to be gone
    DRAIN_OVER = "DrainOver"  # its time has passed

    def cause(self, why: str) -> Cause:
        """Return the cause that a change is kept with."""
        return Cause(call=self.value, by="waypost", why=why)
