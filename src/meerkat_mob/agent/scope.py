"""Every tool an agent could call, and which of them its model sees now (spec sessions 4.6).

What is seen is what can be dispatched (INV-8). It changes at turn boundaries only (TS-4). A filter
that names what is not there yet waits for it; of two tools with one name the one that was there
first is meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec
from msgspec import UNSET

from meerkat_mob.agent.deferred import Shelf, control_tools
from meerkat_mob.agent.tools import ToolSet
from meerkat_mob.core.events import DeferredCatalogDelta, ToolConfigChange
from meerkat_mob.core.run_context import RunContext
from meerkat_mob.core.tool_visibility import ToolFilter, ToolsInForce, permits
from meerkat_mob.core.toolbox import SourceStatus, Toolbox
from meerkat_mob.core.tools import Tool

FEW: Final = 2
"""So many deferred tools are worth hiding; fewer when they are large."""
SMALL: Final = 160
"""Bytes of what a model is told of the deferred tools, below which one may as well be shown."""


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """The tools of one turn: those the model sees, and those it must ask for.

    ``sources`` are the servers some come from, ``singles`` the tools that come from none.
    ``shadowed`` are tools that cannot be called because of another of their name.
    """

    shown: ToolSet
    hidden: Mapping[str, Tool]
    sources: Mapping[str, SourceStatus]
    singles: frozenset[str]
    shadowed: frozenset[str]
    filters: tuple[ToolFilter, ...]

    @property
    def pending(self) -> tuple[str, ...]:
        """Sources whose tools are still on their way."""
        return tuple(sorted(name for name, how in self.sources.items() if how == "pending"))


class ScopeNews(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the tools since the last turn: for watchers, and for the model."""

    changes: tuple[ToolConfigChange, ...]
    body: str


class Catalogue:
    """The tools of one agent: its own, and those in the toolboxes that it was given.

    ``now`` is the scope of this turn; ``look`` makes the next one.
    """

    def __init__(
        self, own: Iterable[Tool], toolboxes: Sequence[Toolbox], context: RunContext
    ) -> None:
        """Raises ``InvalidParams`` when two tools have one name."""
        self._own, self._toolboxes, self._context = tuple(own), tuple(toolboxes), context
        ToolSet(self._all())
        self._control = control_tools(self._shelf, context)
        self._state: object = None
        self.now = self._lasting = self._scope(ToolsInForce())

    def look(self, turn: int, *, is_first: bool) -> ScopeNews | None:
        """Asks what there is. Returns what is not as it was in the last turn, if anything.

        For a model that has never answered, nothing is. What a run hid for itself is forgotten
        with it, and an agent that goes on with a session begins where its last one left off.
        """
        wanted = self._context.tools_in_force()
        is_plain = wanted.overlay == "all"
        state = (tuple([box.revision for box in self._toolboxes]), wanted)
        if state == self._state and (turn or is_plain):
            return None
        before = self.now if turn else self._lasting
        if self._state is None:
            before = self._scope(self._context.tools_before())
        self._state = state
        self._lasting = self._scope(msgspec.structs.replace(wanted, overlay="all"))
        self.now = self._lasting if is_plain else self._scope(wanted)
        changes = () if is_first else tuple(_changes(before, self.now, turn))
        return ScopeNews(changes=changes, body=_body(before, self.now)) if changes else None

    def _all(self) -> list[Tool]:
        return [*self._own, *(tool for box in self._toolboxes for tool in box.tools)]

    def _scope(self, wanted: ToolsInForce) -> Scope:
        filters = (*wanted.filters, wanted.overlay)
        known: dict[str, Tool] = {}
        shadowed: set[str] = set()
        for tool in self._all():
            if known.setdefault(tool.definition.name, tool) is not tool:
                shadowed.add(tool.definition.name)
        sources: dict[str, SourceStatus] = {
            name: how for box in self._toolboxes for name, how in box.sources.items()
        }
        allowed = {name: tool for name, tool in known.items() if permits(name, *filters)}
        deferred = {name: tool for name, tool in allowed.items() if tool.deferred}
        hidden: dict[str, Tool] = {}
        control: tuple[Tool, ...] = ()
        if deferred and _worth_hiding(deferred, more_may_come="pending" in sources.values()):
            hidden = {name: tool for name, tool in deferred.items() if name not in wanted.loaded}
            control = self._control
        shown = [tool for name, tool in allowed.items() if name not in hidden]
        return Scope(
            shown=ToolSet((*control, *shown)),
            hidden=hidden,
            sources=sources,
            singles=frozenset(name for name, tool in known.items() if _source(tool) not in sources),
            shadowed=frozenset(shadowed),
            filters=filters,
        )

    def _shelf(self) -> Shelf:
        now = self.now
        return Shelf(hidden=now.hidden, shown=now.shown.names, pending=now.pending)


def _source(tool: Tool) -> str:
    given = tool.definition.provenance
    return "" if given is UNSET else given.source_id


def _worth_hiding(deferred: Mapping[str, Tool], *, more_may_come: bool) -> bool:
    if more_may_come or len(deferred) >= FEW:
        return True
    told = [tool.definition for tool in deferred.values()]
    return len(msgspec.json.encode(told)) >= SMALL


def _changes(before: Scope, now: Scope, turn: int) -> Iterator[ToolConfigChange]:
    """What watchers are told, in a fixed order."""

    def change(
        operation: Literal["add", "remove", "reload"], target: str, status: str
    ) -> ToolConfigChange:
        return ToolConfigChange(
            operation=operation,
            target=target,
            status=status,
            persisted=False,
            applied_at_turn=turn,
        )

    for source in sorted({*before.sources, *now.sources}):
        was, status = before.sources.get(source), now.sources.get(source)
        if status is None:
            yield change("remove", source, "removed")
        elif was != status:
            yield change("add" if was is None else "reload", source, status)
    for name in sorted(before.singles - now.singles):
        yield change("remove", name, "removed")
    for name in sorted(now.singles - before.singles):
        yield change("add", name, "added")
    for name in sorted(now.shadowed - before.shadowed):
        yield change("add", name, "name_taken")
    if before.filters != now.filters:
        yield msgspec.structs.replace(
            change("reload", "tool_scope", "applied"), persisted=True, domain="tool_scope"
        )
    if before.hidden.keys() != now.hidden.keys():
        yield msgspec.structs.replace(
            change("reload", "deferred_catalog", "applied"),
            persisted=True,
            domain="deferred_catalog",
            deferred_catalog_delta=DeferredCatalogDelta(
                added_hidden_names=tuple(sorted(now.hidden.keys() - before.hidden.keys())),
                removed_hidden_names=tuple(sorted(before.hidden.keys() - now.hidden.keys())),
                pending_sources=now.pending,
            ),
        )


def _body(before: Scope, now: Scope) -> str:
    """What the model is told of it; empty when what it can call is the same."""
    was, is_now = set(before.shown.names), set(now.shown.names)
    came, gone = ", ".join(sorted(is_now - was)), ", ".join(sorted(was - is_now))
    told = [f"New: {came}."] if came else []
    told += [f"No longer there: {gone}."] if gone else []
    return " ".join(["Your tools have changed.", *told]) if told else ""
