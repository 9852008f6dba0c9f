"""The Messages dialect against the types of Anthropic's own library, which is needed here alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, get_args

import msgspec
import pytest
from anthropic.types import RawMessageStreamEvent
from anthropic.types.beta import BetaCompactionBlock, BetaMessageParam
from anthropic.types.message_create_params import MessageCreateParamsStreaming
from hypothesis import given
from pydantic import BaseModel, TypeAdapter, ValidationError

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import AssistantMessage, Message, SystemMessage, UserMessage
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.llm import LlmRequest
from meerkat_mob.llm.anthropic import request_body
from tests.llm.anthropic.kit import (
    Event,
    answer,
    cite,
    ended,
    look_up,
    redacted,
    say,
    stream,
    think,
    use,
)
from tests.llm.kit import results, tool
from tests.llm.kit import said as called
from tests.llm.kit import use as use_of
from tests.llm.sdk.conversations import CONVERSATIONS, plain

BLOCK: TypeAdapter[Any] = TypeAdapter(BetaCompactionBlock)
MESSAGE: TypeAdapter[Any] = TypeAdapter(BetaMessageParam)
PARAMS: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsStreaming)
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def takes(body: Any) -> bool:
    """Whether Anthropic's types know all that a body says."""
    try:
        return bool(plain(PARAMS.validate_python(body)) == body)
    except ValidationError:
        return False


def body_of(request: LlmRequest) -> Any:
    return msgspec.json.decode(request_body(request))


@given(messages=CONVERSATIONS)
def test_any_conversation_is_what_anthropic_takes(messages: list[Message]) -> None:
    body = body_of(LlmRequest(model="claude-opus-4-6", messages=messages))
    assert takes(body)
    roles = [message["role"] for message in body["messages"]]
    assert all(one != other for one, other in pairwise(roles))
    assert all(message["content"] for message in body["messages"])


def test_a_summary_of_the_server_s_is_what_anthropic_takes_back() -> None:
    """It is a thing of their beta, and so are its types."""
    told: dict[str, Json] = {
        "type": "compaction",
        "content": "so",
        "encrypted_content": "RQ==",
        "signature": "c2ln",
        "tool_changes": [],
    }
    assert BLOCK.validate_python(told).model_dump() == told
    message = {"type": "message", "content": [told], "stop_reason": "end_turn"}
    said = AssistantMessage(blocks=answer(message).blocks, stop_reason="end_turn")
    (sent, _) = body_of(LlmRequest(model="claude-opus-4-6", messages=(said,)))["messages"]
    assert plain(MESSAGE.validate_python(sent)) == {"role": "assistant", "content": [told]}


def test_a_conversation_whose_calls_nobody_may_repeat_is_what_anthropic_takes() -> None:
    messages = (UserMessage(content="go"), called("", use_of("a", "look")), results({"a": "x"}))
    body = body_of(LlmRequest(model="claude-opus-4-6", messages=messages))
    assert takes(body)
    assert body["tool_choice"] == {"type": "none"}


def test_all_that_a_request_can_hold_is_what_anthropic_takes() -> None:
    schema: dict[str, Json] = {"type": "object", "properties": {"n": {"type": "integer"}}}
    request = LlmRequest(
        model="claude-opus-4-6",
        messages=(SystemMessage(content="be brief"), UserMessage(content="go")),
        system_context="today only",
        tools=(tool("look"), tool("find")),
        max_tokens=9000,
        output=OutputSchema(schema=schema),
        provider_params={
            "web_search": {"max_uses": 2},
            "thinking": {"type": "enabled", "budget_tokens": 2000},
            "output_config": {"effort": "low"},
            "stop_sequences": ["END"],
        },
    )
    body = body_of(request)
    assert takes(body)
    assert body["output_config"]["effort"] == "low"
    assert body["output_config"]["format"]["type"] == "json_schema"


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
        {"messages": [], "instructions": "x"},
    ],
)
def test_the_check_finds_what_anthropic_would_refuse(wrong: dict[str, Any]) -> None:
    assert not takes({"model": "m", "max_tokens": 1, "stream": True, **wrong})


BLOCKS = (think(0, "x"), redacted(1, "y"), say(2, "z"), cite(3, "c"), look_up(4), use(6))
HEARD: list[Event] = stream(*BLOCKS, end=ended("tool_use"))


@pytest.mark.parametrize("one", HEARD, ids=lambda one: str(one["type"]))
def test_our_events_are_anthropic_s(one: Event) -> None:
    told: BaseModel = EVENT.validate_python(one)
    assert (told.model_dump()["type"], told.model_extra) == (one["type"], {})


def test_none_of_anthropic_s_events_is_missing() -> None:
    union, *_ = get_args(RawMessageStreamEvent)
    every = {get_args(model.model_fields["type"].annotation)[0] for model in get_args(union)}
    assert {one["type"] for one in HEARD} == every
