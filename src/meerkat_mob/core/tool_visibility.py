"""Which tools a session shows its model, as a durable intent (spec sessions 1.7, 4.6).

A filter is ``"all"``, ``{"allow": [...]}`` or ``{"deny": [...]}``; names are kept sorted, so equal
filters are equal bytes. A filter may name tools that do not exist yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.tools import ToolProvenance


class NameFilter(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Either the names that are allowed, or those that are denied."""

    allow: tuple[str, ...] | UnsetType = UNSET
    deny: tuple[str, ...] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.allow is UNSET) == (self.deny is UNSET):
            raise ValueError("a tool filter says either allow or deny")
        for field, names in (("allow", self.allow), ("deny", self.deny)):
            if names is not UNSET:
                msgspec.structs.force_setattr(self, field, tuple(sorted(set(names))))


ToolFilter: TypeAlias = Literal["all"] | NameFilter


class ToolWitness(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who owned a tool when it was named, so that a stranger of the same name is not meant."""

    stable_owner_key: str | UnsetType = UNSET
    last_seen_provenance: ToolProvenance | UnsetType = UNSET


class ToolVisibilityState(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The filters in force and staged, and the deferred tools that were asked for."""

    inherited_base_filter: ToolFilter = "all"
    active_filter: ToolFilter = "all"
    staged_filter: ToolFilter = "all"
    active_requested_deferred_names: tuple[str, ...] = ()
    staged_requested_deferred_names: tuple[str, ...] = ()
    active_revision: int = 0
    staged_revision: int = 0
    requested_witnesses: Mapping[str, ToolWitness] = {}
    filter_witnesses: Mapping[str, ToolWitness] = {}

    def __post_init__(self) -> None:
        for field in ("active_requested_deferred_names", "staged_requested_deferred_names"):
            names: tuple[str, ...] = getattr(self, field)
            msgspec.structs.force_setattr(self, field, tuple(sorted(set(names))))


class ToolsInForce(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What decides which tools a model sees.

    ``filters`` last, ``overlay`` is one run's own (TS-4), ``loaded`` are the deferred tools that
    the model has asked for (TS-6).
    """

    filters: tuple[ToolFilter, ...] = ()
    overlay: ToolFilter = "all"
    loaded: frozenset[str] = frozenset()


def allow(names: Iterable[str]) -> NameFilter:
    """A filter that shows these tools only."""
    return NameFilter(allow=tuple(names))


def deny(names: Iterable[str]) -> NameFilter:
    """A filter that hides these tools."""
    return NameFilter(deny=tuple(names))


def permits(name: str, *filters: ToolFilter) -> bool:
    """True when every filter shows the tool: allow lists intersect, deny lists add up (TS-1)."""
    return all(_permits(name, one) for one in filters)


def _permits(name: str, one: ToolFilter) -> bool:
    if one == "all":
        return True
    if one.allow is not UNSET:
        return name in one.allow
    return one.deny is UNSET or name not in one.deny
