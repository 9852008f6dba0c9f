"""What Gemini is asked: any conversation, as its dialect wants it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meerkat_mob.core.content import ImageBlock, TextBlock, VideoBlock
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import (
    AnthropicMeta,
    AssistantMessage,
    AssistantText,
    Message,
    Reasoning,
    SystemMessage,
    SystemNotice,
    TextData,
    ToolResult,
    ToolResults,
)
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm import LlmRequest
from meerkat_mob.llm.gemini import request_body
from tests.llm.gemini import kit
from tests.llm.kit import results, said, tool, use, user

SEARCHING: list[Json] = [{"googleSearch": {}}]
PNG = ImageBlock(media_type="image/png", source="inline", data="QUJD")


def body(*messages: Message, model: str = "gemini-2.5-pro", **more: Any) -> dict[str, Any]:
    request = LlmRequest(model=model, messages=messages, **more)
    return msgspec.json.decode(request_body(request), type=dict[str, Any])


def wire(*messages: Message) -> list[Any]:
    found: list[Any] = body(*messages)["contents"]
    return found


def test_a_conversation_with_calls() -> None:
    asked = body(
        SystemMessage(content="be brief"),
        user("hi"),
        said("Looking", use("a", "look", at="é"), use("b", "look")),
        results({"a": "seen"}),
        results({"b": "no"}, is_error=True),
        SystemNotice(kind="generic", body="a word"),
        user("well?"),
        tools=(tool("look"),),
        max_tokens=9,
        temperature=0.5,
    )
    assert asked == {
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "generationConfig": {"maxOutputTokens": 9, "temperature": 0.5},
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "look",
                        "description": "does look",
                        "parametersJsonSchema": {"type": "object"},
                    }
                ]
            }
        ],
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}]},
            {
                "role": "model",
                "parts": [
                    {"text": "Looking"},
                    {"functionCall": {"id": "a", "name": "look", "args": {"at": "é"}}},
                    {"functionCall": {"id": "b", "name": "look", "args": {}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    _response("a", output="seen"),
                    _response("b", error="no"),
                    {"text": "[SYSTEM NOTICE] a word"},
                    {"text": "well?"},
                ],
            },
        ],
    }


def _response(name: str, **told: str) -> dict[str, Any]:
    return {"functionResponse": {"id": name, "name": "look", "response": told}}


GO_ON = {"role": "user", "parts": [{"text": "Go on."}]}


def test_the_model_never_has_the_last_word() -> None:
    assert wire(user("a"), said("b"))[1:] == [{"role": "model", "parts": [{"text": "b"}]}, GO_ON]
    assert wire(user("a"), said("b"), user(" "))[-1] == GO_ON


def test_nothing_empty_is_sent() -> None:
    assert wire(user(""), said(), user(" \n")) == [GO_ON]
    assert wire(user("a"), said(), user("b")) == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}
    ]


def test_signatures_go_back_byte_for_byte_on_the_parts_they_came_with() -> None:
    parts = [
        kit.thought("hm", "dGg="),
        kit.text("So.", "dHg="),
        kit.call("look", {"at": 1}, "Y2E=", id="c1"),
        kit.text("", "ZW4="),
    ]
    told = kit.answer(kit.piece(*parts, finish="STOP"))
    message = AssistantMessage(blocks=told.blocks, stop_reason="tool_use")
    assert wire(user("x"), message)[1] == {"role": "model", "parts": parts}


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        ("gemini-3-pro", True),
        ("gemini-3.1-flash-preview", True),
        ("gemini-2.5-pro", False),
        ("some-model", False),
    ],
)
def test_calls_that_another_model_made_say_so_where_a_signature_is_wanted(
    model: str, wanted: bool
) -> None:
    told = kit.answer(
        kit.piece(kit.call("look", {}, "Y2E=", id="c"), kit.call("look", {}, id="d"), finish="STOP")
    )
    own = AssistantMessage(blocks=told.blocks, stop_reason="tool_use")
    foreign = said("", use("a", "look"), use("b", "look"))
    asked = body(user("x"), foreign, results({"a": "", "b": ""}), own, model=model)
    signed = [
        part.get("thoughtSignature") for at in (1, 3) for part in asked["contents"][at]["parts"]
    ]
    first = "skip_thought_signature_validator" if wanted else None
    assert signed == [first, None, "Y2E=", None]


def test_reasoning_of_others_is_left_out() -> None:
    foreign = TextData(text="hm", meta=AnthropicMeta(signature="x"))
    blocks = (
        Reasoning(data=foreign),
        Reasoning(data=TextData(text="oh")),
        AssistantText(data=TextData(text="So.", meta=AnthropicMeta(signature="y"))),
    )
    message = AssistantMessage(blocks=blocks, stop_reason="end_turn")
    assert wire(message) == [{"role": "model", "parts": [{"text": "So."}]}, GO_ON]


def test_images_and_videos_are_shown_those_of_results_behind_them() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "QUJD"}}
    video = VideoBlock(media_type="video/mp4", duration_ms=5, source="inline", data="QUJD")
    gone = ImageBlock(media_type="image/png", source="blob", blob_id="gone")
    shown = msgspec.structs.replace(user(""), content=(TextBlock(text="see"), PNG, video, gone))
    result = ToolResult(tool_use_id="a", content=(TextBlock(text="here"), PNG))
    found = wire(shown, said("", use("a", "look")), ToolResults(results=(result,)))
    assert found[0]["parts"] == [
        {"text": "see"},
        image,
        {"inlineData": {"mimeType": "video/mp4", "data": "QUJD"}},
        {"text": "[image unavailable: gone]"},
    ]
    assert found[2]["parts"] == [
        _response("a", output="here\n[image: image/png]"),
        {"text": "[images in the result of a]"},
        image,
    ]


def test_a_result_whose_call_is_gone_still_has_a_name() -> None:
    (only,) = wire(results({"a": "seen"}))
    assert only["parts"][0]["functionResponse"]["name"] == "tool"


def test_params_win_and_null_takes_away() -> None:
    thinking: Json = {"thinkingConfig": {"thinkingBudget": 0}, "maxOutputTokens": None}
    asked = body(user("x"), provider_params={"generationConfig": thinking, "labels": {"a": "b"}})
    assert asked["generationConfig"] == {"thinkingConfig": {"thinkingBudget": 0}}
    assert asked["labels"] == {"a": "b"}


def test_a_form_goes_along_as_it_is() -> None:
    schema: dict[str, Json] = {"type": "object", "properties": {"n": {"type": "integer"}}}
    config = body(user("x"), output=OutputSchema(schema=schema))["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"] == schema


def test_an_answer_in_a_form_is_given_without_searching() -> None:
    form = OutputSchema(schema={"type": "object"})
    assert "tools" not in body(user("x"), output=form, provider_params={"google_search": True})


@pytest.mark.parametrize("name", ["google_search", "web_search"])
@pytest.mark.parametrize(("switch", "tools"), [(True, SEARCHING), ({}, SEARCHING), (False, None)])
def test_a_search_of_the_server_s_own_is_a_switch(name: str, switch: Json, tools: Json) -> None:
    asked = body(user("x"), provider_params={name: switch})
    assert asked.get("tools") == tools
    assert name not in asked


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"contents": []}, "sets 'contents'"),
        ({"systemInstruction": {}}, "sets 'systemInstruction'"),
        ({"web_search": "yes"}, "google_search is 'yes'"),
    ],
)
def test_params_that_cannot_be_are_refused(params: dict[str, Json], told: str) -> None:
    with pytest.raises(LlmFailed, match=told):
        body(user("x"), provider_params=params)
