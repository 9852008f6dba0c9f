"""What a scripted answer can be: text, reasoning, calls, times, and ends of every kind."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import cast

import pytest
from msgspec import Raw

from meerkat_mob.agent.retry import RetryPolicy
from meerkat_mob.core.messages import Reasoning, StopReason
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import InvalidParams, LlmFailed, LlmUnreachable
from meerkat_mob.llm import (
    LlmDone,
    LlmEvent,
    LlmReasoningComplete,
    LlmReasoningDelta,
    LlmTextDelta,
    LlmToolCallComplete,
    LlmUsage,
)
from meerkat_mob.llm.reply import FailureReason
from meerkat_mob.testing import Call, Reply, ScriptedLlm, call, fail, hang, say, think
from tests.llm.kit import answer_of, asking, calls_in, events_of, failure_of, text_in

USED = Usage(input_tokens=5, output_tokens=7)


async def said(reply: Reply) -> list[LlmEvent]:
    """The events of an answer."""
    return await events_of(ScriptedLlm([reply]).stream(asking("hi")))


async def heard_before_silence(reply: Reply) -> list[LlmEvent]:
    """What is said by one that hangs; then it is cancelled."""
    heard: list[LlmEvent] = []

    async def listen() -> None:
        async for event in ScriptedLlm([reply]).stream(asking("hi")):
            heard.append(event)  # noqa: PERF401 - what was heard before a silence counts

    task = asyncio.create_task(listen())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return heard


async def test_a_thought_comes_word_by_word_and_then_whole_before_what_follows_it() -> None:
    assert await said(think("I see.") & say("Yes", usage=None)) == [
        LlmReasoningDelta(delta="I "),
        LlmReasoningDelta(delta="see."),
        LlmReasoningComplete(text="I see."),
        LlmTextDelta(delta="Yes"),
        LlmDone(stop_reason="end_turn"),
    ]


async def test_an_answer_is_said_in_the_order_in_which_it_is_written() -> None:
    reply = say("one") & call("f") & think("hm") & say("two") & call("g")
    answer = await answer_of(ScriptedLlm([reply]), asking("hi"))
    assert [type(block).__name__ for block in answer.blocks] == [
        "AssistantText",
        "ToolUse",
        "Reasoning",
        "AssistantText",
        "ToolUse",
    ]
    assert (text_in(answer), calls_in(answer)) == ("onetwo", [("f", "{}"), ("g", "{}")])
    assert isinstance(answer.blocks[2], Reasoning)
    assert answer.blocks[2].data.text == "hm"


@pytest.mark.virtual_only
async def test_a_delay_passes_before_its_part_and_a_pace_after_each_word() -> None:
    loop = asyncio.get_running_loop()
    reply = say("a b", delay=60, pace=1) & think("c", delay=5) & say(delay=3) & call("f")
    heard: list[tuple[str, float]] = []
    async for event in ScriptedLlm([reply]).stream(asking("hi")):
        if isinstance(event, (LlmTextDelta, LlmReasoningDelta)):
            heard.append((event.delta, loop.time()))
        elif isinstance(event, LlmToolCallComplete):
            heard.append((event.name, loop.time()))
    assert heard == [("a ", 60), ("b", 61), ("c", 67), ("f", 70)]


@pytest.mark.parametrize("part", [say, think])
@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
@pytest.mark.parametrize("name", ["delay", "pace"])
def test_a_time_that_is_none_is_refused_where_it_is_written(
    part: Callable[..., Reply], value: float, name: str
) -> None:
    with pytest.raises(InvalidParams, match="no time to wait") as refusal:
        part("x", **{name: value})
    assert refusal.value.path == name


# -- ends --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "retryable"),
    [
        ("provider_error", False),
        ("rate_limited", True),
        ("context_exceeded", False),
        ("auth_error", False),
        ("invalid_model", False),
        ("network_timeout", True),
        ("call_timeout", True),
    ],
)
async def test_a_failure_of_each_class_can_be_retried_as_a_real_one(
    reason: FailureReason, retryable: bool
) -> None:
    error = await failure_of(ScriptedLlm([fail(reason=reason)]), asking("hi"))
    assert (error.reason, error.retryable, error.code) == (reason, retryable, "PROVIDER_ERROR")
    assert (RetryPolicy().delay_ms(1, error) is not None) == retryable


async def test_a_failure_is_the_one_the_script_describes() -> None:
    llm = ScriptedLlm([fail("busy", reason="rate_limited", retry_after_ms=40_000)])
    error = await failure_of(llm, asking("hi"))
    assert (error.detail, error.retry_after_ms) == ("busy", 40_000)
    assert RetryPolicy().delay_ms(1, error) == 40_000
    for retryable in (True, False):
        error = await failure_of(ScriptedLlm([fail(retryable=retryable)]), asking("hi"))
        assert (error.reason, error.retryable) == ("provider_error", retryable)


def test_a_reason_that_there_is_not_is_refused_where_it_is_written() -> None:
    with pytest.raises(InvalidParams, match="rate_limited, context_exceeded") as refusal:
        fail(reason=cast("FailureReason", "rate_limit"))
    assert refusal.value.path == "reason"


async def test_any_other_failure_is_given_as_it_is() -> None:
    error = LlmUnreachable(url="http://localhost:1/v1", detail="it broke off", hint="look")
    events = await said(say("half") & Reply(error=error))
    assert events == [LlmTextDelta(delta="half"), LlmDone(error=error)]


async def test_a_stream_may_break_after_some_words() -> None:
    events = await said(say("half ") & fail("the connection broke", retryable=True))
    assert events[0] == LlmTextDelta(delta="half ")
    assert isinstance(events[-1], LlmDone)
    assert isinstance(events[-1].error, LlmFailed)
    assert len(events) == 2


async def test_one_that_hangs_says_its_parts_and_then_waits_to_be_cancelled() -> None:
    assert await heard_before_silence(hang()) == []
    assert await heard_before_silence(say("well") & call("f") & hang()) == [
        LlmTextDelta(delta="well"),
        LlmToolCallComplete(id="call-1", name="f", args="{}"),
    ]


@pytest.mark.parametrize("end", [fail("no"), hang()], ids=["an error", "silence"])
def test_nothing_is_written_behind_an_end(end: Reply) -> None:
    with pytest.raises(InvalidParams, match="put it at the end"):
        _ = end & say("more")


def test_no_answer_both_fails_and_hangs() -> None:
    with pytest.raises(InvalidParams):
        Reply(error=fail().error, hangs=True)


@pytest.mark.parametrize(
    "reason", ["end_turn", "tool_use", "max_tokens", "stop_sequence", "content_filter", "cancelled"]
)
async def test_the_stop_reason_may_be_given(reason: StopReason) -> None:
    assert (await said(say("x", stop_reason=reason)))[-1] == LlmDone(stop_reason=reason)
    assert (await said(say(stop_reason=reason) & call("f")))[-1] == LlmDone(stop_reason=reason)


async def test_the_stop_reason_follows_from_the_calls() -> None:
    assert (await said(say("x") & call("f") & say("y")))[-1] == LlmDone(stop_reason="tool_use")
    assert (await said(think("x")))[-1] == LlmDone(stop_reason="end_turn")


# -- usage -------------------------------------------------------------------------------------


async def test_usage_may_be_given_or_unknown() -> None:
    llm = ScriptedLlm([say("x", usage=USED), say("x", usage=None), say(usage=USED) & call("f")])
    assert [(await answer_of(llm, asking("hi"))).usage for _ in range(3)] == [USED, None, USED]


async def test_an_answer_that_breaks_or_hangs_tells_usage_only_when_it_is_given() -> None:
    assert await heard_before_silence(say(usage=USED) & hang()) == [LlmUsage(usage=USED)]
    events = await said(say(usage=USED) & fail())
    assert events[0] == LlmUsage(usage=USED)
    assert len(events) == 2
    assert len(await said(fail())) == 1


async def test_reasoning_counts_as_written() -> None:
    answer = await answer_of(ScriptedLlm([think("x" * 8) & say("y" * 4)]), asking("x" * 4))
    assert answer.usage == Usage(input_tokens=1, output_tokens=3)


# -- calls -------------------------------------------------------------------------------------


async def test_arguments_may_be_what_no_tool_can_read() -> None:
    for broken in (b'{"a": ', b"[1]", b"\xff"):
        reply = Reply(parts=(Call(tool="f", args=Raw(broken)),))
        events = await said(reply)
        assert isinstance(events[0], LlmToolCallComplete)
        assert isinstance(events[-1], LlmDone)
        assert events[-1].stop_reason == "tool_use"
        with pytest.raises(LlmFailed, match="no JSON object"):
            await answer_of(ScriptedLlm([reply]), asking("hi"))
