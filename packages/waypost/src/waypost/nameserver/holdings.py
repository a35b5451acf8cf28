"""What the nameserver keeps of the catalog: the services that DNS knows, each with its instances.

The instances of a service, of which most have few, are a tuple and no dictionary once they have come to rest.
"""

from collections.abc import Iterable

from waypost.catalog.changes import InstanceChanged
from waypost.catalog.model import Instance
from waypost.nameserver.held import HeldInstance, HeldService

__all__ = ["Holding"]


class Holding:
    """One service with its instances, in the order in which they came.

    While changes come faster than somebody asks, they are kept by id, so that each costs the same however many
    instances there are; once they are asked for, they are a tuple again, which takes less room.
    """

    __slots__ = ("_by_id", "_settled", "service")

    def __init__(self, service: HeldService) -> None:
        self.service = service
        self._settled: tuple[HeldInstance, ...] = ()
        self._by_id: dict[str, HeldInstance] | None = None  # given: the truth, and the tuple is old

    @property
    def instances(self) -> tuple[HeldInstance, ...]:
        """All of them."""
        if self._by_id is not None:
            self._settled, self._by_id = tuple(self._by_id.values()), None
        return self._settled

    def fill(self, instances: Iterable[HeldInstance]) -> None:
        """Hold these and no others."""
        self._settled, self._by_id = tuple(instances), None

    def put(self, instance: Instance) -> None:
        """Take an instance in, in the place of the one with its id if there is one."""
        self._unsettled()[instance.id] = HeldInstance.of(instance, self.service)

    def drop(self, instance_id: str) -> None:
        """Let an instance go.

        :raises KeyError: it is not here.
        """
        del self._unsettled()[instance_id]

    def change(self, instance_id: str, change: InstanceChanged) -> None:
        """Take a change of an instance in.

        :raises KeyError: it is not here.
        """
        held = self._unsettled()
        held[instance_id] = held[instance_id].changed(change)

    def _unsettled(self) -> dict[str, HeldInstance]:
        if self._by_id is None:
            self._by_id, self._settled = {instance.id: instance for instance in self._settled}, ()
        return self._by_id
