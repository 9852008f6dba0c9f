"""From events to one message (spec sessions CLI-1, CLI-2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.messages import (
    AssistantText,
    GeminiMeta,
    OpenAiMeta,
    Reasoning,
    TextData,
    ToolUse,
    ToolUseData,
)
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm import (
    Assembled,
    Assembler,
    LlmDone,
    LlmEvent,
    LlmReasoningComplete,
    LlmReasoningDelta,
    LlmTextDelta,
    LlmToolCallComplete,
    LlmToolCallDelta,
    LlmUsage,
)
from tests.llm.kit import calls_in, text_in, use

END = LlmDone(stop_reason="end_turn")
META = GeminiMeta(thought_signature="s")


def text(words: str) -> AssistantText:
    return AssistantText(data=TextData(text=words))


def assembled(*events: LlmEvent, end: LlmDone | None = END) -> Assembled:
    assembler = Assembler(provider="test")
    for event in (*events, *((end,) if end else ())):
        assembler.feed(event)
    return assembler.finish()


def test_plain_text_merges_while_nothing_comes_between() -> None:
    answer = assembled(
        LlmTextDelta(delta="a"),
        LlmTextDelta(delta="b"),
        LlmToolCallComplete(id="1", name="f", args="{}"),
        LlmTextDelta(delta="c"),
    )
    assert answer.blocks == (text("ab"), use("1", "f"), text("c"))


def test_text_with_provider_metadata_stands_alone() -> None:
    answer = assembled(
        LlmTextDelta(delta="a"),
        LlmTextDelta(delta="b", meta=META),
        LlmTextDelta(delta="c"),
    )
    with_meta = AssistantText(data=TextData(text="b", meta=META))
    assert answer.blocks == (text("a"), with_meta, text("c"))


def test_blocks_keep_the_order_in_which_they_started() -> None:
    answer = assembled(
        LlmToolCallDelta(id="1", name="f", args_delta='{"a":'),
        LlmToolCallDelta(id="2", name="g", args_delta=""),
        LlmTextDelta(delta="x"),
        LlmToolCallComplete(id="2", name="g", args="{}"),
        LlmToolCallDelta(id="1", args_delta="1}"),
        LlmToolCallComplete(id="1", name="f", args='{"a":1}'),
    )
    assert answer.blocks == (use("1", "f", a=1), use("2", "g"), text("x"))


def test_reasoning_is_kept_whole_with_what_is_replayed() -> None:
    meta = OpenAiMeta(id="rs_1")
    answer = assembled(
        LlmReasoningDelta(delta="hm"),
        LlmReasoningDelta(delta=", yes"),
        LlmReasoningComplete(text="hm, yes", meta=meta),
        LlmReasoningComplete(text="second thoughts"),
        LlmTextDelta(delta="x"),
    )
    assert answer.blocks == (
        Reasoning(data=TextData(text="hm, yes", meta=meta)),
        Reasoning(data=TextData(text="second thoughts")),
        text("x"),
    )


def test_a_completed_call_that_never_started_is_added_at_the_end() -> None:
    answer = assembled(
        LlmTextDelta(delta="x"), LlmToolCallComplete(id="1", name="f", args="{}", meta=META)
    )
    data = ToolUseData(id="1", name="f", args=use("1", "f").data.args, meta=META)
    assert answer.blocks == (text("x"), ToolUse(data=data))


def test_unfinished_blocks_are_dropped() -> None:
    answer = assembled(
        LlmReasoningDelta(delta="hm"),
        LlmTextDelta(delta="x"),
        LlmToolCallDelta(id="1", name="f", args_delta='{"a"'),
    )
    assert answer.blocks == (text("x"),)


@pytest.mark.parametrize("args", ["", "  \n"])
def test_empty_arguments_are_an_empty_object(args: str) -> None:
    assert calls_in(assembled(LlmToolCallComplete(id="1", name="f", args=args))) == [("f", "{}")]


def test_arguments_are_normalised() -> None:
    answer = assembled(LlmToolCallComplete(id="1", name="f", args='{ "b": 1.0, "a": [ ] , "b": 2}'))
    assert calls_in(answer) == [("f", '{"a":[],"b":2}')]


@pytest.mark.parametrize("args", ['{"a"', "[1]", "nonsense", '"{}"'])
def test_arguments_that_are_no_object_are_an_error_that_names_the_tool(args: str) -> None:
    with pytest.raises(LlmFailed, match="'look_up' are no JSON object") as caught:
        assembled(LlmToolCallComplete(id="1", name="look_up", args=args))
    assert (caught.value.provider, caught.value.retryable) == ("test", False)


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([LlmToolCallDelta(id="1", args_delta="{")], "before its start"),
        (
            [
                LlmToolCallDelta(id="1", name="f", args_delta=""),
                LlmToolCallDelta(id="1", name="f", args_delta=""),
            ],
            "started twice",
        ),
        ([LlmToolCallComplete(id="1", name="f", args="{}")] * 2, "ended twice"),
        (
            [
                LlmToolCallComplete(id="1", name="f", args="{}"),
                LlmToolCallDelta(id="1", args_delta="x"),
            ],
            "after its end",
        ),
    ],
)
def test_parts_that_belong_to_no_call_are_errors(events: list[LlmEvent], told: str) -> None:
    with pytest.raises(LlmFailed, match=told):
        assembled(*events)


def test_a_stream_without_an_end_is_incomplete_and_not_retried() -> None:
    with pytest.raises(LlmFailed, match="incomplete response") as caught:
        assembled(LlmTextDelta(delta="x"), end=None)
    assert not caught.value.retryable


def test_nothing_counts_after_the_first_end() -> None:
    assembler = Assembler()
    error = LlmFailed(provider="p", reason="provider_error", detail="late", hint="h")
    for event in (LlmTextDelta(delta="x"), END, LlmTextDelta(delta="y"), LlmDone(error=error)):
        assembler.feed(event)
    assert text_in(assembler.finish()) == "x"


def test_an_error_is_raised_as_it_came() -> None:
    error = LlmFailed(provider="p", reason="auth_error", detail="d", hint="h")
    with pytest.raises(LlmFailed) as caught:
        assembled(LlmTextDelta(delta="x"), end=LlmDone(error=error))
    assert caught.value is error


def test_usage_is_the_last_one_told_or_unknown() -> None:
    first, last = Usage(input_tokens=1), Usage(input_tokens=2, output_tokens=3)
    assert assembled(LlmUsage(usage=first), LlmUsage(usage=last)).usage == last
    assert assembled().usage is None


def test_the_stop_reason_is_the_models_own() -> None:
    assert assembled(end=LlmDone(stop_reason="max_tokens")).stop_reason == "max_tokens"
    assert assembled(end=LlmDone()).stop_reason == "end_turn"


@given(st.lists(st.text(max_size=4)))
def test_text_is_the_same_in_whatever_pieces_it_came(pieces: list[str]) -> None:
    answer = assembled(*(LlmTextDelta(delta=piece) for piece in pieces))
    assert text_in(answer) == "".join(pieces)
    assert len(answer.blocks) == bool("".join(pieces))
