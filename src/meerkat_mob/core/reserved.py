"""The reserved keys of a session's metadata, each with its type (spec sessions 1.2).

A value that does not parse as its type is read as absent, never as an error that keeps a session
from loading (SES-8). Writing returns a new mapping; the other keys are untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar, cast

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.build_state import SessionBuildState
from meerkat_mob.core.deferred_turn import DeferredTurnState
from meerkat_mob.core.foreign import with_instants, without_nulls
from meerkat_mob.core.jsonvalue import Json, JsonObject
from meerkat_mob.core.metadata import SessionMetadata
from meerkat_mob.core.output_schema import parse_output_schema
from meerkat_mob.core.system_context import SystemContextState
from meerkat_mob.core.times import duration_ms, instant_ms, upstream_instant
from meerkat_mob.core.tool_visibility import ToolFilter, ToolVisibilityState
from meerkat_mob.errors import InvalidParams

ValueT = TypeVar("ValueT")


class CompactionCadence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How many LLM boundaries the session has seen, and at which one it was last compacted.

    ``discarded_tool_calls`` are no longer in its history, and ours alone to say.
    """

    session_boundary_index: int = 0
    last_compaction_boundary_index: int | UnsetType = UNSET
    discarded_tool_calls: int | UnsetType = UNSET


def _same(value: Json) -> Json:
    return value


class Slot(Generic[ValueT]):
    """One reserved key: how its value is read, from whatever form, and written in ours."""

    def __init__(
        self, key: str, of: type[ValueT], modern: Callable[[JsonObject], Json] = _same
    ) -> None:
        self.key = key
        self._of, self._modern = of, modern

    def read(self, metadata: JsonObject) -> ValueT | None:
        """The typed value; None when it is absent or does not parse."""
        value = without_nulls(metadata.get(self.key))
        try:
            if isinstance(value, Mapping):
                value = self._modern(value)
            return msgspec.convert(value, self._of)
        except (ValueError, TypeError, msgspec.ValidationError, InvalidParams):
            return None

    def write(self, metadata: JsonObject, value: ValueT) -> dict[str, Json]:
        """The metadata with this value in it."""
        return {**metadata, self.key: cast("Json", _encoded(value))}

    def clear(self, metadata: JsonObject) -> dict[str, Json]:
        """The metadata without this key."""
        return {key: value for key, value in metadata.items() if key != self.key}


def _encoded(value: object) -> object:
    return msgspec.json.decode(msgspec.json.encode(value))


# -- older and foreign forms -------------------------------------------------------------------


def _modern_metadata(value: JsonObject) -> Json:
    """Tool categories were booleans once: true enabled one, false said nothing."""
    tooling = value.get("tooling")
    if not isinstance(tooling, Mapping):
        return value
    said = {False: "inherit", True: "enable"}
    return {
        **value,
        "tooling": {k: said[v] if isinstance(v, bool) else v for k, v in tooling.items()},
    }


def _modern_instants(value: JsonObject) -> Json:
    return with_instants(value, instant_ms)


def _modern_build_state(value: JsonObject) -> Json:
    modern = dict(value)
    if "output_schema" in modern:
        schema = parse_output_schema(modern["output_schema"])
        modern["output_schema"] = cast("Json", msgspec.to_builtins(schema))
    limits = modern.get("budget_limits")
    if isinstance(limits, Mapping) and "max_duration" in limits:
        modern["budget_limits"] = {**limits, "max_duration": duration_ms(limits["max_duration"])}
    match modern.get("call_timeout_override"):
        case None | "disabled":
            pass
        case "inherit":
            del modern["call_timeout_override"]
        case {"value": given}:
            modern["call_timeout_override"] = duration_ms(given)
        case given:
            modern["call_timeout_override"] = duration_ms(given)
    return modern


# -- the keys ----------------------------------------------------------------------------------

SESSION_METADATA: Final = Slot("session_metadata", SessionMetadata, _modern_metadata)
BUILD_STATE: Final = Slot("session_build_state", SessionBuildState, _modern_build_state)
DEFERRED_TURN: Final = Slot("session_deferred_turn_state", DeferredTurnState, _modern_instants)
SYSTEM_CONTEXT: Final = Slot("session_system_context_state", SystemContextState, _modern_instants)
TOOL_VISIBILITY: Final = Slot("session_tool_visibility_state_v1", ToolVisibilityState)
COMPACTION_CADENCE: Final = Slot("session_compaction_cadence", CompactionCadence)
LABELS: Final[Slot[dict[str, str]]] = Slot("session_labels", dict[str, str])
ARCHIVED: Final = Slot("session_archived", bool)

EXTERNAL_FILTER_KEY: Final = "tool_scope_external_filter"
INHERITED_FILTER_KEY: Final = "tool_scope_inherited_filter"


def read_tool_visibility(metadata: JsonObject) -> ToolVisibilityState:
    """The visibility state; from the two legacy filters where there is none of today's form."""
    if state := TOOL_VISIBILITY.read(metadata):
        return state
    external = _legacy_filter(metadata, EXTERNAL_FILTER_KEY)
    return ToolVisibilityState(
        inherited_base_filter=_legacy_filter(metadata, INHERITED_FILTER_KEY),
        active_filter=external,
        staged_filter=external,
    )


def _legacy_filter(metadata: JsonObject, key: str) -> ToolFilter:
    try:
        found: ToolFilter = msgspec.convert(without_nulls(metadata.get(key, "all")), ToolFilter)
    except msgspec.ValidationError:
        return "all"
    return found


def upstream_metadata(metadata: JsonObject) -> dict[str, Json]:
    """The metadata with instants as upstream writes them, for an export."""
    staged = (DEFERRED_TURN.key, SYSTEM_CONTEXT.key)
    return {
        key: with_instants(value, _upstream) if key in staged else value
        for key, value in metadata.items()
    }


def _upstream(value: Json) -> Json:
    return upstream_instant(value) if isinstance(value, int) else value
