"""The Responses dialect against the types of OpenAI's own library, which is needed here alone."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from openai.types.responses import ResponseStreamEvent
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming
from pydantic import BaseModel, TypeAdapter, ValidationError

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import (
    Message,
    SystemMessage,
    UserMessage,
)
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.llm import LlmRequest
from meerkat_mob.llm.responses import request_body
from tests.llm.kit import tool
from tests.llm.responses.every_event import PASSED_OVER
from tests.llm.responses.kit import (
    Event,
    call,
    cut,
    done,
    event,
    look_up,
    refuse,
    response,
    say,
    stream,
    think,
    think_aloud,
    use,
)
from tests.llm.sdk.conversations import CONVERSATIONS, plain

PARAMS: TypeAdapter[Any] = TypeAdapter(ResponseCreateParamsStreaming)
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def takes(body: Any) -> bool:
    """Whether OpenAI's types know all that a body says."""
    try:
        return bool(plain(PARAMS.validate_python(body)) == body)
    except ValidationError:
        return False


def body_of(request: LlmRequest) -> Any:
    return msgspec.json.decode(request_body(request))


# -- requests ------------------------------------------------------------------------------------


@given(messages=CONVERSATIONS)
def test_any_conversation_is_what_openai_takes(messages: list[Message]) -> None:
    assert takes(body_of(LlmRequest(model="gpt-5.2", messages=messages)))


@pytest.mark.parametrize("model", ["gpt-5.2", "gpt-4o"])
@pytest.mark.parametrize("strict", [False, True])
def test_all_that_a_request_can_hold_is_what_openai_takes(model: str, strict: bool) -> None:
    schema: dict[str, Json] = {"type": "object", "properties": {"n": {"type": "integer"}}}
    request = LlmRequest(
        model=model,
        messages=(SystemMessage(content="be brief"), UserMessage(content="go")),
        tools=(tool("look"), tool("find")),
        temperature=0.5,
        output=OutputSchema(schema=schema, strict=strict),
        provider_params={
            "web_search": {
                "search_context_size": "low",
                "user_location": {"type": "approximate", "city": "Bern"},
            },
            "reasoning": {"effort": "low", "summary": "auto"},
            "prompt_cache_key": "k",
        },
    )
    assert takes(body_of(request))


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": []},
        {"input": [{"type": "function_call", "call_id": "c", "name": "f"}]},
        {"input": [{"type": "message", "role": "user", "content": "x", "name": "y"}]},
    ],
)
def test_the_check_finds_what_openai_would_refuse(wrong: dict[str, Any]) -> None:
    assert not takes({"stream": True, **wrong})


# -- events --------------------------------------------------------------------------------------

_FAILED = response("failed", error={"code": "server_error", "message": "m"})
HEARD: list[Event] = [
    *stream(say(0, "x"), refuse(1, "no"), think(2, "hm"), think_aloud(3, "oh"), use(4), look_up(5)),
    cut("max_output_tokens"),
    cut("content_filter"),
    done(1, call(1, "g", '{"x', "incomplete")),
    event("response.failed", response=_FAILED),
    event("error", code="server_error", message="m", param=None),
]


def kind_of(model: type[BaseModel]) -> str:
    (kind,) = get_args(model.model_fields["type"].annotation)
    return str(kind)


@pytest.mark.parametrize("one", [*HEARD, *PASSED_OVER], ids=lambda one: str(one["type"]))
def test_our_events_are_openai_s(one: Event) -> None:
    told: BaseModel = EVENT.validate_python(one)
    assert (kind_of(type(told)), told.model_extra) == (one["type"], {})
    item = one.get("item")
    if item is not None:
        assert told.model_dump()["item"]["type"] == item["type"]


def test_none_of_openai_s_events_is_missing() -> None:
    union, _ = get_args(ResponseStreamEvent)
    every = {kind_of(model) for model in get_args(union)}
    assert {one["type"] for one in [*HEARD, *PASSED_OVER]} == every
