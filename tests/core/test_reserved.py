"""Reserved metadata: typed, tolerant of older forms, absent when it does not parse (1.2 to 1.7)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from msgspec import UNSET

from meerkat_mob.core import reserved
from meerkat_mob.core.build_state import BudgetLimits, SessionBuildState
from meerkat_mob.core.content import TextBlock
from meerkat_mob.core.deferred_turn import DeferredTurnState, PendingPrompt, PendingToolResults
from meerkat_mob.core.jsonvalue import Json, JsonObject
from meerkat_mob.core.messages import ToolResult
from meerkat_mob.core.metadata import (
    PeerMeta,
    SessionLlmIdentity,
    SessionMetadata,
    SessionTooling,
    identity_of,
    with_identity,
)
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.core.reserved import CompactionCadence, Slot
from meerkat_mob.core.system_context import PendingAppend, SeenAppend, SystemContextState
from meerkat_mob.core.tool_visibility import NameFilter, ToolVisibilityState
from tests import strategies

T = TypeVar("T")

SLOTS: list[tuple[Slot[Any], SearchStrategy[Any]]] = [
    (reserved.SESSION_METADATA, strategies.session_metadatas),
    (reserved.BUILD_STATE, strategies.build_states),
    (reserved.DEFERRED_TURN, strategies.deferred_turns),
    (reserved.SYSTEM_CONTEXT, strategies.system_contexts),
    (reserved.TOOL_VISIBILITY, strategies.tool_visibilities),
    (reserved.COMPACTION_CADENCE, strategies.cadences),
    (reserved.LABELS, strategies.labels),
    (reserved.ARCHIVED, st.booleans()),
]
BY_KEY = [pytest.param(*row, id=row[0].key) for row in SLOTS]


def test_the_keys_are_upstreams() -> None:
    assert [slot.key for slot, _ in SLOTS] == [
        "session_metadata",
        "session_build_state",
        "session_deferred_turn_state",
        "session_system_context_state",
        "session_tool_visibility_state_v1",
        "session_compaction_cadence",
        "session_labels",
        "session_archived",
    ]


@pytest.mark.parametrize(("slot", "values"), BY_KEY)
@given(st.data(), strategies.json_objects)
def test_what_is_written_is_read_back_also_over_json(
    slot: Slot[Any], values: SearchStrategy[Any], data: st.DataObject, other: Mapping[str, Json]
) -> None:
    value = data.draw(values)
    metadata = slot.write(other, value)
    assert slot.read(metadata) == value
    assert slot.read(json.loads(json.dumps(metadata))) == value
    assert slot.clear(metadata) == {k: v for k, v in other.items() if k != slot.key}
    assert slot.key not in other


@pytest.mark.parametrize(("slot", "values"), BY_KEY)
@pytest.mark.parametrize("bad", [None, 5, "text", [1], {"pending": 5, "model": [], "k": 1}])
def test_a_value_that_does_not_parse_is_absent(slot: Slot[Any], values: object, bad: Json) -> None:
    tolerated = isinstance(bad, dict) and slot.key not in {
        "session_metadata",
        "session_system_context_state",
        "session_labels",
        "session_archived",
    }
    assert (slot.read({slot.key: bad}) is None) is not tolerated
    assert slot.read({}) is None


@pytest.mark.parametrize(("slot", "values"), BY_KEY)
@given(value=strategies.json_values)
def test_no_value_whatever_blocks_a_read(slot: Slot[Any], values: object, value: Json) -> None:
    slot.read({slot.key: value})


# -- SessionMetadata ---------------------------------------------------------------------------

LEAST: dict[str, Json] = {"model": "m", "max_tokens": 10, "provider": "openai"}


def read(slot: Slot[T], value: Json) -> T:
    found = slot.read({slot.key: value})
    assert found is not None
    return found


def wire(slot: Slot[T], value: T) -> Json:
    return slot.write({}, value)[slot.key]


def test_session_metadata_says_its_defaults_and_its_comms_name_even_when_there_is_none() -> None:
    least = read(reserved.SESSION_METADATA, LEAST)
    assert least == SessionMetadata(model="m", max_tokens=10, provider="openai")
    assert wire(reserved.SESSION_METADATA, least) == {
        "model": "m",
        "max_tokens": 10,
        "structured_output_retries": 2,
        "provider": "openai",
        "tooling": dict.fromkeys(["builtins", "shell", "comms", "mob", "memory"], "inherit"),
        "keep_alive": False,
        "comms_name": None,
    }


def test_nulls_in_optional_fields_are_absent() -> None:
    nulls = dict.fromkeys(["realm_id", "peer_meta", "config_generation", "comms_name"])
    assert read(reserved.SESSION_METADATA, {**LEAST, **nulls}) == SessionMetadata(
        model="m", max_tokens=10, provider="openai"
    )


def test_provider_parameters_are_not_looked_into() -> None:
    params: Json = {"thinking": None, "args": {"a": None}}
    found = read(reserved.SESSION_METADATA, {**LEAST, "provider_params": params})
    assert found.provider_params == params


def test_legacy_tool_booleans_enable_or_say_nothing() -> None:
    tooling: Json = {"builtins": True, "shell": False, "comms": "disable", "subagents": 3}
    found = read(reserved.SESSION_METADATA, {**LEAST, "tooling": tooling})
    assert found.tooling == SessionTooling(builtins="enable", shell="inherit", comms="disable")
    bad: Json = {**LEAST, "tooling": {"shell": "maybe"}}
    assert reserved.SESSION_METADATA.read({"session_metadata": bad}) is None
    assert reserved.SESSION_METADATA.read({"session_metadata": {**LEAST, "tooling": 1}}) is None


@given(strategies.session_metadatas, strategies.session_metadatas)
def test_a_hot_swap_overwrites_exactly_four_fields(
    metadata: SessionMetadata, other: SessionMetadata
) -> None:
    identity = identity_of(other)
    swapped = with_identity(metadata, identity)
    four = SessionLlmIdentity.__struct_fields__
    assert four == ("model", "provider", "self_hosted_server_id", "provider_params")
    for field in SessionMetadata.__struct_fields__:
        source = other if field in four else metadata
        assert getattr(swapped, field) == getattr(source, field)
    assert identity_of(swapped) == identity


def test_peer_meta_is_sorted_and_empty_when_it_says_nothing() -> None:
    assert msgspec.json.encode(PeerMeta()) == b"{}"
    meta = PeerMeta(description="d", labels={"b": "1", "a": "2"})
    assert msgspec.json.encode(meta) == b'{"description":"d","labels":{"a":"2","b":"1"}}'
    assert msgspec.json.decode(b'{"labels":{"b":"1","a":"2"}}', type=PeerMeta) == PeerMeta(
        labels={"a": "2", "b": "1"}
    )


# -- SessionBuildState -------------------------------------------------------------------------


def test_a_build_state_that_says_nothing_is_empty() -> None:
    assert wire(reserved.BUILD_STATE, SessionBuildState()) == {}
    assert read(reserved.BUILD_STATE, {}) == SessionBuildState()


@pytest.mark.parametrize(
    ("given_form", "limit"),
    [(90_000, 90_000), ({"secs": 1, "nanos": 500_000_000}, 1_500), ("1m 30s", 90_000)],
)
def test_durations_of_a_build_state_are_read_in_every_form(given_form: Json, limit: int) -> None:
    state = read(
        reserved.BUILD_STATE,
        {"budget_limits": {"max_duration": given_form}, "call_timeout_override": given_form},
    )
    assert state.budget_limits == BudgetLimits(max_duration=limit)
    assert state.call_timeout_override == limit
    wrapped = read(reserved.BUILD_STATE, {"call_timeout_override": {"value": given_form}})
    assert wrapped.call_timeout_override == limit


def test_a_call_timeout_is_inherited_off_or_set() -> None:
    for form, override in (("inherit", UNSET), ("disabled", "disabled"), (5, 5)):
        state = read(reserved.BUILD_STATE, {"call_timeout_override": form})
        assert state.call_timeout_override == override
    bad = {"session_build_state": {"call_timeout_override": "soon"}}
    assert reserved.BUILD_STATE.read(bad) is None


def test_an_output_schema_is_read_bare_or_wrapped_and_keeps_its_nulls() -> None:
    bare: JsonObject = {"type": "object", "properties": {"a": {"const": None}}}
    for form in (bare, {"schema": bare, "name": None, "strict": False}):
        state = read(reserved.BUILD_STATE, {"output_schema": form})
        assert state.output_schema == OutputSchema(schema=bare)


# -- states with instants ----------------------------------------------------------------------

AT: Json = {"secs_since_epoch": 2, "nanos_since_epoch": 5_999_999}


@pytest.mark.parametrize("at", [2_005, AT, "1970-01-01T00:00:02.005Z"])
def test_instants_of_staged_things_are_read_in_every_form(at: Json) -> None:
    deferred = read(
        reserved.DEFERRED_TURN,
        {
            "first_turn_phase": "pending",
            "pending_initial_prompt": {
                "prompt": [{"type": "text", "text": "p"}],
                "accepted_at": at,
            },
            "pending_tool_results": [
                {"results": [{"tool_use_id": "t", "content": "r"}], "accepted_at": at}
            ],
        },
    )
    assert deferred == DeferredTurnState(
        first_turn_phase="pending",
        pending_initial_prompt=PendingPrompt(prompt=(TextBlock(text="p"),), accepted_at=2_005),
        pending_tool_results=(
            PendingToolResults(
                results=(ToolResult(tool_use_id="t", content="r"),), accepted_at=2_005
            ),
        ),
    )
    context = read(
        reserved.SYSTEM_CONTEXT,
        {
            "pending": [{"text": "t", "accepted_at": at, "source": None}],
            "seen": {"accepted_at": {"text": "t", "source": None, "state": "applied"}},
        },
    )
    assert context == SystemContextState(
        pending=(PendingAppend(text="t", accepted_at=2_005),),
        seen={"accepted_at": SeenAppend(text="t", state="applied")},
    )


def test_a_bad_instant_makes_the_state_absent() -> None:
    bad = {"pending": [{"text": "t", "accepted_at": "soon"}]}
    assert reserved.SYSTEM_CONTEXT.read({"session_system_context_state": bad}) is None


def test_states_that_say_nothing_are_empty() -> None:
    assert wire(reserved.DEFERRED_TURN, DeferredTurnState()) == {}
    assert wire(reserved.SYSTEM_CONTEXT, SystemContextState()) == {}
    assert wire(reserved.TOOL_VISIBILITY, ToolVisibilityState()) == {}


def test_the_compaction_cadence_starts_at_nought() -> None:
    assert read(reserved.COMPACTION_CADENCE, {}) == CompactionCadence(session_boundary_index=0)
    assert wire(
        reserved.COMPACTION_CADENCE,
        CompactionCadence(session_boundary_index=4, last_compaction_boundary_index=2),
    ) == {"session_boundary_index": 4, "last_compaction_boundary_index": 2}


# -- legacy tool filters -----------------------------------------------------------------------


def test_todays_visibility_state_wins_over_the_legacy_filters() -> None:
    state = ToolVisibilityState(active_revision=1)
    metadata = reserved.TOOL_VISIBILITY.write(
        {"tool_scope_external_filter": {"deny": ["a"]}}, state
    )
    assert reserved.read_tool_visibility(metadata) == state


def test_the_legacy_filters_are_a_fallback() -> None:
    found = reserved.read_tool_visibility(
        {
            "tool_scope_external_filter": {"deny": ["b", "a"]},
            "tool_scope_inherited_filter": {"allow": ["c"], "deny": None},
        }
    )
    assert found == ToolVisibilityState(
        inherited_base_filter=NameFilter(allow=("c",)),
        active_filter=NameFilter(deny=("a", "b")),
        staged_filter=NameFilter(deny=("a", "b")),
    )
    assert reserved.read_tool_visibility({}) == ToolVisibilityState()
    odd: dict[str, Json] = {"tool_scope_external_filter": {"allow": ["a"], "deny": ["b"]}}
    assert reserved.read_tool_visibility(odd) == ToolVisibilityState()
