"""Gemini's dialect against the types of Google's own library, which is needed here alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from google.genai import types
from hypothesis import given
from pydantic import ValidationError

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import Message, SystemMessage, UserMessage
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.llm import LlmRequest
from meerkat_mob.llm.gemini import request_body
from tests.llm.gemini.kit import Piece, call, piece, text, thought
from tests.llm.kit import tool
from tests.llm.sdk.conversations import CONVERSATIONS


def body_of(request: LlmRequest) -> Any:
    return msgspec.json.decode(request_body(request))


def insist(body: Any) -> None:
    """Raises ``ValidationError`` for what Google's types do not know, unknown keys too."""
    for content in body["contents"]:
        types.Content.model_validate(content)
    for one in body.get("tools", ()):
        types.Tool.model_validate(one)
    types.GenerationConfig.model_validate(body["generationConfig"])
    if "systemInstruction" in body:
        types.Content.model_validate(body["systemInstruction"])
    known = {"contents", "tools", "generationConfig", "systemInstruction"}
    assert body.keys() <= known


@given(messages=CONVERSATIONS)
def test_any_conversation_is_what_gemini_takes(messages: list[Message]) -> None:
    body = body_of(LlmRequest(model="gemini-3-pro", messages=messages))
    insist(body)
    roles = [content["role"] for content in body["contents"]]
    assert all(one != other for one, other in pairwise(roles))
    assert all(content["parts"] for content in body["contents"])


def test_all_that_a_request_can_hold_is_what_gemini_takes() -> None:
    schema: dict[str, Json] = {"type": "object", "properties": {"n": {"type": "integer"}}}
    request = LlmRequest(
        model="gemini-3-pro",
        messages=(SystemMessage(content="be brief"), UserMessage(content="go")),
        tools=(tool("look"), tool("find")),
        temperature=0.5,
        output=OutputSchema(schema=schema),
        provider_params={
            "web_search": True,
            "generationConfig": {"thinkingConfig": {"thinkingBudget": 100}, "topK": 5},
        },
    )
    insist(body_of(request))


@pytest.mark.parametrize(
    "wrong",
    [
        {"contents": [{"role": "user", "parts": [{"words": "x"}]}], "generationConfig": {}},
        {"contents": [], "generationConfig": {"maxTokens": 5}},
    ],
)
def test_the_check_finds_what_gemini_would_refuse(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        insist(wrong)


@pytest.mark.parametrize(
    "one",
    [
        piece(thought("x", "c2ln"), text("y"), text("", "c2ln")),
        piece(call("look", {"a": 1}, "c2ln", id="i"), finish="STOP"),
        piece(finish="MALFORMED_FUNCTION_CALL"),
        {"promptFeedback": {"blockReason": "SAFETY"}},
    ],
)
def test_our_pieces_are_gemini_s(one: Piece) -> None:
    types.GenerateContentResponse.model_validate(one)
