"""Whatever a script says, its calls keep the contract of a client, and can be recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import groupby
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm import (
    Assembler,
    LlmClient,
    LlmDone,
    LlmEvent,
    LlmReasoningComplete,
    LlmReasoningDelta,
    LlmRequest,
    LlmTextDelta,
    LlmToolCallComplete,
    LlmUsage,
)
from meerkat_mob.llm.lines import Entry
from meerkat_mob.llm.reply import FailureReason
from meerkat_mob.llm.spoken import spoken_of
from meerkat_mob.testing import (
    Call,
    Recorder,
    Replay,
    Reply,
    ScriptedLlm,
    call,
    decode_cassette,
    encode_cassette,
    fail,
    hang,
    say,
    think,
    when,
)
from tests import strategies as ours
from tests.llm.kit import asking

FOREVER_S = 3600
"""Longer than any answer takes; who is silent for so long hangs."""

texts = st.text(alphabet="ab \n", max_size=100)
times = st.sampled_from([0, 0.5, 5])
usages = ours.maybe(st.one_of(st.none(), ours.usages))


def called(tool: str, value: str) -> Reply:
    return call(tool, value=value)


parts = st.one_of(
    st.builds(say, texts, delay=times, pace=times, usage=usages),
    st.builds(think, texts, delay=times, pace=times),
    st.builds(called, texts, texts),
)
ends = st.one_of(
    st.just(Reply()),
    st.just(hang()),
    st.builds(say, stop_reason=ours.stop_reasons),
    st.builds(
        fail,
        texts,
        reason=st.sampled_from(get_args(FailureReason)),
        retryable=ours.maybe(st.booleans()),
        retry_after_ms=st.one_of(st.none(), st.integers(0, 9)),
    ),
)


def joined(answer: list[Reply], end: Reply) -> Reply:
    for part in reversed(answer):
        end = part & end
    return end


def breaks(_: LlmRequest) -> str:
    raise ZeroDivisionError


def refuses(_: LlmRequest) -> str:
    raise LlmFailed(provider="scripted", reason="auth_error", detail="no", hint="none")


replies = st.builds(joined, st.lists(parts, max_size=4), ends)
answers = st.one_of(texts, replies, st.just(breaks), st.just(refuses))
lines: st.SearchStrategy[Entry] = st.one_of(
    answers,
    st.builds(when, st.sampled_from(["a", "b"]), answers),
    st.builds(when, st.just(breaks), answers),
)
asks = st.lists(st.sampled_from(["a", "b", "c"]), max_size=6)


async def heard(llm: LlmClient, request: LlmRequest) -> list[LlmEvent]:
    """What a call says; it is stopped when it hangs."""
    events: list[LlmEvent] = []

    async def listen() -> None:
        async for event in llm.stream(request):
            events.append(event)  # noqa: PERF401 - what was heard before a silence counts

    try:
        await asyncio.wait_for(listen(), FOREVER_S)
    except TimeoutError:
        assert not any(isinstance(event, LlmDone) for event in events)
    return events


def faults_of(events: Sequence[LlmEvent]) -> list[str]:
    """What a client must not do."""
    found: list[str] = []
    done = [place for place, event in enumerate(events) if isinstance(event, LlmDone)]
    if done and done != [len(events) - 1]:
        found.append("an end that is not the only one, at the end")
    last = events[-1] if done else None
    if isinstance(last, LlmDone) and (last.error is None) == (last.stop_reason is None):
        found.append("neither an error nor a reason to stop, or both")
    thought = ""
    for event in events:
        if isinstance(event, LlmReasoningDelta):
            thought += event.delta
        elif isinstance(event, LlmReasoningComplete):
            found += [] if event.text == thought else ["a thought that is not its parts"]
            thought = ""
        elif thought and not isinstance(event, LlmDone):
            found.append(f"{event} inside a thought")
    told = [place for place, event in enumerate(events) if isinstance(event, LlmUsage)]
    if told and told != [len(events) - (2 if done else 1)]:
        found.append("usage that is not told once, behind everything")
    if any(isinstance(event, LlmTextDelta) and not event.delta for event in events):
        found.append("an empty piece of text")
    return found


@pytest.mark.virtual_only
@given(script=st.lists(lines, max_size=4), asked=asks)
async def test_whatever_the_script_each_call_keeps_the_contract_of_a_client(
    script: list[Entry], asked: list[str]
) -> None:
    llm = ScriptedLlm(script)
    ids: list[str] = []
    for text in asked:
        events = await heard(llm, asking(text))
        assert faults_of(events) == []
        ids += [event.id for event in events if isinstance(event, LlmToolCallComplete)]
        assembler = Assembler()
        for event in events:
            assembler.feed(event)
        try:
            assembler.finish()
        except LlmFailed:
            last = events[-1] if events else None
            assert not (isinstance(last, LlmDone) and last.error is None)
    assert ids == [f"call-{n + 1}" for n in range(len(ids))]
    assert llm.requests == [asking(text) for text in asked]


@pytest.mark.virtual_only
@given(reply=replies)
async def test_an_answer_is_said_in_its_order_and_nothing_is_left_out(reply: Reply) -> None:
    events = await heard(ScriptedLlm([reply]), asking("hi"))
    said = "".join(event.delta for event in events if isinstance(event, LlmTextDelta))
    calls = [event.name for event in events if isinstance(event, LlmToolCallComplete)]
    assert said == reply.text
    assert calls == [wanted.tool for wanted in reply.calls]
    written = [type(part) for part in reply.parts if isinstance(part, Call) or part.text]
    shown = [
        type(event)
        for event in events
        if isinstance(event, (LlmTextDelta, LlmToolCallComplete))
        or (isinstance(event, LlmReasoningComplete) and event.text)
    ]
    names = {LlmTextDelta: "Text", LlmToolCallComplete: "Call", LlmReasoningComplete: "Thought"}
    assert [key for key, _ in groupby(names[kind] for kind in shown)] == [
        key for key, _ in groupby(kind.__name__ for kind in written)
    ]


@pytest.mark.virtual_only
@given(script=st.lists(lines, max_size=4), asked=asks)
async def test_a_scripted_run_is_replayed_from_its_recording_event_by_event(
    script: list[Entry], asked: list[str]
) -> None:
    recorder = Recorder(ScriptedLlm(script))
    requests = [asking(text) for text in asked]
    said = [await heard(recorder, request) for request in requests]
    with Replay(decode_cassette(encode_cassette(recorder.cassette))) as replay:
        again = [await heard(replay, request) for request in requests]
    told, told_again = ([[*map(spoken_of, call)] for call in run] for run in (said, again))
    assert told_again == told
