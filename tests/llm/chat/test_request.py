"""What we ask, in the words of chat completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from meerkat_mob.core.blobs import NO_BLOBS, Blob
from meerkat_mob.core.content import ImageBlock, TextBlock, VideoBlock
from meerkat_mob.core.messages import (
    AssistantFlat,
    AssistantMessage,
    LegacyToolCall,
    Message,
    Reasoning,
    SystemMessage,
    SystemNotice,
    TextData,
    ToolResult,
    ToolResults,
    UserMessage,
)
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm import LlmRequest
from meerkat_mob.llm.chat.request import request_body
from meerkat_mob.llm.merge_patch import merge_patch
from tests.llm.kit import asking, results, said, use, user


def body_of(request: LlmRequest) -> dict[str, Any]:
    return msgspec.json.decode(request_body(request), type=dict[str, Any])


def wire(
    *messages: Message, system_context: str = "", blobs: Mapping[str, Blob] = NO_BLOBS
) -> list[Any]:
    request = LlmRequest(model="m", messages=messages, system_context=system_context, blobs=blobs)
    found: list[Any] = body_of(request)["messages"]
    return found


def test_a_call_streams_and_asks_for_its_usage() -> None:
    assert body_of(asking("hi")) == {
        "model": "some-model",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 4096,
    }


def test_tools_are_functions_with_their_schema() -> None:
    assert body_of(asking("hi", tools=["look"]))["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "look",
                "description": "does look",
                "parameters": {"type": "object"},
            },
        }
    ]


def test_a_conversation_with_tools_reads_as_the_dialect_writes_it() -> None:
    assert wire(
        SystemMessage(content="be brief"),
        user("go"),
        said("looking", use("c1", "look", at="x"), use("c2", "look")),
        results({"c1": "one", "c2": "two"}),
        said("done"),
        user("thanks"),
    ) == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "go"},
        {
            "role": "assistant",
            "content": "looking",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "look", "arguments": '{"at":"x"}'},
                },
                {"id": "c2", "type": "function", "function": {"name": "look", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": "two"},
        {"role": "assistant", "content": "done"},
        {"role": "user", "content": "thanks"},
    ]


def test_an_answer_of_calls_alone_has_null_for_its_text() -> None:
    call, _ = wire(said("", use("c1", "look")), results({"c1": "one"}))
    assert call["content"] is None
    assert wire(said(), user("x"))[0] == {"role": "assistant", "content": ""}


def test_the_old_flat_answer_is_written_the_same_way() -> None:
    call = LegacyToolCall(id="c1", name="look", args=msgspec.Raw(b"{}"))
    message, _ = wire(AssistantFlat(content="x", tool_calls=(call,)), results({"c1": "one"}))
    assert (message["content"], message["tool_calls"][0]["id"]) == ("x", "c1")


def test_user_messages_in_a_row_become_one() -> None:
    """Chat templates of many local models refuse two turns of one role."""
    notice = SystemNotice(kind="tool_scope", body="changed")
    assert wire(user("a"), notice, user("b"), said("x"), user("c")) == [
        {"role": "user", "content": "a\n\n[SYSTEM NOTICE][TOOL_SCOPE] changed\n\nb"},
        {"role": "assistant", "content": "x"},
        {"role": "user", "content": "c"},
    ]


def test_images_of_a_user_go_along_as_data_urls() -> None:
    image = ImageBlock(media_type="image/png", source="inline", data="QUJD")
    stored = ImageBlock(media_type="image/png", source="blob", blob_id="b1")
    video = VideoBlock(media_type="video/mp4", duration_ms=5, source="inline", data="QUJD")
    blocks = (TextBlock(text="what is this?"), image, stored, video)
    assert wire(user("look"), UserMessage(content=blocks)) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
                {"type": "text", "text": "[image unavailable: b1]"},
                {"type": "text", "text": "[video: video/mp4]"},
            ],
        }
    ]


def test_images_that_a_message_names_are_put_back() -> None:
    """BLB-4."""
    named = ImageBlock(media_type="image/png", source="blob", blob_id="b1")
    blobs = {"b1": Blob(media_type="image/png", data="QUJD")}
    (message,) = wire(UserMessage(content=(named,)), blobs=blobs)
    assert message["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}
    ]
    (message,) = wire(UserMessage(content=(named,)))
    assert message["content"] == "[image unavailable: b1]"


def test_images_of_tools_follow_all_results_as_a_user_s() -> None:
    """A result is text in this dialect, and nothing may come between two of them."""
    inline = ImageBlock(media_type="image/png", source="inline", data="QUJD")
    named = ImageBlock(media_type="image/jpeg", source="blob", blob_id="b1")
    gone = ImageBlock(media_type="image/png", source="blob", blob_id="b2")
    seen = ToolResults(
        results=(
            ToolResult(tool_use_id="c1", content=(TextBlock(text="see"), inline, named)),
            ToolResult(tool_use_id="c2", content=(gone,)),
        )
    )
    blobs = {"b1": Blob(media_type="image/jpeg", data="REVG")}
    assert wire(said("", use("c1", "f"), use("c2", "f")), seen, user("well?"), blobs=blobs)[1:] == [
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": "see\n[image: image/png]\n[image: image/jpeg]",
        },
        {"role": "tool", "tool_call_id": "c2", "content": "[image unavailable: b2]"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "[images in the result of c1]"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
                {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,REVG"}},
                {"type": "text", "text": "well?"},
            ],
        },
    ]


# -- this run's notes (SES-22, SES-23a) ---------------------------------------------------------


def test_the_notes_of_a_run_stand_behind_the_system_prompt() -> None:
    assert wire(SystemMessage(content="be brief"), user("go"), system_context="note") == [
        {"role": "system", "content": "be brief\n\n---\n\nnote"},
        {"role": "user", "content": "go"},
    ]


def test_the_notes_of_a_run_are_the_system_prompt_where_there_is_none() -> None:
    assert wire(user("go"), system_context="note") == [
        {"role": "system", "content": "note"},
        {"role": "user", "content": "go"},
    ]
    assert wire(system_context="note") == [{"role": "system", "content": "note"}]
    assert wire(SystemMessage(content=""), user("go")) == [{"role": "user", "content": "go"}]


def test_a_system_message_within_a_conversation_stays_where_it_is() -> None:
    later = SystemMessage(content="later")
    assert wire(user("go"), later, system_context="note")[1:] == [
        {"role": "user", "content": "go"},
        {"role": "system", "content": "later"},
    ]


def test_reasoning_is_never_replayed() -> None:
    thought = Reasoning(data=TextData(text="hm"))
    answer = AssistantMessage(blocks=(thought, *said("x").blocks), stop_reason="end_turn")
    assert wire(answer, user("y"))[0] == {"role": "assistant", "content": "x"}


def test_openais_own_models_know_the_limit_by_its_new_name() -> None:
    body = body_of(asking("hi", model="gpt-5.2"))
    assert (body.get("max_completion_tokens"), body.get("max_tokens")) == (4096, None)


@pytest.mark.parametrize(("model", "kept"), [("llama3.2", 0.5), ("gpt-4o", 0.5), ("gpt-5.2", None)])
def test_temperature_is_left_out_where_it_is_refused(model: str, kept: float | None) -> None:
    request = msgspec.structs.replace(asking("hi", model=model), temperature=0.5)
    assert body_of(request).get("temperature") == kept


def test_provider_params_win_and_null_removes() -> None:
    params = {"max_tokens": None, "seed": 7, "stream_options": {"x": 1}}
    body = body_of(msgspec.structs.replace(asking("hi"), provider_params=params))
    assert (body["seed"], body["stream_options"]) == (7, {"include_usage": True, "x": 1})
    assert "max_tokens" not in body


@pytest.mark.parametrize("ours", ["stream", "messages"])
def test_provider_params_may_not_take_what_the_client_depends_on(ours: str) -> None:
    with pytest.raises(LlmFailed, match=f"sets '{ours}'"):
        request_body(msgspec.structs.replace(asking("hi"), provider_params={ours: False}))


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": None}, {}),
        ({"a": [1]}, {"a": [2, None]}, {"a": [2, None]}),
        ({"a": 1}, {"a": {"b": {"c": None, "d": 1}}}, {"a": {"b": {"d": 1}}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
    ],
)
def test_a_merge_patch_does_as_rfc_7396_says(
    target: dict[str, Any], patch: dict[str, Any], merged: dict[str, Any]
) -> None:
    assert merge_patch(target, patch) == merged


def test_an_answer_that_nobody_answered_is_not_left_to_be_finished() -> None:
    assert wire(user("a"), said("x"))[1:] == [
        {"role": "assistant", "content": "x"},
        {"role": "user", "content": "Go on."},
    ]


def test_a_long_id_of_a_call_is_short_for_openai_and_as_it_came_for_others() -> None:
    """Some gateways keep what a model has to have back in the ids of its calls."""
    given = "call_1__thought__" + "c2ln" * 300
    history = (user("a"), said("", use(given, "look")), results({given: "x"}))
    for model, kept in (("gpt-5.2", False), ("gemini/gemini-3-pro", True)):
        asked = body_of(LlmRequest(model=model, messages=history))["messages"]
        (call,) = asked[1]["tool_calls"]
        assert call["id"] == asked[2]["tool_call_id"]
        assert (call["id"] == given) is kept
        assert kept or len(call["id"]) <= 40
