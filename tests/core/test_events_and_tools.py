"""Events and tool outcomes on the wire (spec sessions 1.8, 4.4, 4.11)."""

from __future__ import annotations

import json
from typing import get_args

import msgspec
import pytest

from meerkat_mob.core.arguments import encode_arguments
from meerkat_mob.core.events import (
    AgentEvent,
    BudgetWarning,
    EventEnvelope,
    RunCallbackPending,
    RunCompleted,
    RunFailed,
    RunResult,
    RunStarted,
    StreamTruncated,
    TextDelta,
    ToolCallRequested,
    ToolExecutionCompleted,
    TurnStarted,
)
from meerkat_mob.core.messages import ToolUseData
from meerkat_mob.core.tools import ToolDef, ToolErrorCode, ToolProvenance, tool_error, tool_value
from meerkat_mob.core.usage import Usage

EVENTS: list[tuple[AgentEvent, str]] = [
    (RunStarted(session_id="s"), '{"type":"run_started","session_id":"s"}'),
    (
        RunStarted(session_id="s", prompt="p"),
        '{"type":"run_started","session_id":"s","prompt":"p"}',
    ),
    (RunFailed(session_id="s", error="e", code="C"), "run_failed"),
    (RunCompleted(session_id="s", result="r", usage=Usage()), "run_completed"),
    (
        RunCallbackPending(
            session_id="s",
            calls=(ToolUseData(id="t", name="f", args=encode_arguments({"a": 1})),),
        ),
        (
            '{"type":"run_callback_pending","session_id":"s",'
            '"calls":[{"id":"t","name":"f","args":{"a":1}}]}'
        ),
    ),
    (TurnStarted(turn_number=0), '{"type":"turn_started","turn_number":0}'),
    (TextDelta(delta="é"), '{"type":"text_delta","delta":"é"}'),
    (
        ToolCallRequested(id="t", name="f", args=encode_arguments({"a": 1})),
        '{"type":"tool_call_requested","id":"t","name":"f","args":{"a":1}}',
    ),
    (
        ToolExecutionCompleted(id="t", name="f", result="r", is_error=False, duration_ms=3),
        (
            '{"type":"tool_execution_completed","id":"t","name":"f","result":"r","is_error":false,'
            '"duration_ms":3,"has_images":false}'
        ),
    ),
    (
        BudgetWarning(budget_type="tokens", used=8, limit=10, percent=80.0),
        '{"type":"budget_warning","budget_type":"tokens","used":8,"limit":10,"percent":80.0}',
    ),
    (StreamTruncated(reason="slow"), '{"type":"stream_truncated","reason":"slow"}'),
]


@pytest.mark.parametrize(("event", "wire"), EVENTS)
def test_events_are_read_and_written_the_same(event: AgentEvent, wire: str) -> None:
    encoded = msgspec.json.encode(event).decode()
    assert encoded == wire or wire == json.loads(encoded)["type"]
    decoded: AgentEvent = msgspec.json.decode(encoded, type=AgentEvent)
    assert decoded == event


def test_every_event_names_itself_by_its_tag() -> None:
    tags = {event.__struct_config__.tag for event in get_args(AgentEvent)}
    assert len(tags) == len(get_args(AgentEvent))
    assert {event.__struct_config__.tag_field for event in get_args(AgentEvent)} == {"type"}


def test_an_envelope_says_where_its_event_belongs() -> None:
    envelope = EventEnvelope(
        event_id="e", source_id="s", seq=1, timestamp_ms=2, payload=TextDelta(delta="x")
    )
    wire = (
        b'{"event_id":"e","source_id":"s","seq":1,"timestamp_ms":2,'
        b'"payload":{"type":"text_delta","delta":"x"}}'
    )
    assert msgspec.json.encode(envelope) == wire
    assert msgspec.json.decode(wire, type=EventEnvelope) == envelope


def test_a_run_result_omits_what_was_not_said_and_keeps_a_null_answer() -> None:
    least = RunResult(text="t", session_id="s")
    assert list(json.loads(msgspec.json.encode(least))) == [
        "text",
        "session_id",
        "usage",
        "turns",
        "tool_calls",
    ]
    full = RunResult(
        text="null",
        session_id="s",
        structured_output=None,
        schema_warnings=("w",),
        skill_diagnostics={"missing": ["a"]},
    )
    encoded = msgspec.json.encode(full)
    assert json.loads(encoded)["structured_output"] is None
    assert msgspec.json.decode(encoded, type=RunResult) == full


def test_a_tool_definition_with_any_schema_survives_the_wire() -> None:
    tool = ToolDef(
        name="f",
        description="d",
        input_schema={"type": "object", "properties": {"a": {"enum": [1, None, 2.5]}}},
        provenance=ToolProvenance(kind="mcp", source_id="s"),
    )
    assert msgspec.json.decode(msgspec.json.encode(tool), type=ToolDef) == tool


@pytest.mark.parametrize("code", get_args(ToolErrorCode))
def test_a_failed_call_reaches_the_model_as_json(code: ToolErrorCode) -> None:
    outcome = tool_error(code, "no “such” tool", known=["a"])
    assert outcome.is_error
    assert isinstance(outcome.content, str)
    assert json.loads(outcome.content) == {
        "error": code,
        "message": "no “such” tool",
        "known": ["a"],
    }


def test_a_value_as_a_result_is_its_json() -> None:
    outcome = tool_value({"a": [1, None]})
    assert (outcome.content, outcome.is_error) == ('{"a":[1,null]}', False)
