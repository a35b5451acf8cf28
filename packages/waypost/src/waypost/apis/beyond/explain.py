"""``GET /explain?name=&type=``: why a name is answered as it is."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from waypost.apis.beyond.history import history_entry
from waypost.apis.calls import Call, Handler
from waypost.apis.cloudmap.caller import Caller
from waypost.apis.cloudmap.errors import WireError
from waypost.catalog.changes import Recorded
from waypost.catalog.model import Namespace
from waypost.explaining import ANSWERABLE, API, Located, NameInvalid, explain, folded_question, locate
from waypost.followers import FeedServer
from waypost.journal import Journal, JournalUnavailable
from waypost.nameserver.records import MULTIVALUE_LIMIT
from waypost.registry import Registry

__all__ = ["Explainer", "explaining"]

HISTORY: Final = 400  # changes of the service that are looked through
RECENT: Final = 20  # changes that are told


class Explainer:
    """Explains names to callers: what is in memory, and the history where the database answers."""

    def __init__(self, registry: Registry, journal: Journal, feed: FeedServer, *, relax: Iterable[str]) -> None:
        self._registry, self._journal, self._feed = registry, journal, feed
        self._relax = frozenset(relax)

    async def explain(self, caller: Caller, name: str, rtype: str | None) -> dict[str, Any]:
        """Return the explanation as the call shows it.

        :raises WireError: the name or the type is none; or the caller may not look there.
        """
        folded, asked = _question(name, rtype)
        found = locate(self._registry.catalog, folded, is_seen=caller.owns)
        _check_may_look(caller, folded, found)
        return await self._explain(folded, asked, found)

    async def explain_seen(self, is_seen: Callable[[Namespace], bool], name: str, rtype: str | None) -> dict[str, Any]:
        """Return the explanation for somebody to whom only some namespaces exist.

        :raises WireError: the name or the type is none.
        """
        folded, asked = _question(name, rtype)
        return await self._explain(folded, asked, locate(self._registry.catalog, folded, is_seen=is_seen))

    async def _explain(self, name: str, asked: str | None, found: Located) -> dict[str, Any]:
        history = await self._history(found)
        explanation = explain(
            name,
            asked,
            found,
            self._registry.catalog,
            history=history,
            dns_revision=self._feed.confirmed,
            relax_nodata="nodata" in self._relax,
            multivalue=None if "more-than-8" in self._relax else MULTIVALUE_LIMIT,
        )
        return {**dataclasses.asdict(explanation), "recent": _recent(found, history or ())}

    async def _history(self, found: Located) -> Sequence[Recorded] | None:
        """Return what is kept of the service, or of the last one that had its name; None: it cannot be read."""
        if found.namespace is None or not found.relative:
            return ()
        try:
            if found.entry is not None:
                return await self._journal.history(found.entry.service.id, limit=HISTORY)
            where = found.namespace
            former = await self._journal.services_named(where.account, where.region, where.http_name, found.relative)
            return await self._journal.history_of(former, limit=HISTORY) if former else ()
        except JournalUnavailable:
            return None


def explaining(explainer: Explainer) -> Handler:
    """Return the handler of the call."""

    async def answer(call: Call) -> dict[str, Any]:
        call.only("name", "type")
        return await explainer.explain(call.caller, call.required("name"), call.optional("type"))

    return answer


def _question(name: str, rtype: str | None) -> tuple[str, str | None]:
    """Return what is asked, folded. Raises WireError: it is no question."""
    asked = None if rtype is None else rtype.upper()
    if asked not in (None, API, *ANSWERABLE):
        raise WireError("InvalidInput", f"The type must be API or one of {', '.join(ANSWERABLE)}.")
    try:
        return folded_question(name), asked
    except NameInvalid as error:
        raise WireError("InvalidInput", f"{error}.") from error


def _check_may_look(caller: Caller, name: str, found: Located) -> None:
    """Refuse whoever may not read where the name leads; where it leads nowhere, any part of it will do."""
    if found.namespace is not None:
        caller.check_may_read(found.namespace)
        return
    labels = name.split(".")
    if not any(caller.rights.may_read(".".join(labels[cut:])) for cut in range(len(labels))):
        caller.check_may_read_name(name)


def _recent(found: Located, history: Sequence[Recorded]) -> list[dict[str, Any]]:
    namespace = "" if found.namespace is None else found.namespace.http_name
    service = found.relative if found.entry is None else found.entry.service.name
    entries = [history_entry(each, namespace, service) for each in history]
    wanted = [each for each in entries if found.instance_id in (None, each["instance"])]
    return wanted[:RECENT]
