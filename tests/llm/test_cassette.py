"""The cassette: what a model said is said again without it, and nothing goes by unnoticed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from meerkat_mob.core.content import ImageBlock
from meerkat_mob.core.events import RunResult
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import UserMessage
from meerkat_mob.core.tools import ToolDef
from meerkat_mob.errors import (
    CassetteMiss,
    CassetteUnreadable,
    LlmFailed,
    LlmUnreachable,
    ScriptError,
)
from meerkat_mob.llm import (
    LlmClient,
    LlmDone,
    LlmEvent,
    LlmReasoningComplete,
    LlmReasoningDelta,
    LlmRequest,
    LlmTextDelta,
    LlmToolCallComplete,
    LlmToolCallDelta,
    LlmUsage,
)
from meerkat_mob.testing import (
    Cassette,
    Recorder,
    Replay,
    Reply,
    ScriptedLlm,
    a_service,
    a_session,
    a_tool_that_echoes,
    a_turn,
    call,
    decode_cassette,
    encode_cassette,
    fail,
    hang,
    say,
)
from tests import strategies as ours
from tests.llm.kit import answer_of, asking, events_of, failure_of, said, text_in, tool, user


class Speaks:
    """A client that says the given events, and then stops, with an end or without."""

    provider = "other"

    def __init__(self, events: list[LlmEvent]) -> None:
        self._events = events

    async def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        del request
        for event in self._events:
            yield event

    async def aclose(self) -> None:
        """Nothing is held."""


def kept(recorder: Recorder) -> Cassette:
    """The cassette as it comes out of its file."""
    return decode_cassette(encode_cassette(recorder.cassette))


async def recording(llm: LlmClient, *requests: LlmRequest) -> Cassette:
    """What is kept of a few calls, one after another."""
    recorder = Recorder(llm)
    for request in requests:
        await events_of(recorder.stream(request))
    return kept(recorder)


async def miss_of(cassette: Cassette, request: LlmRequest) -> CassetteMiss:
    """How a replay refuses a request."""
    error = await failure_of(Replay(cassette), request)
    assert isinstance(error, CassetteMiss)
    return error


# -- a run -------------------------------------------------------------------------------------

TALK: list[Reply | str] = [
    say("I look.") & call("echo", é=1.5) & call("echo", b=[None, True]),
    fail("busy", reason="rate_limited", retryable=True, retry_after_ms=1),
    "There is nothing.",
    "That was all, as I said. " * 20,
]


async def talk(llm: LlmClient) -> list[RunResult]:
    """Two runs of a session, the first with tools and a failure that is retried."""
    service = a_service(llm)
    session = await a_session(service, tools=(a_tool_that_echoes(),), system_prompt="Be brief.")
    results = [await service.start_turn(session, a_turn(t)) for t in ("Look!", "And now? 🦦")]
    await service.aclose()
    return results


@pytest.mark.virtual_only
async def test_a_run_with_tools_and_a_retry_is_replayed_without_its_model_bit_for_bit() -> None:
    recorder = Recorder(ScriptedLlm(TALK))
    first = await talk(recorder)
    cassette = kept(recorder)
    assert cassette == recorder.cassette
    with Replay(cassette) as replay:
        again = Recorder(replay)
        assert await talk(again) == first
        assert encode_cassette(again.cassette) == encode_cassette(recorder.cassette)


@pytest.mark.virtual_only
async def test_requests_have_the_same_digests_on_every_target() -> None:
    """When this fails on one target only, what was recorded elsewhere cannot be replayed there."""
    recorder = Recorder(ScriptedLlm(TALK))
    await talk(recorder)
    assert [take.digest[:16] for take in recorder.cassette.takes] == [
        "1949a3d461f7a9ec",
        "6476e2f048fd5c5c",
        "6476e2f048fd5c5c",
        "370abc7a2d5bf630",
    ]


async def test_a_cassette_grows_with_what_was_said_and_not_with_its_square() -> None:
    history = [user(f"message {n}") for n in range(100)]
    whole = await recording(
        ScriptedLlm(lambda _: "ok"), *(asking(*history[: n + 1]) for n in range(100))
    )
    assert len(whole.takes) == len(whole.messages) == 100
    assert len(whole.settings) == 1


# -- what is answered --------------------------------------------------------------------------


async def test_the_same_request_gets_its_answers_in_their_order_and_then_an_error() -> None:
    cassette = await recording(ScriptedLlm(["one", "two"]), *[asking("hi", speaker="m/p/a")] * 2)
    replay = Replay(cassette)
    hi = asking("hi", speaker="m/p/a")
    assert [text_in(await answer_of(replay, hi)) for _ in range(2)] == ["one", "two"]
    error = await failure_of(replay, hi)
    assert isinstance(error, CassetteMiss)
    assert (error.code, error.place, error.retryable) == ("CASSETTE_MISS", "", False)
    assert "m/p/a asked once more what was recorded 2x" in str(error)
    with pytest.raises(ScriptError, match="calls without a recording: m/p/a asked once more"):
        replay.assert_spent()


async def test_two_members_who_ask_the_same_get_each_their_own_answer() -> None:
    requests = [asking("hi", speaker=f"m/p/{name}") for name in "ab"]
    with Replay(await recording(ScriptedLlm(["for a", "for b"]), *requests)) as replay:
        said = [text_in(await answer_of(replay, r)) for r in reversed(requests)]
        assert said == ["for b", "for a"]


@pytest.mark.parametrize(
    "error",
    [
        LlmFailed(
            provider="openai",
            reason="rate_limited",
            detail="slow down",
            hint="wait",
            retryable=True,
            retry_after_ms=7,
            status=429,
        ),
        LlmUnreachable(url="http://localhost:1/v1", detail="nothing there", hint="start it"),
        ScriptError(detail="no line", hint="add one"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_failure_is_replayed_with_all_its_facts_after_what_was_said(
    error: LlmFailed,
) -> None:
    client = Speaks([LlmTextDelta(delta="well"), LlmDone(error=error)])
    first, last = await events_of(
        Replay(await recording(client, asking("hi"))).stream(asking("hi"))
    )
    assert first == LlmTextDelta(delta="well")
    assert isinstance(last, LlmDone)
    assert last.error is not None
    assert type(last.error) is type(error)
    assert (str(last.error), last.error.facts()) == (str(error), error.facts())


async def test_a_stream_that_just_stopped_just_stops_again() -> None:
    events: list[LlmEvent] = [LlmTextDelta(delta="well")]
    replay = Replay(await recording(Speaks(events), asking("hi")))
    assert await events_of(replay.stream(asking("hi"))) == events
    assert replay.provider == "other"


async def test_a_call_that_was_cancelled_says_what_it_had_said_and_waits_to_be_cancelled() -> None:
    heard = asyncio.Event()

    async def listen(client: LlmClient) -> None:
        async with aclosing(client.stream(asking("hi"))) as events:
            async for event in events:
                assert event == LlmTextDelta(delta="well")
                heard.set()

    async def interrupted(client: LlmClient) -> None:
        heard.clear()
        task = asyncio.create_task(listen(client))
        await heard.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    recorder = Recorder(ScriptedLlm([say("well") & hang()]))
    await interrupted(recorder)
    cassette = kept(recorder)
    assert cassette.takes[0].cut
    with Replay(cassette) as replay:
        await interrupted(replay)


async def test_a_caller_who_closes_the_stream_at_its_end_has_cut_nothing() -> None:
    recorder = Recorder(ScriptedLlm(["hi"]))
    async with aclosing(recorder.stream(asking("hi"))) as events:
        async for event in events:
            if isinstance(event, LlmDone):
                break
    assert [take.cut for take in recorder.cassette.takes] == [False]


async def test_a_call_that_goes_on_is_not_on_the_cassette_yet() -> None:
    recorder = Recorder(ScriptedLlm(["one two"]))
    async with aclosing(recorder.stream(asking("hi"))) as events:
        assert await anext(events) == LlmTextDelta(delta="one ")
        assert [take.cut for take in recorder.cassette.takes] == []
    assert [take.cut for take in recorder.cassette.takes] == [True]


# -- what was not recorded ---------------------------------------------------------------------


async def test_a_miss_shows_the_first_message_that_differs_from_the_nearest_recording() -> None:
    recorded = asking("When?", said("On Monday."), "Sure?", speaker="m/p/a")
    cassette = await recording(ScriptedLlm(lambda _: "ok"), asking("When?"), recorded)
    changed = asking("When?", said("On Friday."), "Sure?", speaker="m/p/a")
    error = await miss_of(cassette, changed)
    assert error.place == "messages[1]"
    assert "On Monday." in (error.recorded or "")
    assert "On Friday." in (error.asked or "")
    assert "no recording of this call of m/p/a. messages[1] differs" in str(error)


async def test_a_miss_of_a_message_that_differs_late_shows_its_length_and_hash() -> None:
    cassette = await recording(ScriptedLlm(["ok"]), asking("x" * 5000 + "a"))
    error = await miss_of(cassette, asking("x" * 5000 + "b"))
    shape = r'\{"role":"user","content":"x+\.\.\. 5029 bytes, [0-9a-f]{32}'
    assert re.fullmatch(shape, error.recorded or "")
    assert re.fullmatch(shape, error.asked or "")
    assert error.recorded != error.asked


async def test_a_miss_of_a_longer_history_says_that_nothing_was_recorded_there() -> None:
    error = await miss_of(await recording(ScriptedLlm(["ok"]), asking("a")), asking("a", "b"))
    assert (error.place, error.recorded) == ("messages[1]", None)
    assert "recorded nothing, asked" in str(error)


GOOD = LlmRequest(
    model="m",
    messages=(user("hi"),),
    tools=(tool("f"),),
    provider_params={"seed": 1, "reasoning": {"effort": "low"}},
    speaker="m/p/a",
)


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"model": "n"}, "model"),
        ({"speaker": "m/p/b"}, "speaker"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"temperature": 0.5}, "temperature"),
        ({"system_context": "It rains."}, "system_context"),
        ({"tools": (tool("f"), tool("g"))}, "tools"),
        ({"tools": (ToolDef(name="f", description="else", input_schema={}),)}, "tools.f"),
        ({"provider_params": {"seed": 1, "reasoning": {"effort": "high"}}}, "provider_params.reas"),
        ({"provider_params": {"reasoning": {"effort": "low"}}}, "provider_params.seed"),
    ],
)
async def test_a_miss_names_what_else_of_a_request_differs(
    changed: Mapping[str, object], place: str
) -> None:
    cassette = await recording(ScriptedLlm(["ok"]), GOOD)
    error = await miss_of(cassette, msgspec.structs.replace(GOOD, **changed))
    assert error.place.startswith(place)


async def test_a_miss_tells_of_everything_that_differs_besides() -> None:
    cassette = await recording(ScriptedLlm(["ok"]), asking("hi"))
    error = await miss_of(cassette, asking("ho", model="else"))
    assert error.place == "messages[0]"
    assert "(also different: model)" in str(error)


async def test_an_empty_cassette_says_so() -> None:
    error = await miss_of(await recording(ScriptedLlm([])), asking("hi"))
    assert "no recording at all" in str(error)


async def test_recordings_that_were_never_asked_for_are_shown_at_the_end() -> None:
    cassette = await recording(ScriptedLlm(["x"]), asking("hi", speaker="m/p/a"))
    with pytest.raises(ScriptError, match=r"never asked for: m/p/a asking .*hi"), Replay(cassette):
        pass


async def test_an_error_inside_the_block_is_not_hidden_by_recordings_that_are_left() -> None:
    cassette = await recording(ScriptedLlm(["x"]), asking("hi"))
    with pytest.raises(ZeroDivisionError), Replay(cassette):
        _ = 1 // 0


# -- what never gets onto a cassette -----------------------------------------------------------

WORDS = st.sampled_from(["api-key", "Authorization", "seCret", "PASSWORD", "tokens", "headers"])
CANARY = "canary-in-the-mine"


def among(table: dict[str, Json], plain: Json) -> Json:
    return {**table, "plain": plain}


def with_a_secret(inner: SearchStrategy[Json]) -> SearchStrategy[Json]:
    holders: SearchStrategy[Json] = st.sampled_from([CANARY, [CANARY], {"value": CANARY}])
    names = st.builds("{}{}{}".format, ours.names, WORDS, st.sampled_from(["", "_2", "Id"]))
    tables = st.dictionaries(names, holders, min_size=1, max_size=2)
    return st.one_of(st.builds(among, tables, inner), st.lists(inner, max_size=2))


@given(params=st.recursive(st.just(cast("Json", 1)), with_a_secret, max_leaves=5), meant=st.text())
async def test_what_is_named_like_a_secret_is_neither_kept_nor_part_of_the_digest(
    params: Json, meant: str
) -> None:
    plain = asking("hi")
    request = msgspec.structs.replace(
        plain, provider_params={"deep": params, "api_key": CANARY, "x": meant}
    )
    cassette = await recording(ScriptedLlm(["ok"]), request)
    assert CANARY.encode() not in encode_cassette(cassette)
    other = msgspec.structs.replace(
        request, provider_params={"deep": params, "api_key": "another", "x": meant}
    )
    await answer_of(Replay(cassette), other)


async def test_counts_of_tokens_are_no_secret() -> None:
    one = msgspec.structs.replace(asking("hi"), provider_params={"budget_tokens": 1})
    two = msgspec.structs.replace(asking("hi"), provider_params={"budget_tokens": 2})
    error = await miss_of(await recording(ScriptedLlm(["ok"]), one), two)
    assert error.place == "provider_params.budget_tokens"


async def test_a_key_that_a_server_repeats_in_its_error_is_not_kept() -> None:
    key = "sk-proj-0123456789abcdefghij"
    error = LlmUnreachable(
        url=f"https://models.example/v1/chat/completions?key={key}",
        detail=f"answered 401: I do not know {key}",
        hint="check it",
    )
    cassette = await recording(Speaks([LlmDone(error=error)]), asking("hi"))
    assert key.encode() not in encode_cassette(cassette)
    again = await failure_of(Replay(cassette), asking("hi"))
    assert again.provider == "https://models.example/v1/chat/completions"
    assert again.detail == "answered 401: I do not know [...]"


async def test_an_image_is_known_by_its_blob_and_not_kept() -> None:
    data = "aGVsbG8=" * 100
    inline = UserMessage(content=(ImageBlock(media_type="image/png", source="inline", data=data),))
    cassette = await recording(ScriptedLlm(["ok"]), asking(inline))
    assert data[:40].encode() not in encode_cassette(cassette)
    assert "sha256:" in cassette.messages[0].imprint


# -- the file ----------------------------------------------------------------------------------

metas = ours.maybe(ours.provider_metas)
events: SearchStrategy[LlmEvent] = st.one_of(
    st.builds(LlmTextDelta, delta=st.text(), meta=metas),
    st.builds(LlmReasoningDelta, delta=st.text()),
    st.builds(LlmReasoningComplete, text=st.text(), meta=metas),
    st.builds(LlmToolCallDelta, id=st.text(), args_delta=st.text(), name=ours.maybe(st.text())),
    st.builds(LlmToolCallComplete, id=st.text(), name=st.text(), args=st.text(), meta=metas),
    st.builds(LlmUsage, usage=ours.usages),
    st.builds(LlmDone, stop_reason=st.one_of(st.none(), ours.stop_reasons)),
)
requests = st.builds(
    LlmRequest,
    model=st.text(),
    messages=ours.conversations,
    tools=ours.tuples_of(ours.tool_defs),
    provider_params=ours.json_objects,
    speaker=st.text(),
    system_context=st.text(),
)


@given(request=requests, said=st.lists(events, max_size=6))
async def test_any_request_and_any_answer_come_back_from_the_file_as_they_were(
    request: LlmRequest, said: list[LlmEvent]
) -> None:
    recorder = Recorder(Speaks(said))
    await events_of(recorder.stream(request))
    assert kept(recorder) == recorder.cassette
    with Replay(kept(recorder)) as replay:
        assert await events_of(replay.stream(request)) == said


async def a_file() -> bytes:
    """Two messages, a setting and two takes, on six lines."""
    llm = ScriptedLlm(["ok", call("f", a=1)])
    return encode_cassette(await recording(llm, asking("a"), asking("a", "b")))


@given(place=st.integers(min_value=0), byte=st.integers(min_value=0, max_value=255))
async def test_a_damaged_file_is_refused_with_its_line_or_is_still_a_cassette(
    place: int, byte: int
) -> None:
    raw = bytearray(await a_file())
    raw[place % len(raw)] = byte
    try:
        cassette = decode_cassette(bytes(raw))
    except CassetteUnreadable as error:
        told = error.line
    else:
        told = 1
        assert decode_cassette(encode_cassette(cassette)) == cassette
    assert 1 <= told <= 7


@given(length=st.integers(min_value=0))
async def test_a_file_that_was_cut_off_is_refused(length: int) -> None:
    raw = await a_file()
    with pytest.raises(CassetteUnreadable):
        decode_cassette(raw[: length % (len(raw) - 1)])


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (b'{"cassette":1', b'{"cassette":2', "line 1: version 2; read it with the version"),
        (b'{"cassette":1', b'{"tape":1', "line 1: this is no cassette"),
        (b'"takes":2', b'"takes":1', "line 5: more follows"),
        (b'"takes":2', b'"takes":3', "line 7: it ends here"),
        (b'{"after":0', b'{"after":1', "line 3: there is no message 1 before it"),
        (b'"content\\":\\"b', b'"content\\":\\"c', "line 6: the digest is not"),
        (b"some-model", b"some-mobel", "line 5: the digest is not"),
        (b'"setting":0', b'"setting":9', "line 5: there is no setting 9"),
        (b'"last":1', b'"last":-1', "line 6: there is no message -1"),
        (b'["text",', b'["song",', "line 5: events[0]: there is no event 'song'"),
        (b'{"delta":"ok"}', b'{"delta":1}', "line 5: events[0]: text: Expected `str`"),
        (b'{"delta":"ok"}', b'{"delta":"ok","x":1}', "line 5: events[0]: text: it has a field"),
        (b'"cut":false', b'"kut":false', "line 5: Object contains unknown field `kut`"),
        (b'"setting":0', b'"setting":' + b"[" * 300 + b"]" * 300, "line 5: JSON nested deeper"),
    ],
)
async def test_a_fault_in_a_file_is_told_with_its_line(old: bytes, new: bytes, told: str) -> None:
    raw = await a_file()
    assert old in raw
    with pytest.raises(CassetteUnreadable, match=re.escape(f"desk, {told}")) as caught:
        decode_cassette(raw.replace(old, new, 1), source="desk")
    assert caught.value.code == "CASSETTE_UNREADABLE"


def test_other_files_are_no_cassettes() -> None:
    for raw in (b"", b"\n", b"[]", b"\xff\xfe", b"{", b'[mob]\nid = "x"\n'):
        with pytest.raises(CassetteUnreadable, match="line 1: this is no cassette"):
            decode_cassette(raw)


async def test_a_file_with_other_line_ends_is_the_same_cassette() -> None:
    raw = await a_file()
    assert decode_cassette(raw.replace(b"\n", b"\r\n")) == decode_cassette(raw)
