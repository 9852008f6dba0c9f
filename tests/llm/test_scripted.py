"""The scripted model: says its lines, and lets nothing go by unnoticed."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from meerkat_mob.core.messages import Message
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import LlmFailed, ScriptError
from meerkat_mob.llm import LlmDone, LlmRequest, LlmTextDelta, LlmToolCallComplete, Script
from meerkat_mob.testing import ScriptedLlm, call, fail, hang, say
from tests.llm.kit import (
    answer_of,
    asking,
    calls_in,
    events_of,
    failure_of,
    results,
    said,
    text_in,
    use,
    user,
)


async def test_lines_are_spoken_in_order() -> None:
    with ScriptedLlm(["one", say("two")]) as llm:
        assert [text_in(await answer_of(llm, asking("hi"))) for _ in range(2)] == ["one", "two"]
        assert [len(request.messages) for request in llm.requests] == [1, 1]


async def test_text_streams_word_by_word() -> None:
    llm = ScriptedLlm([" two  words\n"])
    events = await events_of(llm.stream(asking("hi")))
    assert [e.delta for e in events if isinstance(e, LlmTextDelta)] == [" ", "two  ", "words\n"]


async def test_a_long_text_streams_in_phrases_unless_it_is_paced() -> None:
    text = " ".join(f"word{n}" for n in range(200)) + "\n"
    events = await events_of(ScriptedLlm([text]).stream(asking("hi")))
    phrases = [e.delta for e in events if isinstance(e, LlmTextDelta)]
    assert "".join(phrases) == text
    assert all(phrase.endswith((" ", "\n")) for phrase in phrases)
    assert len(phrases) == 6
    assert all(256 <= len(phrase) < 280 for phrase in phrases[:-1])


@pytest.mark.virtual_only
async def test_a_long_text_with_a_pace_streams_word_by_word() -> None:
    events = await events_of(ScriptedLlm([say("word " * 200, pace=1)]).stream(asking("hi")))
    assert sum(isinstance(e, LlmTextDelta) for e in events) == 200


async def test_a_text_and_two_calls_can_be_one_answer() -> None:
    llm = ScriptedLlm([say("I ask") & call("f", b=1, a=[]) & call("g"), call("f")])
    answer = await answer_of(llm, asking("hi"))
    assert (text_in(answer), calls_in(answer)) == ("I ask", [("f", '{"a":[],"b":1}'), ("g", "{}")])
    assert answer.stop_reason == "tool_use"
    more = await events_of(llm.stream(asking("hi")))
    assert [e.id for e in more if isinstance(e, LlmToolCallComplete)] == ["call-3"]


async def test_lines_belong_to_a_full_name_a_member_a_profile_or_anybody() -> None:
    llm = ScriptedLlm({"m/dev/a": ["full"], "b": ["member"], "dev": ["profile"], "": ["anybody"]})
    spoken = [
        text_in(await answer_of(llm, asking("hi", speaker=speaker)))
        for speaker in ("m/dev/a", "m/dev/b", "m/dev/b", "m/lead/c")
    ]
    assert spoken == ["full", "member", "profile", "anybody"]
    llm.assert_spent()


async def test_a_function_may_answer_from_the_request() -> None:
    def echo(request: LlmRequest) -> str:
        return f"{len(request.messages)} messages"

    llm = ScriptedLlm({"a": echo, "b": ["line"]})
    assert text_in(await answer_of(llm, asking("x", "y", speaker="m/p/a"))) == "2 messages"
    assert text_in(await answer_of(llm, asking("x", speaker="m/p/b"))) == "line"
    llm.assert_spent()
    assert text_in(await answer_of(ScriptedLlm(echo), asking())) == "0 messages"


async def test_a_call_without_a_line_is_an_error_then_and_at_the_end() -> None:
    llm = ScriptedLlm({"a": ["x"]})
    error = await failure_of(llm, asking("do it", speaker="m/p/b"))
    assert isinstance(error, ScriptError)
    assert "no line left for m/p/b, who was asked 'do it'" in str(error)
    await answer_of(llm, asking("x", speaker="m/p/a"))
    with pytest.raises(ScriptError, match="calls without a line: m/p/b"):
        llm.assert_spent()


def test_lines_never_spoken_are_shown_at_the_end() -> None:
    script: Script = {"a": ["hello", call("f", x=1)], "b": [fail(), hang()]}
    with pytest.raises(ScriptError) as caught, ScriptedLlm(script):
        pass
    for told in ("a: 'hello'", "'' f({\"x\":1})", "b: '' an error", "b: '' silence"):
        assert told in str(caught.value)


def test_an_error_inside_the_block_is_not_hidden_by_unspoken_lines() -> None:
    with pytest.raises(ZeroDivisionError), ScriptedLlm(["never"]):
        _ = 1 // 0


async def test_a_failure_is_the_one_the_script_describes() -> None:
    llm = ScriptedLlm([fail("busy", reason="rate_limited", retryable=True, retry_after_ms=5)])
    error = await failure_of(llm, asking("hi"))
    assert (error.reason, error.retryable, error.retry_after_ms) == ("rate_limited", True, 5)


async def test_a_failure_may_come_after_some_words() -> None:
    events = await events_of(ScriptedLlm([say("well") & fail()]).stream(asking("hi")))
    assert events[0] == LlmTextDelta(delta="well")
    assert isinstance(events[-1], LlmDone)
    assert isinstance(events[-1].error, LlmFailed)


@pytest.mark.virtual_only
async def test_delay_and_pace_are_time_on_the_loops_clock() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await answer_of(ScriptedLlm([say("a b c", delay=60, pace=2)]), asking("hi"))
    assert loop.time() - began == 66


async def test_one_that_hangs_says_its_words_and_then_waits_to_be_cancelled() -> None:
    heard: list[str] = []

    async def listen() -> None:
        async for event in ScriptedLlm([say("well") & hang()]).stream(asking("hi")):
            assert isinstance(event, LlmTextDelta)
            heard.append(event.delta)

    task = asyncio.create_task(listen())
    while not heard:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert heard == ["well"]


async def test_usage_is_four_characters_a_token_of_the_request_and_the_answer() -> None:
    llm = ScriptedLlm(["x" * 8, "x" * 9])
    first = asking("x" * 40)
    assert (await answer_of(llm, first)).usage == Usage(input_tokens=10, output_tokens=2)
    grown = asking(
        *first.messages, said("x" * 8), said("", use("c", "f")), results({"c": "x" * 10})
    )
    assert (await answer_of(llm, grown)).usage == Usage(input_tokens=15, output_tokens=3)


async def test_the_notes_of_a_run_are_shown_to_a_script_and_count() -> None:
    llm = ScriptedLlm(lambda request: request.system_prompt)
    request = LlmRequest(model="m", messages=(), system_context="x" * 8)
    answer = await answer_of(llm, request)
    assert (text_in(answer), answer.usage) == ("x" * 8, Usage(input_tokens=2, output_tokens=2))


async def test_transcripts_that_one_model_answers_in_turn_are_each_counted_once() -> None:
    class Counted(list[Message]):
        looks = 0

        def __getitem__(self, place: Any) -> Any:
            self.looks += 1
            return cast("Any", super()).__getitem__(place)

    llm = ScriptedLlm(lambda _: "ok")
    histories = [Counted([user(f"{name} {n}") for n in range(200)]) for name in ("ann", "bob")]
    for history in histories:
        await answer_of(llm, LlmRequest(model="m", messages=history))
        assert history.looks > 200
    for history in histories:
        history.looks = 0
        history.append(user("more"))
        await answer_of(llm, LlmRequest(model="m", messages=history))
        assert history.looks < 10


async def test_what_was_counted_is_not_counted_again_unless_history_was_rewritten() -> None:
    llm = ScriptedLlm(["", "", ""])
    first = asking("x" * 40, "y" * 4)
    await answer_of(llm, first)
    rewritten = await answer_of(llm, asking("x" * 4))
    assert rewritten.usage == Usage(input_tokens=1)
    other = await answer_of(llm, asking("z" * 4, "y" * 8))
    assert other.usage == Usage(input_tokens=3)


async def test_usage_may_be_given_or_unknown() -> None:
    given = Usage(input_tokens=5, output_tokens=7)
    llm = ScriptedLlm([say("x", usage=given), say("x", usage=None)])
    assert (await answer_of(llm, asking("hi"))).usage == given
    assert (await answer_of(llm, asking("hi"))).usage is None
