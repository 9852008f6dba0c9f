"""The older part of a history gives way to a summary (CMP-1 to CMP-7, inventory 8.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.agent.compaction import INSTRUCTION, without_media
from meerkat_mob.core.blobs import contents_of
from meerkat_mob.core.build_state import BudgetLimits
from meerkat_mob.core.compaction import SUMMARY, Compacted, CompactionPolicy
from meerkat_mob.core.content import Content, ImageBlock, TextBlock, VideoBlock, has_media
from meerkat_mob.core.events import (
    CompactionCompleted,
    CompactionFailed,
    CompactionStarted,
    Retrying,
    TextDelta,
)
from meerkat_mob.core.messages import (
    AssistantMessage,
    AssistantText,
    Message,
    SystemMessage,
    TextData,
    ToolResult,
    ToolResults,
    UserMessage,
    text_of_message,
)
from meerkat_mob.core.run_context import NoSession
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm import Line, LlmRequest, Reply, ScriptedLlm, call, fail, hang, say
from meerkat_mob.testing.builders import a_tool_that_echoes
from tests.agent.kit import Bench, a_bench, open_calls

SMALL = CompactionPolicy(window_tokens=1, keep_turns=1, min_boundaries=1)
"""Every request is too large."""
IMAGE = ImageBlock(media_type="image/png", source="inline", data="aGk=")


def is_asked_for_a_summary(request: LlmRequest) -> bool:
    return text_of_message(request.messages[-1]) == INSTRUCTION


def summing_up(*answers: Line, summary: Line = "In short.") -> ScriptedLlm:
    """Gives its answers in their order, and sums up whenever it is asked to."""
    left = list(answers)

    def answer(request: LlmRequest) -> Line:
        if is_asked_for_a_summary(request):
            return summary
        return left.pop(0) if left else "ok"

    return ScriptedLlm(answer)


def compacting(
    llm: ScriptedLlm, policy: CompactionPolicy = SMALL, **limits: object
) -> tuple[Bench, NoSession]:
    session = NoSession()
    bench = a_bench(
        llm, a_tool_that_echoes(), context=session, limits={"compaction": policy, **limits}
    )
    return bench, session


def texts(bench: Bench) -> list[str]:
    return [text_of_message(message) for message in bench.transcript.view()]


def told(bench: Bench) -> list[str]:
    kinds = (CompactionStarted, CompactionCompleted, CompactionFailed)
    return [type(e).__name__.removeprefix("Compaction") for e in bench.said if isinstance(e, kinds)]


def summaries(llm: ScriptedLlm) -> list[LlmRequest]:
    return [request for request in llm.requests if is_asked_for_a_summary(request)]


# -- when ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "happens"), [("some-model", True), ("gpt-4o", False)])
async def test_the_window_is_the_model_s_own_as_far_as_its_name_tells(
    model: str, happens: bool
) -> None:
    """101,000 tokens are too many for 125,000, of which a fifth stays free, and not for 128,000."""
    policy = CompactionPolicy(keep_turns=1, min_boundaries=1)
    bench, _ = compacting(summing_up(), policy, model=model)
    await bench.agent.run("a" * 404_000)
    await bench.agent.run("b")
    assert bool(told(bench)) is happens


async def test_never_at_the_first_call_of_a_session_and_then_before_the_next_one() -> None:
    llm = summing_up("one", "two")
    bench, session = compacting(llm)
    await bench.agent.run("a")
    assert told(bench) == []
    await bench.agent.run("b")
    assert told(bench) == ["Started", "Completed"]
    assert texts(bench) == [SUMMARY + "In short.", "b", "two"]
    assert session.compacted() == Compacted(answers=1, at=1)


async def test_not_again_before_so_many_boundaries() -> None:
    llm = summing_up()
    policy = CompactionPolicy(window_tokens=1, keep_turns=0, min_boundaries=3)
    bench, session = compacting(llm, policy)
    session.note_compaction(Compacted(answers=4, at=4), ())
    for n in range(8):
        await bench.agent.run(f"run {n}")
    assert [len(request.messages) for request in summaries(llm)] == [8, 8]
    at = session.compacted().at
    assert (at, session.compacted().answers) == (10, 10)


async def test_boundaries_are_those_of_the_session_s_whole_life() -> None:
    """A follow-up run may compact before its first call."""
    bench, session = compacting(summing_up())
    session.note_compaction(Compacted(answers=7), ())
    bench.transcript.push_batch([UserMessage(content="old"), answered("old")])
    await bench.agent.run("go")
    assert told(bench) == ["Started", "Completed"]
    assert session.compacted() == Compacted(answers=8, at=8)


def answered(text: str) -> AssistantMessage:
    return AssistantMessage(
        blocks=(AssistantText(data=TextData(text=text)),), stop_reason="end_turn"
    )


async def test_either_what_the_server_counted_or_the_length_is_too_much() -> None:
    policy = CompactionPolicy(window_tokens=1000, keep_turns=1, min_boundaries=1)
    counted = say("one", usage=Usage(input_tokens=801, output_tokens=1))
    bench, _ = compacting(summing_up(counted), policy)
    for prompt in ("a", "b"):
        await bench.agent.run(prompt)
    assert told(bench) == ["Started", "Completed"]
    quiet = say("one", usage=None)
    for length, happens in ((2400, False), (4000, True)):
        bench, _ = compacting(summing_up(quiet), policy)
        for prompt in ("a" * length, "b"):
            await bench.agent.run(prompt)
        assert bool(told(bench)) is happens


async def test_in_the_midst_of_a_run_and_with_its_tools() -> None:
    llm = summing_up("one", call("echo", n=1), call("echo", n=2), "done")
    bench, _ = compacting(llm, CompactionPolicy(window_tokens=1, keep_turns=1, min_boundaries=2))
    await bench.agent.run("a")
    assert (await bench.agent.run("b")).text == "done"
    assert told(bench) == ["Started", "Completed"]
    assert texts(bench)[:2] == [SUMMARY + "In short.", "b"]
    assert [type(m) for m in bench.transcript.view()[2:]] == [
        AssistantMessage,
        ToolResults,
        AssistantMessage,
        ToolResults,
        AssistantMessage,
    ]


@pytest.mark.parametrize(
    "policy", [CompactionPolicy(window_tokens=1, enabled=False), CompactionPolicy()]
)
async def test_not_when_it_is_switched_off_nor_when_there_is_room(policy: CompactionPolicy) -> None:
    bench, _ = compacting(summing_up(), policy)
    for prompt in ("a", "b", "c", "d", "e", "f"):
        await bench.agent.run(prompt)
    assert told(bench) == []


async def test_a_request_that_is_too_long_for_its_model_is_made_shorter_once() -> None:
    too_long = fail("too long", reason="context_exceeded")
    bench, _ = compacting(
        summing_up("one", too_long, "two"), CompactionPolicy(keep_turns=1, min_boundaries=9)
    )
    await bench.agent.run("a")
    assert (await bench.agent.run("b")).text == "two"
    assert told(bench) == ["Started", "Completed"]
    assert texts(bench) == [SUMMARY + "In short.", "b", "two"]
    assert not any(isinstance(e, Retrying) for e in bench.said)
    bench, _ = compacting(summing_up("one", too_long, too_long), CompactionPolicy(keep_turns=1))
    await bench.agent.run("a")
    with pytest.raises(LlmFailed, match="too long"):
        await bench.agent.run("b")
    assert told(bench) == ["Started", "Completed"]


# -- what ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        (0, []),
        (1, ["d"]),
        (2, ["c", "three", "d"]),
        (3, ["b", "", "", "two", "c", "three", "d"]),
    ],
)
async def test_the_last_turns_stay_whole_behind_the_system_message_and_the_summary(
    keep: int, kept: list[str]
) -> None:
    policy = CompactionPolicy(window_tokens=1, keep_turns=keep, min_boundaries=1)
    llm = summing_up("one", call("echo", n=1), "two", "three", "four")
    quiet, session = compacting(llm, CompactionPolicy())
    quiet.transcript.set_system_prompt("Be brief.")
    for prompt in ("a", "b", "c"):
        await quiet.agent.run(prompt)
    bench = a_bench(llm, a_tool_that_echoes(), context=session, limits={"compaction": policy})
    bench.transcript.replace_all(quiet.transcript.view())
    before = bench.transcript.view()
    await bench.agent.run("d")
    said = texts(bench)
    assert said[:2] == ["Be brief.", SUMMARY + "In short."]
    assert [a for a, b in zip(said[2:-1], kept, strict=True) if b and a != b] == []
    (asked,) = summaries(llm)
    assert [text_of_message(m) for m in asked.messages[:2]] == ["Be brief.", "a"]
    assert len(asked.messages) == len(before) + 1 - (len(kept) - 1 if keep else -1)
    assert asked.tools == ()
    (done,) = [e for e in bench.said if isinstance(e, CompactionCompleted)]
    assert (done.messages_before, done.messages_after) == (len(before) + 1, len(said) - 1)
    assert open_calls(bench.transcript) == []


async def test_a_history_of_few_turns_stays_as_it_is() -> None:
    policy = CompactionPolicy(window_tokens=1, keep_turns=4, min_boundaries=1)
    bench, _ = compacting(summing_up(), policy)
    for prompt in ("a", "b", "c", "d"):
        await bench.agent.run(prompt)
    assert told(bench) == []


async def test_a_summary_is_summed_up_with_what_came_after_it() -> None:
    llm = summing_up()
    bench, _ = compacting(llm)
    for prompt in ("a", "b", "c"):
        await bench.agent.run(prompt)
    assert texts(bench)[:2] == [SUMMARY + "In short.", "c"]
    assert text_of_message(summaries(llm)[1].messages[0]) == SUMMARY + "In short."


MEDIA: tuple[Content, ...] = (
    (TextBlock(text="see"), IMAGE),
    (VideoBlock(media_type="video/mp4", source="inline", duration_ms=1, data="aGk="),),
)


@pytest.mark.parametrize("content", MEDIA)
def test_a_word_stands_for_each_image_and_video(content: Content) -> None:
    user = without_media(UserMessage(content=content))
    results = without_media(
        ToolResults(results=(ToolResult(tool_use_id="c", content=content, is_error=True),))
    )
    for message in (user, results):
        assert not any(has_media(part) for part in contents_of(message))
        assert "aGk=" not in str(message)
    assert isinstance(results, ToolResults)
    assert results.results[0].is_error
    plain = UserMessage(content="as it was")
    assert without_media(plain) is plain


async def test_images_go_but_for_those_the_model_has_not_seen() -> None:
    llm = summing_up()
    bench, _ = compacting(llm, CompactionPolicy(window_tokens=1, keep_turns=2, min_boundaries=2))
    for n in range(4):
        await bench.agent.run((TextBlock(text=f"image {n}"), IMAGE))
    assert "[image]" in text_of_message(summaries(llm)[0].messages[0])
    media = [any(map(has_media, contents_of(m))) for m in bench.transcript.view()]
    said = texts(bench)
    assert said[0].startswith(SUMMARY)
    shown = {text[:7]: has for has, text in zip(media, said, strict=True) if text[:5] == "image"}
    assert shown == {"image 2": False, "image 3": True}


# -- what it costs, and when it fails --------------------------------------------------------------


async def test_its_tokens_count_and_nobody_hears_it() -> None:
    summary = say("In short.", usage=Usage(input_tokens=70, output_tokens=7))
    used = Usage(input_tokens=10, output_tokens=1)
    llm = summing_up(say("one", usage=used), say("two", usage=used), summary=summary)
    bench, _ = compacting(llm)
    await bench.agent.run("a")
    result = await bench.agent.run("b")
    assert (result.usage.input_tokens, result.usage.output_tokens) == (90, 9)
    assert "".join(e.delta for e in bench.said if isinstance(e, TextDelta)) == "onetwo"
    (done,) = [e for e in bench.said if isinstance(e, CompactionCompleted)]
    assert done.summary_tokens == 7


async def test_a_budget_without_room_for_it_leaves_the_history_alone() -> None:
    bench, _ = compacting(summing_up(), session_budget=BudgetLimits(max_tokens=300))
    await bench.agent.run("a")
    await bench.agent.run("b" * 400)
    assert told(bench) == []


@pytest.mark.parametrize(
    ("summary", "error"),
    [
        (fail("no"), "no"),
        (fail("later", retryable=True), "later"),
        ("  \n", "empty"),
    ],
)
async def test_one_that_fails_changes_nothing_and_the_run_goes_on(
    summary: Reply | str, error: str
) -> None:
    await insist_on_going_on(summary, error)


@pytest.mark.virtual_only
async def test_one_that_takes_too_long_changes_nothing_and_the_run_goes_on() -> None:
    await insist_on_going_on(hang(), "not over after 5000 ms")


async def insist_on_going_on(summary: Reply | str, error: str) -> None:
    policy = CompactionPolicy(window_tokens=1, keep_turns=1, min_boundaries=1, timeout_ms=5000)
    bench, session = compacting(summing_up(summary=summary), policy)
    await bench.agent.run("a")
    assert (await bench.agent.run("b")).text == "ok"
    assert texts(bench) == ["a", "ok", "b", "ok"]
    (failed,) = [e for e in bench.said if isinstance(e, CompactionFailed)]
    assert error in failed.error
    assert session.compacted() == Compacted()


async def test_after_failures_it_waits_longer_and_longer() -> None:
    llm = summing_up(summary=fail("no"))
    bench, _ = compacting(llm)
    tried: list[int] = []
    for n in range(140):
        before = len(summaries(llm))
        await bench.agent.run("go")
        if len(summaries(llm)) > before:
            tried.append(n)
    assert tried == [1, 2, 4, 8, 16, 32, 64, 112]


async def test_an_interrupt_in_its_midst_leaves_the_history_as_it_was() -> None:
    bench, _ = compacting(summing_up(summary=hang()))
    await bench.agent.run("a")
    run = asyncio.ensure_future(bench.agent.run("b"))
    for _ in range(20):
        await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert texts(bench) == ["a", "ok", "b"]


async def test_the_session_s_budget_still_knows_of_calls_that_are_gone() -> None:
    limit = BudgetLimits(max_tool_calls=2)
    llm = summing_up(call("echo", n=1), "one", call("echo", n=2), "two", call("echo", n=3), "no")
    bench, session = compacting(llm, session_budget=limit)
    for prompt in ("a", "b", "c"):
        await bench.agent.run(prompt)
    assert session.compacted().tool_calls >= 1
    answers = [request for request in llm.requests if not is_asked_for_a_summary(request)]
    assert len(answers) == 3  # the second call was the last one, and ended its run


# -- whatever the history is -----------------------------------------------------------------------

messages: st.SearchStrategy[Message] = st.one_of(
    st.sampled_from(["hi", "more"]).map(lambda text: UserMessage(content=text)),
    st.just(UserMessage(content=(IMAGE, TextBlock(text="look")))),
    st.just(answered("yes")),
)
histories = st.tuples(st.booleans(), st.lists(messages, max_size=12))


@given(histories, st.integers(0, 3))
async def test_what_is_kept_and_what_is_summed_up_are_all_there_was(
    drawn: tuple[bool, list[Message]], keep: int
) -> None:
    system, said = drawn
    llm = summing_up()
    policy = CompactionPolicy(window_tokens=1, keep_turns=keep, min_boundaries=1)
    bench, _ = compacting(llm, policy)
    if system:
        bench.transcript.set_system_prompt("Be brief.")
    bench.transcript.push_batch(said)
    await bench.agent.run("now")
    asked = summaries(llm)
    before: list[Message] = [*([SystemMessage(content="Be brief.")] if system else []), *said]
    before.append(UserMessage(content="now"))
    after: Sequence[Message] = bench.transcript.view()[:-1]
    if not asked:
        assert len(after) == len(before)
        return
    start = 1 if system else 0
    stop = len(asked[0].messages) - 1
    kept = after[start + 1 :]
    assert text_of_message(after[start]) == SUMMARY + "In short."
    assert [texts_of(m) for m in kept] == [texts_of(m) for m in before[stop:]]
    assert sum(isinstance(m, UserMessage) for m in kept) == keep
    assert not kept or isinstance(kept[0], UserMessage)


def texts_of(message: Message) -> str:
    return text_of_message(without_media(message))
