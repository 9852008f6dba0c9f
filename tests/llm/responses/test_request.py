"""What we ask, in the words of the Responses API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given

from meerkat_mob.core.blobs import NO_BLOBS, Blob
from meerkat_mob.core.content import ImageBlock, TextBlock, VideoBlock
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import (
    AnthropicMeta,
    AssistantBlock,
    AssistantFlat,
    AssistantMessage,
    GeminiMeta,
    LegacyToolCall,
    Message,
    Reasoning,
    SystemMessage,
    SystemNotice,
    TextData,
    ToolResult,
    ToolResults,
    ToolUse,
    ToolUseData,
    UserMessage,
    text_of_message,
)
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm import LlmRequest
from meerkat_mob.llm.responses import request_body
from tests.llm.kit import asking, results, said, use, user
from tests.llm.responses.kit import (
    Event,
    answer,
    call,
    completed,
    done,
    reasoned,
    say,
    stream,
    text,
    thought,
)
from tests.llm.responses.scripts import SCRIPTS, Script, played

SEALED = {
    "type": "reasoning",
    "id": "item_0",
    "summary": [{"type": "summary_text", "text": "hm"}],
    "encrypted_content": "gAAA",
}


def body_of(request: LlmRequest, **changes: Any) -> dict[str, Any]:
    request = msgspec.structs.replace(request, **changes)
    return msgspec.json.decode(request_body(request), type=dict[str, Any])


def wire(*messages: Message, blobs: Mapping[str, Blob] = NO_BLOBS) -> list[Any]:
    items: list[Any] = body_of(LlmRequest(model="m", messages=messages, blobs=blobs))["input"]
    return items


def message(role: str, content: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


def answered(*blocks: AssistantBlock) -> AssistantMessage:
    return AssistantMessage(blocks=blocks, stop_reason="end_turn")


def test_a_call_streams_and_leaves_nothing_at_the_server() -> None:
    assert body_of(asking("hi")) == {
        "model": "some-model",
        "input": [message("user", "hi")],
        "stream": True,
        "store": False,
        "max_output_tokens": 4096,
    }


def test_tools_are_functions_that_are_not_strict_unless_they_say_so() -> None:
    assert body_of(asking("hi", tools=["look"]))["tools"] == [
        {
            "type": "function",
            "name": "look",
            "description": "does look",
            "parameters": {"type": "object"},
            "strict": False,
        }
    ]


def test_a_conversation_with_tools_reads_as_the_dialect_writes_it() -> None:
    assert wire(
        SystemMessage(content="be brief"),
        user("go"),
        said("looking", use("c1", "look", at="x"), use("c2", "look")),
        results({"c1": "one", "c2": "two"}, is_error=True),
        said("done"),
    ) == [
        message("user", "go"),
        message("assistant", "looking"),
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"at":"x"}'},
        {"type": "function_call", "call_id": "c2", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "function_call_output", "call_id": "c2", "output": "two"},
        message("assistant", "done"),
    ]


def test_blocks_keep_their_order_and_empty_ones_are_left_out() -> None:
    blocks = (text("a"), text(""), use("c1", "f"), text("b"))
    assert [item.get("content", item["type"]) for item in wire(answered(*blocks))] == [
        "a",
        "function_call",
        "b",
    ]
    assert wire(said()) == []


def test_the_old_flat_answer_is_written_the_same_way() -> None:
    old = LegacyToolCall(id="c1", name="look", args=msgspec.Raw(b"{}"))
    assert wire(AssistantFlat(content="x", tool_calls=(old,))) == wire(said("x", use("c1", "look")))
    assert wire(AssistantFlat(content="", tool_calls=(old,))) == wire(said("", use("c1", "look")))


def test_user_messages_in_a_row_become_one() -> None:
    notice = SystemNotice(kind="tool_scope", body="changed")
    assert wire(user("a"), notice, user("b"), said("x"), user("c")) == [
        message("user", "a\n\n[SYSTEM NOTICE][TOOL_SCOPE] changed\n\nb"),
        message("assistant", "x"),
        message("user", "c"),
    ]


def test_the_system_prompt_and_the_notes_of_a_run_are_the_instructions() -> None:
    body = body_of(asking(SystemMessage(content="be brief"), "go"), system_context="note")
    assert body["instructions"] == "be brief\n\n---\n\nnote"
    assert body["input"] == [message("user", "go")]
    assert "instructions" not in body_of(asking(SystemMessage(content=""), "go"))


def test_a_system_message_within_a_conversation_stays_where_it_is() -> None:
    assert wire(user("go"), SystemMessage(content="later"))[1:] == [message("system", "later")]


# -- images --------------------------------------------------------------------------------------

INLINE = ImageBlock(media_type="image/png", source="inline", data="QUJD")
NAMED = ImageBlock(media_type="image/jpeg", source="blob", blob_id="b1")
SEEN = {"type": "input_image", "image_url": "data:image/png;base64,QUJD", "detail": "auto"}
BLOBS = {"b1": Blob(media_type="image/png", data="QUJD")}


def told(words: str) -> dict[str, Any]:
    return {"type": "input_text", "text": words}


def test_images_go_along_as_data_urls_and_videos_as_words() -> None:
    video = VideoBlock(media_type="video/mp4", duration_ms=5, source="inline", data="QUJD")
    gone = ImageBlock(media_type="image/png", source="blob", blob_id="b2")
    blocks = (TextBlock(text="what is this?"), INLINE, NAMED, gone, video)
    expected = [
        told("look"),
        told("what is this?"),
        SEEN,
        SEEN,
        told("[image unavailable: b2]"),
        told("[video: video/mp4]"),
    ]
    found = wire(user("look"), UserMessage(content=blocks), blobs=BLOBS)
    assert found == [message("user", expected)]


def test_without_an_image_there_is_text() -> None:
    video = VideoBlock(media_type="video/mp4", duration_ms=5, source="inline", data="QUJD")
    assert wire(UserMessage(content=(TextBlock(text="a"), video))) == [
        message("user", "a\n[video: video/mp4]")
    ]
    assert wire(UserMessage(content=(NAMED,))) == [message("user", "[image unavailable: b1]")]


def test_images_of_tools_stay_in_their_results() -> None:
    result = ToolResult(tool_use_id="c1", content=(TextBlock(text="see"), NAMED))
    (_, output) = wire(said("", use("c1", "f")), ToolResults(results=(result,)), blobs=BLOBS)
    assert output["output"] == [told("see"), SEEN]


# -- reasoning -----------------------------------------------------------------------------------


def test_sealed_reasoning_is_replayed_in_front_of_what_followed_it() -> None:
    assert wire(answered(reasoned("hm", 0, "gAAA"), text("x"), use("c1", "f"))) == [
        SEALED,
        message("assistant", "x"),
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
    ]


def test_the_parts_of_a_summary_are_one_item_again() -> None:
    thoughts = (reasoned("a", 0), reasoned("b", 0, "s0"), reasoned("", 1, "s1"))
    first, second, _ = wire(answered(*thoughts, text("x")))
    assert [part["text"] for part in first["summary"]] == ["a", "b"]
    assert (first["encrypted_content"], second["encrypted_content"]) == ("s0", "s1")
    assert (second["id"], second["summary"]) == ("item_1", [])


@pytest.mark.parametrize(
    "thought",
    [
        reasoned("shown"),
        reasoned("not sealed", 7),
        Reasoning(data=TextData(text="", meta=AnthropicMeta(signature="s"))),
        Reasoning(data=TextData(text="", meta=GeminiMeta(thought_signature="s"))),
    ],
)
def test_what_cannot_be_replayed_or_is_another_provider_s_is_left_out(
    thought: AssistantBlock,
) -> None:
    assert wire(answered(thought, text("x"))) == [message("assistant", "x")]
    assert wire(answered(thought, reasoned("hm", 0, "gAAA"), text("x")))[0] == SEALED


def test_an_answer_of_another_provider_keeps_its_text_and_calls() -> None:
    meta = GeminiMeta(thought_signature="s")
    spoken = text("x")
    called = ToolUse(data=ToolUseData(id="c1", name="f", args=msgspec.Raw(b"{}"), meta=meta))
    assert wire(answered(spoken, called)) == wire(said("x", use("c1", "f")))


def test_reasoning_that_nothing_followed_is_left_out() -> None:
    """The server refuses it: an answer cut short in the middle of a thought."""
    assert wire(user("a"), answered(reasoned("hm", 0, "gAAA")), user("b")) == [
        message("user", "a"),
        message("user", "b"),
    ]


def replayed(item: dict[str, Any]) -> dict[str, Any]:
    """What of an item is sent back; nothing at the server has a call's own name."""
    kept = ["type", "id", "summary", "encrypted_content"]
    if item["type"] == "function_call":
        kept = ["type", "call_id", "name", "arguments"]
    return {key: item[key] for key in kept}


def stored(*blocks: AssistantBlock) -> AssistantMessage:
    return msgspec.json.decode(msgspec.json.encode(answered(*blocks)), type=AssistantMessage)


def test_an_answer_comes_back_as_it_was_byte_for_byte() -> None:
    seal = "gAAAAB" + "/+\u00e9\u2028\U0001f9ed=" * 50
    items = [
        thought(0, "one\n", 'tw"o', sealed=seal),
        call(1, "f", '{"a":"\u00e9"}'),
        thought(2, sealed="other"),
        call(3, "g", "{}"),
    ]
    whole = answer(*(done(i, item) for i, item in enumerate(items)), completed())
    assert wire(stored(*whole.blocks)) == [replayed(item) for item in items]


@given(script=SCRIPTS)
def test_any_answer_comes_back_as_it_was(script: Script) -> None:
    events, _ = played(script)
    found = wire(stored(*answer(*stream(*events)).blocks))
    kinds = [kind for kind, _ in script]
    last = max((i for i, kind in enumerate(kinds) if kind in {"say", "refuse", "use"}), default=-1)
    sealed = [e[-1]["item"] for e, kind in zip(events, kinds, strict=True) if kind == "think"]
    called = [e[-1]["item"] for e, kind in zip(events, kinds, strict=True) if kind == "use"]
    assert [item for item in found if item["type"] == "function_call"] == list(
        map(replayed, called)
    )
    followed = [item for item in sealed if int(item["id"].removeprefix("item_")) < last]
    assert [item for item in found if item["type"] == "reasoning"] == list(map(replayed, followed))
    text_said = [item["content"] for item in found if item["type"] == "message"]
    assert "".join(text_said).replace("\n\n", "") == "".join(
        what for kind, what in script if kind in {"say", "refuse"}
    ).replace("\n\n", "")


# -- what models and schemas bear ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "reasons"),
    [
        ("gpt-5", True),
        ("gpt-5.2", True),
        ("GPT-6-Astra", True),
        ("o3", True),
        ("o4-mini", True),
        ("codex-mini-latest", True),
        ("openai/gpt-5-mini", True),
        ("ft:o4-mini:me", True),
        ("gpt-10-x", True),
        ("gpt-5.2-chat-latest", True),
        ("gpt-4o", False),
        ("gpt-4.1", False),
        ("gpt-5-chat-latest", False),
        ("chatgpt-4o-latest", False),
        ("llama3.2", False),
        ("phi-o3", False),
    ],
)
def test_models_that_reason_take_no_temperature_and_seal_their_reasoning(
    model: str, reasons: bool
) -> None:
    body = body_of(asking("hi", model=model), temperature=0.5)
    sealed = ["reasoning.encrypted_content"]
    assert (body.get("temperature"), body.get("include")) == (
        (None, sealed) if reasons else (0.5, None)
    )


NUMBER: dict[str, Json] = {
    "type": "object",
    "title": "A number!",
    "properties": {"n": {"type": "integer"}},
}
STRICT = {**NUMBER, "required": ["n"], "additionalProperties": False}
LONG: dict[str, Json] = {**NUMBER, "properties": {"n": {"type": "string", "minLength": 9}}}


def format_of(output: OutputSchema) -> dict[str, Any]:
    found: dict[str, Any] = body_of(asking("hi"), output=output)["text"]["format"]
    return found


def test_an_output_schema_goes_along_as_it_is_unless_it_is_strict() -> None:
    form: dict[str, Any] = {"type": "json_schema", "name": "A_number_"}
    assert format_of(OutputSchema(schema=NUMBER)) == {**form, "schema": NUMBER, "strict": False}
    assert format_of(OutputSchema(schema=NUMBER, strict=True)) == {
        **form,
        "schema": STRICT,
        "strict": True,
    }


def test_an_output_schema_has_a_name_that_the_server_takes() -> None:
    assert format_of(OutputSchema(schema={"type": "object"}))["name"] == "answer"
    assert format_of(OutputSchema(schema=NUMBER, name="a b" * 30))["name"] == ("a_b" * 30)[:64]


def test_what_strict_mode_cannot_say_is_left_out() -> None:
    lossy = format_of(OutputSchema(schema=LONG, strict=True))
    assert (lossy["schema"]["properties"], lossy["strict"]) == ({"n": {"type": "string"}}, True)
    assert format_of(OutputSchema(schema=LONG, compat="strict"))["schema"] == LONG


def test_a_schema_without_a_strict_form_goes_along_to_be_read() -> None:
    table: dict[str, Json] = {"type": "object", "additionalProperties": {"type": "integer"}}
    form = format_of(OutputSchema(schema=table, strict=True))
    assert (form["schema"], form["strict"]) == (table, False)


# -- provider params -----------------------------------------------------------------------------


def test_provider_params_win_and_null_removes() -> None:
    params = {
        "max_output_tokens": None,
        "reasoning": {"effort": "low"},
        "text": {"verbosity": "low"},
    }
    body = body_of(asking("hi"), provider_params=params, output=OutputSchema(schema=NUMBER))
    assert body["reasoning"] == {"effort": "low"}
    assert body["text"].keys() == {"format", "verbosity"}
    assert "max_output_tokens" not in body


@pytest.mark.parametrize(
    "ours",
    ["conversation", "input", "instructions", "previous_response_id", "store", "stream"],
)
def test_provider_params_may_not_take_what_the_client_depends_on(ours: str) -> None:
    with pytest.raises(LlmFailed, match=f"sets '{ours}'"):
        body_of(asking("hi"), provider_params={ours: None})


@pytest.mark.parametrize(
    ("switch", "tools"),
    [
        (True, [{"type": "web_search"}]),
        ({}, [{"type": "web_search"}]),
        (
            {"search_context_size": "low"},
            [{"type": "web_search", "search_context_size": "low"}],
        ),
        (False, []),
        (None, []),
    ],
)
def test_web_search_is_a_switch(switch: Json, tools: list[Any]) -> None:
    body = body_of(asking("hi", tools=["look"]), provider_params={"web_search": switch})
    assert body["tools"][1:] == tools
    assert "web_search" not in body


def test_a_web_search_that_is_no_switch_is_refused() -> None:
    with pytest.raises(LlmFailed, match="give true"):
        body_of(asking("hi"), provider_params={"web_search": "yes"})


def test_a_longer_conversation_begins_as_the_shorter_one_did() -> None:
    """What a provider caches is the beginning that two requests share."""
    turn = (
        user("go"),
        answered(reasoned("hm", 0, "gAAA"), use("c1", "f")),
        results({"c1": "one"}),
        said("done"),
    )
    shorter, longer = (
        request_body(asking(SystemMessage(content="be brief"), *turn * n, tools=["look"]))
        for n in (2, 3)
    )
    rest = shorter.removesuffix(b"]}")
    assert rest != shorter
    assert longer.startswith(rest)


def test_the_phase_of_a_message_is_sent_back() -> None:
    def phased(index: int, told: str, phase: str) -> list[Event]:
        *begun, last = say(index, told)
        return [*begun, {**last, "item": {**last["item"], "phase": phase}}]

    told = answer(*stream(phased(0, "I look.", "commentary"), phased(1, "So.", "final_answer")))
    message = AssistantMessage(blocks=told.blocks, stop_reason="end_turn")
    asked = LlmRequest(model="gpt-5.3-codex", messages=(user("x"), message))
    items = body_of(asked)["input"]
    assert items[1:] == [
        {"type": "message", "role": "assistant", "content": "I look.", "phase": "commentary"},
        {"type": "message", "role": "assistant", "content": "So.", "phase": "final_answer"},
    ]
    assert text_of_message(message) == "I look.\n\nSo."
