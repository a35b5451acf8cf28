"""Makes the dashboard of one registry, and everything that it is made of."""

from collections.abc import Callable, Iterable, Mapping

from waypost.apis.access.keys import KeyRing
from waypost.apis.beyond.explain import Explainer
from waypost.catalog.changes import Recorded
from waypost.catalog.index import Catalog
from waypost.dashboard.actions import Actions
from waypost.dashboard.app import Dashboard
from waypost.dashboard.content import Content
from waypost.dashboard.directory import Directory
from waypost.dashboard.flows import BALANCER, Flows
from waypost.dashboard.hub import Hub
from waypost.dashboard.platform import platform_of
from waypost.dashboard.pulse import Pulse, QueryCount
from waypost.dashboard.tally import Tally
from waypost.dashboard.viewer import Viewer
from waypost.followers import FeedServer
from waypost.health.care import Care
from waypost.journal import Journal
from waypost.registry import Listener, Registry

__all__ = ["DashboardParts"]


class DashboardParts:
    """What must be there before the registry is, and what is made with it.

    :param latest: the newest changes of the journal, from which pages resume.
    """

    def __init__(
        self,
        catalog: Callable[[], Catalog],
        latest: Iterable[Recorded],
        environment: Mapping[str, str],
        *,
        account: str,
    ) -> None:
        self._catalog, self._account = catalog, account
        self._platform = platform_of(environment, account=account)
        folder = self._platform.state_dir
        self._tally = Tally(catalog)
        self._directory = Directory(catalog, self._tally)
        self._pulse = Pulse(QueryCount(None if folder is None else folder / "dns-counters"))
        self.flows = Flows(catalog, self._platform, is_watched=lambda: self.hub.watched)
        self._content: Content | None = None
        self.hub = Hub(catalog, self._directory, self._pulse, latest, totals=self._totals, traffic=self._traffic)

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Who must be told of every commit, in this order."""
        return self._tally, self._directory, self._pulse, self.hub

    def dashboard(
        self,
        registry: Registry,
        journal: Journal,
        feed: FeedServer,
        care: Care,
        explainer: Explainer,
        *,
        keys: KeyRing,
        write: bool,
    ) -> Dashboard:
        """Return the application."""
        content = self._content = Content(
            registry,
            journal,
            feed,
            care,
            explainer,
            tally=self._tally,
            directory=self._directory,
            pulse=self._pulse,
            platform=self._platform,
        )
        actions = Actions(registry, content) if write else None
        return Dashboard(content, self.hub, keys=keys, account=self._account, actions=actions)

    def _totals(self, viewer: Viewer) -> dict[str, object]:
        assert self._content is not None, "pages are open"
        return self._content.totals(viewer)

    def _traffic(self, viewer: Viewer) -> object:
        """Return the edges whose ends a viewer sees."""
        catalog = self._catalog()

        def sees(node: str) -> bool:
            service = catalog.get_service(node)
            namespace = None if service is None else catalog.get_namespace(service.namespace_id)
            return node == BALANCER or (namespace is not None and viewer.sees(namespace))

        return {"edges": [each for each in self.flows.edges if sees(each["from"]) and sees(each["to"])]}
