"""What Anthropic is asked: any conversation, as its dialect wants it."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from meerkat_mob.core.blobs import Blob
from meerkat_mob.core.content import ImageBlock, TextBlock, VideoBlock
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import (
    AnthropicMeta,
    AnthropicRedactedMeta,
    AnthropicServerMeta,
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
from meerkat_mob.errors import LlmFailed
from tests.llm.anthropic.kit import (
    SEARCHED,
    answer,
    body,
    ended,
    look_up,
    redacted,
    say,
    stream,
    think,
)
from tests.llm.anthropic.kit import use as uses
from tests.llm.kit import results, said, tool, use, user

PNG = ImageBlock(media_type="image/png", source="inline", data="QUJD")


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
    assert wire(user(""), said(), user(" \n")) == [GO_ON]
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
    calls = said("", use("call:1", "look"), use("call.1", "look"))
    asked, given = wire(calls, results({"call:1": "x", "call.1": "y"}))
    ids = [block["id"] for block in asked["content"]]
    assert ids == [block["tool_use_id"] for block in given["content"]]
    assert len({*ids}) == 2
    assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", one) for one in ids)


GO_ON = {"role": "user", "content": [text("Go on.")]}


def test_the_model_never_has_the_last_word() -> None:
    """Newer models refuse to finish what was begun for them."""
    assert wire(user("a"), said("b"))[1:] == [
        {"role": "assistant", "content": [text("b")]},
        GO_ON,
    ]
    assert wire(user("a"), said("b"), user(" "))[-1] == GO_ON
    assert wire(user("a"), said("b"), user("c"))[-1] == {"role": "user", "content": [text("c")]}


# -- tools of the server's own --------------------------------------------------------------------


def test_what_its_own_tools_were_asked_and_gave_goes_back_as_it_came_and_in_its_place() -> None:
    """Reasoning between searches stays between them."""
    events = stream(think(0, "hm"), look_up(1), think(3, "so"), look_up(4), say(6, "Otters."))
    message = AssistantMessage(blocks=answer(*events).blocks, stop_reason="end_turn")
    first, second = (
        {"type": "thinking", "thinking": told, "signature": "c2ln"} for told in ("hm", "so")
    )
    assert wire(user("x"), message, user("y"))[1]["content"] == [
        first,
        *SEARCHED,
        second,
        *SEARCHED,
        text("Otters."),
    ]


def test_a_search_that_was_cut_short_is_left_out_for_it_would_be_refused_for_ever() -> None:
    begin, end = look_up(1)[0], look_up(1)[2]
    cut = answer(*stream(say(0, "I look."), [begin, end], end=ended("max_tokens")))
    message = AssistantMessage(blocks=cut.blocks, stop_reason="max_tokens")
    assert wire(user("x"), message, user("y"))[1]["content"] == [text("I look.")]


def test_what_is_no_part_is_left_out() -> None:
    """As a session that was brought in from elsewhere may hold it."""

    def own(block: str) -> AssistantBlock:
        return Reasoning(data=TextData(text="", meta=AnthropicServerMeta(block=block)))

    blocks = (own("{"), own("5"), own('{"id":{}}'), *said("x").blocks)
    message = AssistantMessage(blocks=blocks, stop_reason="tool_use")
    assert wire(user("a"), message, user("b"))[1]["content"] == [text("x")]


def test_a_search_that_waits_for_the_results_of_calls_stays() -> None:
    begin, end = look_up(0)[0], look_up(0)[2]
    told = answer(*stream([begin, end], uses(1, "look"), end=ended("tool_use")))
    message = AssistantMessage(blocks=told.blocks, stop_reason=told.stop_reason)
    content = wire(user("x"), message, results({"toolu_1": "y"}))[1]["content"]
    assert [block["type"] for block in content] == ["server_tool_use", "tool_use"]


def test_an_answer_that_the_server_interrupted_has_the_last_word() -> None:
    told = answer(*stream(look_up(0), end=ended("tool_use")))
    begun = AssistantMessage(blocks=told.blocks, stop_reason="tool_use")
    assert wire(user("x"), begun)[-1] == {"role": "assistant", "content": [*SEARCHED]}
    assert wire(user("x"), begun, begun)[-1]["content"] == [*SEARCHED, *SEARCHED]


def test_a_summary_of_the_server_s_goes_back_with_all_that_seals_it() -> None:
    block = {
        "type": "compaction",
        "content": "so",
        "encrypted_content": "RQ==",
        "signature": "c2ln",
        "tool_changes": [{"type": "tool_removal", "name": "look"}],
    }
    (kept,) = answer({"type": "message", "content": [block], "stop_reason": "end_turn"}).blocks
    assert wire(AssistantMessage(blocks=(kept,), stop_reason="end_turn"))[0]["content"] == [block]


def test_a_team_s_own_web_search_beside_the_server_s_is_refused() -> None:
    with pytest.raises(LlmFailed, match="there is a tool called web_search") as refused:
        body(user("x"), tools=(tool("web_search"),), provider_params={"web_search": True})
    assert not refused.value.retryable
    alone = body(user("x"), tools=(tool("web_search"),), provider_params={"web_search": False})
    assert [one["name"] for one in alone["tools"]] == ["web_search"]


# -- calls without tools, and without thoughts ----------------------------------------------------


def test_a_conversation_with_calls_has_a_tool_though_none_may_be_called() -> None:
    """As when an answer is given once more in a form: the server wants one where calls are."""
    history = (user("x"), said("", use("a", "look")), results({"a": "y"}))
    asked = body(*history, provider_params={"tool_choice": {"type": "any"}})
    assert [one["name"] for one in asked["tools"]] == ["no_tool"]
    assert asked["tool_choice"] == {"type": "none"}
    assert "tools" not in body(user('"type":"tool_use"'), said("b"), user("c"))
    asked = body(*history, tools=(tool("look"),))
    assert [one["name"] for one in asked["tools"]] == ["look"]
    assert "tool_choice" not in asked


def a_loop(*before: Message, thought: bool) -> tuple[Message, ...]:
    signed = Reasoning(data=TextData(text="hm", meta=AnthropicMeta(signature="c2ln")))
    called = said("", use("a", "look"))
    blocks = (signed, *called.blocks) if thought else called.blocks
    answer = msgspec.structs.replace(called, blocks=blocks)
    return (user("x"), *before, answer, results({"a": "y"}))


SECOND = (said("", use("b", "look")), results({"b": "z"}))


@pytest.mark.parametrize(
    ("messages", "thinks"),
    [
        (a_loop(thought=False), False),
        ((*a_loop(thought=False), *SECOND), False),
        ((*a_loop(thought=False), user("by the way")), False),
        (a_loop(thought=True), True),
        ((*a_loop(thought=True), *SECOND), True),
        ((*a_loop(thought=True), SystemNotice(kind="generic", body="n"), *SECOND), True),
        ((*a_loop(thought=False), said("done"), user("again")), True),
        ((*a_loop(thought=False), said("done"), *a_loop(thought=True)), True),
        (a_loop(said("partly"), thought=True), False),
        ((user("x"),), True),
    ],
)
def test_a_call_that_was_made_without_a_thought_is_not_gone_on_from_with_one(
    messages: tuple[Message, ...], thinks: bool
) -> None:
    """As when another model has stood in for this one: the server would refuse it."""
    given: dict[str, Json] = {"type": "enabled", "budget_tokens": 2000}
    asked = body(*messages, tools=(tool("look"),), provider_params={"thinking": given})
    assert asked["thinking"] == (given if thinks else {"type": "disabled"})
    adaptive = body(*messages, provider_params={"thinking": {"type": "adaptive"}})
    assert adaptive["thinking"] == {"type": "adaptive"}


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
