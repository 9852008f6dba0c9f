"""What Anthropic is asked: any conversation, as its dialect wants it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meerkat_mob.core.blobs import Blob
from meerkat_mob.core.content import ImageBlock, TextBlock, VideoBlock
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import (
    AnthropicMeta,
    AnthropicRedactedMeta,
    AssistantBlock,
    AssistantMessage,
    AssistantText,
    Message,
    OpenAiMeta,
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
from meerkat_mob.llm.anthropic import request_body, unsupported
from tests.llm.anthropic.kit import answer, redacted, say, stream, think
from tests.llm.anthropic.kit import use as uses
from tests.llm.kit import results, said, tool, use, user

PNG = ImageBlock(media_type="image/png", source="inline", data="QUJD")


def body(*messages: Message, model: str = "claude-opus-4-6", **more: Any) -> dict[str, Any]:
    request = LlmRequest(model=model, messages=messages, **more)
    return msgspec.json.decode(request_body(request), type=dict[str, Any])


def wire(*messages: Message) -> list[Any]:
    found: list[Any] = body(*messages)["messages"]
    return found


def text(told: str) -> dict[str, Json]:
    return {"type": "text", "text": told}


def test_a_conversation_with_calls() -> None:
    asked = body(
        SystemMessage(content="be brief"),
        user("hi"),
        said("Looking", use("a", "look", at="é"), use("b", "wait")),
        results({"a": "seen"}),
        results({"b": "no"}, is_error=True),
        SystemNotice(kind="generic", body="a word"),
        user("well?"),
        tools=(tool("look"),),
        max_tokens=9,
        temperature=0.5,
    )
    assert asked["messages"] == [
        {"role": "user", "content": [text("hi")]},
        {
            "role": "assistant",
            "content": [
                text("Looking"),
                {"type": "tool_use", "id": "a", "name": "look", "input": {"at": "é"}},
                {"type": "tool_use", "id": "b", "name": "wait", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "seen"},
                {"type": "tool_result", "tool_use_id": "b", "content": "no", "is_error": True},
                text("[SYSTEM NOTICE] a word"),
                text("well?"),
            ],
        },
    ]
    del asked["messages"]
    assert asked == {
        "model": "claude-opus-4-6",
        "max_tokens": 9,
        "stream": True,
        "system": "be brief",
        "temperature": 0.5,
        "cache_control": {"type": "ephemeral"},
        "tools": [{"name": "look", "description": "does look", "input_schema": {"type": "object"}}],
    }


def test_nothing_empty_is_sent() -> None:
    assert wire(user(""), said(), user(" \n")) == []
    empty = ToolResults(results=(ToolResult(tool_use_id="a", content=""),))
    assert wire(said("", use("a", "look")), empty)[1] == {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "a"}],
    }


def test_what_a_run_is_told_leaves_the_prompt_where_it_is_cached() -> None:
    with_notes = body(SystemMessage(content="be brief"), user("x"), system_context="today only")
    assert with_notes["system"] == [
        {"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "today only"},
    ]
    assert body(user("x"), system_context="today only")["system"] == "today only"
    assert "system" not in body(user("x"))


def test_a_longer_conversation_begins_with_the_bytes_of_the_shorter() -> None:
    messages: list[Message] = [
        user("a"),
        said("b", use("1", "look")),
        results({"1": "c"}),
        said("d"),
        user("e"),
    ]
    short, long = (
        msgspec.json.encode(wire(*messages[:count])).removesuffix(b"]") for count in (3, 5)
    )
    assert long.startswith(short)


def test_its_own_reasoning_goes_back_byte_for_byte() -> None:
    events = stream(think(0, "hm é"), redacted(1, "c2VhbGVk"), say(2, "So."), uses(3, "look"))
    told = answer(*events)
    message = AssistantMessage(blocks=told.blocks, stop_reason="tool_use")
    assert wire(user("x"), message, results({"toolu_3": "y"}))[1]["content"] == [
        {"type": "thinking", "thinking": "hm é", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "c2VhbGVk"},
        text("So."),
        {"type": "tool_use", "id": "toolu_3", "name": "look", "input": {}},
    ]


def test_reasoning_of_others_is_left_out_and_so_is_what_is_not_signed() -> None:
    def thought(meta: Any) -> AssistantBlock:
        return Reasoning(data=TextData(text="hm", meta=meta))

    blocks = (thought(OpenAiMeta(id="rs")), thought(msgspec.UNSET))
    spoken = AssistantText(data=TextData(text="So."))
    alone = AssistantMessage(blocks=blocks, stop_reason="end_turn")
    assert wire(user("a"), alone, user("b")) == [
        {"role": "user", "content": [text("a"), text("b")]}
    ]
    both = AssistantMessage(blocks=(*blocks, spoken), stop_reason="end_turn")
    assert wire(user("a"), both)[1]["content"] == [text("So.")]


def test_sealed_reasoning_has_no_text() -> None:
    sealed = Reasoning(data=TextData(text="", meta=AnthropicRedactedMeta(data="x")))
    signed = Reasoning(data=TextData(text="", meta=AnthropicMeta(signature="y")))
    found = wire(AssistantMessage(blocks=(sealed, signed), stop_reason="end_turn"))
    assert [block["type"] for block in found[0]["content"]] == ["redacted_thinking", "thinking"]


def test_ids_of_other_providers_are_written_as_this_one_writes_them() -> None:
    call, result = wire(said("", use("call:1/ü", "look")), results({"call:1/ü": "x"}))
    assert call["content"][0]["id"] == result["content"][0]["tool_use_id"] == "call_1__"


def test_images_are_shown_in_messages_and_in_results() -> None:
    image = {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"},
    }
    blob = Blob(media_type="image/png", data="QUJD")
    stored = ImageBlock(media_type="image/png", source="blob", blob_id="b")
    gone = ImageBlock(media_type="image/png", source="blob", blob_id="gone")
    odd = ImageBlock(media_type="image/tiff", source="inline", data="QUJD")
    video = VideoBlock(media_type="video/mp4", duration_ms=5, source="inline", data="QUJD")
    shown = (TextBlock(text="see"), PNG, stored, gone, odd, video)
    result = ToolResult(tool_use_id="a", content=(PNG,))
    found = body(
        user_with(shown),
        said("", use("a", "look")),
        ToolResults(results=(result,)),
        blobs={"b": blob},
    )["messages"]
    told = [
        text("[image unavailable: gone]"),
        text("[image: image/tiff]"),
        text("[video: video/mp4]"),
    ]
    assert found[0]["content"] == [text("see"), image, image, *told]
    assert found[2]["content"] == [{"type": "tool_result", "tool_use_id": "a", "content": [image]}]


@pytest.mark.parametrize(
    ("content", "told"),
    [("no", "no"), ("", "[failed]"), (" \n", "[failed]"), ((PNG,), "[image: image/png]")],
)
def test_an_error_is_told_in_words_for_nothing_else_is_taken(content: Any, told: str) -> None:
    failed = ToolResult(tool_use_id="a", content=content, is_error=True)
    found = wire(said("", use("a", "look")), ToolResults(results=(failed,)))[1]["content"]
    assert found == [{"type": "tool_result", "tool_use_id": "a", "content": told, "is_error": True}]


def user_with(content: Any) -> Message:
    return msgspec.structs.replace(user(""), content=content)


# -- params ---------------------------------------------------------------------------------------


def test_params_win_and_null_takes_away() -> None:
    asked = body(
        user("x"),
        temperature=1.0,
        provider_params={
            "thinking": {"type": "adaptive"},
            "output_config": {"effort": "low"},
            "cache_control": None,
            "top_k": 5,
        },
    )
    assert asked["thinking"] == {"type": "adaptive"}
    assert (asked["output_config"], asked["top_k"]) == ({"effort": "low"}, 5)
    assert not {"cache_control", "temperature"} & asked.keys()


@pytest.mark.parametrize(
    ("switch", "tools"),
    [
        (True, [{"type": "web_search_20250305", "name": "web_search"}]),
        (
            {"max_uses": 2},
            [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}],
        ),
        (False, None),
    ],
)
def test_a_search_of_the_server_s_own_is_a_switch(switch: Json, tools: Json) -> None:
    asked = body(user("x"), provider_params={"web_search": switch})
    assert asked.get("tools") == tools
    assert "web_search" not in asked


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"messages": []}, "sets 'messages'"),
        ({"system": "x", "stream": False}, "sets 'stream', 'system'"),
        ({"web_search": "yes"}, "web_search is 'yes'"),
        ({"thinking": {"type": "enabled", "budget_tokens": 4096}}, "raise max_tokens"),
    ],
)
def test_params_that_cannot_be_are_refused(params: dict[str, Json], told: str) -> None:
    with pytest.raises(LlmFailed, match=told):
        body(user("x"), provider_params=params)


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        ("claude-opus-4-6", True),
        ("claude-3-5-haiku-20241022", True),
        ("some-model", True),
        ("claude-opus-4-7", False),
        ("claude-sonnet-5", False),
        ("claude-fable-5-1", False),
    ],
)
def test_models_that_refuse_a_temperature_are_told_none(model: str, sent: bool) -> None:
    assert ("temperature" in body(user("x"), model=model, temperature=0.0)) is sent


def test_a_model_that_is_not_to_think_is_told_a_temperature() -> None:
    asked = body(user("x"), temperature=0.5, provider_params={"thinking": {"type": "disabled"}})
    assert asked["temperature"] == 0.5


def test_a_tool_that_takes_one_of_several_forms_is_told_all_their_arguments() -> None:
    number: Json = {"type": "integer"}
    schema: dict[str, Json] = {
        "type": "object",
        "properties": {"a": number},
        "required": ["a"],
        "oneOf": [{"properties": {"b": number}, "required": ["b"]}, {"properties": {"c": number}}],
        "allOf": [{"$ref": "#/$defs/d"}],
    }
    union = msgspec.structs.replace(tool("look"), input_schema=schema)
    (asked,) = body(user("x"), tools=(union,))["tools"]
    assert asked["input_schema"] == {
        "type": "object",
        "properties": {"a": number, "b": number, "c": number},
        "required": ["a"],
    }


# -- forms ----------------------------------------------------------------------------------------

SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "minimum": 1},
        "tags": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"$ref": "#/$defs/t"}},
        "one": {"oneOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]},
    },
    "required": ["n"],
    "additionalProperties": True,
    "$defs": {"t": {"type": "object", "properties": {"name": {"type": "string"}}}},
}


def test_a_form_is_said_as_far_as_the_dialect_can() -> None:
    asked = body(user("x"), output=OutputSchema(schema=SCHEMA))
    assert asked["output_config"]["format"] == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {
                "n": {"type": "integer"},
                "tags": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/t"}},
                "one": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            },
            "required": ["n"],
            "additionalProperties": False,
            "$defs": {
                "t": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}},
                    "additionalProperties": False,
                }
            },
        },
    }
    assert [*unsupported(SCHEMA)] == [
        "minimum at #/properties/n",
        "maxItems at #/properties/tags",
        "maxLength at #/properties/one/oneOf/0",
        "additionalProperties at #",
    ]


def test_of_formats_only_those_that_are_known_are_said() -> None:
    schema: dict[str, Json] = {
        "type": "object",
        "properties": {
            "at": {"type": "string", "format": "date-time"},
            "cost": {"type": "string", "format": "decimal"},
            "format": {"type": "string"},
        },
    }
    asked = body(user("x"), output=OutputSchema(schema=schema))
    assert asked["output_config"]["format"]["schema"]["properties"] == {
        "at": {"type": "string", "format": "date-time"},
        "cost": {"type": "string"},
        "format": {"type": "string"},
    }
    assert [*unsupported(schema)] == ["format at #/properties/cost"]


def test_an_object_that_may_be_null_is_closed_too() -> None:
    perhaps: dict[str, Json] = {"type": ["object", "null"], "properties": {"n": {}}}
    form = body(user("x"), output=OutputSchema(schema=perhaps))["output_config"]["format"]
    assert form["schema"] == {**perhaps, "additionalProperties": False}


def test_a_form_that_must_be_said_in_full_is_refused_with_what_cannot() -> None:
    with pytest.raises(LlmFailed, match="minimum at #/properties/n"):
        body(user("x"), output=OutputSchema(schema=SCHEMA, compat="strict"))


PLAIN: dict[str, Json] = {"type": "object", "properties": {"n": {"type": "integer"}}}
NODE: dict[str, Json] = {
    "type": "object",
    "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
}
TEXTS: dict[str, Json] = {"type": "object", "additionalProperties": {"type": "string"}}


@pytest.mark.parametrize(
    "schema",
    [
        TEXTS,
        {"type": "object", "properties": {"by_name": TEXTS}},
        {"type": "array", "items": {"type": "object"}},
        {"$ref": "#/$defs/node", "$defs": {"node": NODE}},
        {"type": "object", "properties": {"child": {"$ref": "#"}}},
    ],
)
def test_a_form_that_would_be_another_is_not_said_at_all(schema: dict[str, Json]) -> None:
    assert "output_config" not in body(user("x"), output=OutputSchema(schema=schema))


def test_a_form_that_stands_behind_a_name_is_said() -> None:
    named: dict[str, Json] = {
        "$ref": "#/$defs/pair",
        "$defs": {
            "pair": {
                "type": "object",
                "properties": {"a": {"$ref": "#/$defs/n"}, "b": {"$ref": "#/$defs/n"}},
            },
            "n": {"type": "integer"},
        },
    }
    told = body(user("x"), output=OutputSchema(schema=named))["output_config"]["format"]["schema"]
    assert told["properties"] == {"a": {"$ref": "#/$defs/n"}, "b": {"$ref": "#/$defs/n"}}


@pytest.mark.parametrize(
    ("model", "has"),
    [
        ("claude-opus-4-6", True),
        ("claude-sonnet-4-5-20250929", True),
        ("claude-opus-4-1", True),
        ("claude-haiku-4-5", True),
        ("claude-5", True),
        ("claude-fable-5-1", True),
        ("claude-sonnet-4-20250514", False),
        ("claude-3-5-sonnet-20241022", False),
        ("some-model", False),
    ],
)
def test_only_models_that_can_are_held_to_a_form(model: str, has: bool) -> None:
    asked = body(user("x"), model=model, output=OutputSchema(schema=PLAIN))
    assert ("output_config" in asked) is has
