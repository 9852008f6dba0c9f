"""What Anthropic streams: every event, in any order of blocks, and all that can be wrong."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.messages import (
    AnthropicCompactionMeta,
    AnthropicMeta,
    AnthropicRedactedMeta,
    AnthropicServerMeta,
    AssistantBlock,
    AssistantText,
    Reasoning,
    StopReason,
    TextData,
    ToolUse,
    ToolUseData,
)
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm import LlmReasoningDelta, LlmTextDelta, LlmToolCallDelta
from meerkat_mob.llm.anthropic import MessageDecoder
from meerkat_mob.llm.dialect import Paused
from tests.llm.anthropic.kit import (
    SEARCHED,
    SERVER,
    TOLD,
    Event,
    answer,
    begun,
    cite,
    ended,
    grow,
    heard,
    look_up,
    pieces,
    redacted,
    say,
    start,
    stop,
    stream,
    think,
    told_by,
    use,
)

EVERYTHING = stream(
    think(0, "hm, well"),
    redacted(1, "c2VhbGVk"),
    say(2, "Hello"),
    look_up(3),
    cite(5, " there"),
    use(6, "look", '{"at":"é"}'),
    use(7, "wait"),
    end=ended("tool_use"),
)


def text(told: str) -> AssistantBlock:
    return AssistantText(data=TextData(text=told))


def thought(told: str, signature: str = "c2ln") -> AssistantBlock:
    meta = AnthropicMeta(signature=signature) if signature else msgspec.UNSET
    return Reasoning(data=TextData(text=told, meta=meta))


def used(index: int, name: str = "look", args: str = "{}") -> AssistantBlock:
    raw = msgspec.Raw(args.encode())
    return ToolUse(data=ToolUseData(id=f"toolu_{index}", name=name, args=raw))


def own(block: Any) -> AssistantBlock:
    """What a tool of the server's own was asked or gave."""
    meta = AnthropicServerMeta(block=msgspec.json.encode(block).decode())
    return Reasoning(data=TextData(text="", meta=meta))


def test_an_answer_with_everything_in_it() -> None:
    told = answer(*EVERYTHING)
    sealed = Reasoning(data=TextData(text="", meta=AnthropicRedactedMeta(data="c2VhbGVk")))
    assert told.blocks == (
        thought("hm, well"),
        sealed,
        text("Hello"),
        *map(own, SEARCHED),
        text(" there"),
        used(6, "look", '{"at":"é"}'),
        used(7, "wait"),
    )
    assert (told.stop_reason, told.usage) == ("tool_use", TOLD)


def test_it_is_heard_as_it_is_said() -> None:
    events = [*heard(EVERYTHING)]
    assert [e.delta for e in events if isinstance(e, LlmReasoningDelta)] == ["hm,", " we", "ll"]
    assert "".join(e.delta for e in events if isinstance(e, LlmTextDelta)) == "Hello there"
    args = "".join(e.args_delta for e in events if isinstance(e, LlmToolCallDelta))
    assert args == '{"at":"é"}{}'


_TEXT = st.text(min_size=1, max_size=9)
_ARGS = st.dictionaries(st.text(max_size=4), st.integers(0, 9), max_size=2)
_SCRIPT = st.lists(
    st.one_of(
        st.tuples(st.just("say"), _TEXT),
        st.tuples(st.just("think"), _TEXT),
        st.tuples(st.just("redact"), _TEXT),
        st.tuples(st.just("use"), _ARGS.map(lambda a: msgspec.json.encode(a, order="sorted"))),
        st.tuples(st.just("look_up"), st.none()),
    ),
    max_size=6,
)


@given(_SCRIPT, st.booleans())
def test_any_answer_is_taken_as_it_was_given(script: list[tuple[str, Any]], pinged: bool) -> None:
    events: list[list[Event]] = []
    expected: list[AssistantBlock] = []
    index, said = 0, ""
    for kind, what in script:
        if kind != "say":
            said = ""
        match kind:
            case "say":
                events.append(say(index, what))
                expected = expected[:-1] if said else expected
                said += what
                expected.append(text(said))
            case "think":
                events.append(think(index, what))
                expected.append(thought(what))
            case "redact":
                events.append(redacted(index, what))
                meta = AnthropicRedactedMeta(data=what)
                expected.append(Reasoning(data=TextData(text="", meta=meta)))
            case "use":
                events.append(use(index, "look", what.decode()))
                expected.append(used(index, "look", what.decode()))
            case _:
                events.append(look_up(index))
                expected += map(own, SEARCHED)
                index += 1
        index += 1
        if pinged:
            events.append([{"type": "ping"}])
    told = answer(*stream(*events))
    assert list(told.blocks) == expected


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("end_turn", "end_turn"),
        ("stop_sequence", "stop_sequence"),
        ("max_tokens", "max_tokens"),
        ("model_context_window_exceeded", "max_tokens"),
        ("refusal", "content_filter"),
        ("something_new", "end_turn"),
    ],
)
def test_why_it_stopped(reason: str, ours: StopReason) -> None:
    assert answer(*stream(say(0, "x"), end=ended(reason))).stop_reason == ours


def test_a_call_that_was_cut_short_is_no_call() -> None:
    events = stream(
        say(0, "x"), use(1, "a", '{"b":1}'), use(2, "c", '{"d'), end=ended("max_tokens")
    )
    assert answer(*events).blocks == (text("x"), used(1, "a", '{"b":1}'))
    with pytest.raises(LlmFailed, match="no JSON object"):
        answer(*stream(use(2, "c", '{"d'), end=ended("tool_use")))


@pytest.mark.parametrize("args", ["", '{"d'])
@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded", "refusal"])
def test_a_call_that_was_cut_before_its_end_is_never_made(args: str, reason: str) -> None:
    told = answer(*stream(use(0, "a", "{}"), use(1, "c", args), end=ended(reason)))
    assert told.blocks == (used(0, "a"),)
    told = answer(*stream(use(0, "a", args="{}"), end=ended(reason)))
    assert told.blocks == (used(0, "a"),)


def test_a_call_without_arguments_is_made() -> None:
    assert answer(*stream(use(0, args=""), end=ended("tool_use"))).blocks == (used(0),)


def test_arguments_may_stand_in_the_block_itself() -> None:
    begin = start(0, "tool_use", id="toolu_0", name="look", input={"at": 1})
    assert answer(*stream([begin, stop(0)])).blocks == (used(0, "look", '{"at":1}'),)


def test_thinking_that_is_not_signed_is_kept_without_a_seal() -> None:
    assert answer(*stream(think(0, "oh", signature=""))).blocks == (thought("oh", ""),)


def test_what_the_server_has_summed_up_is_kept() -> None:
    block = [
        start(0, "compaction", content=None),
        grow(0, "compaction_delta", content="so"),
        stop(0),
    ]
    (kept,) = answer(*stream(block)).blocks
    assert kept == Reasoning(data=TextData(text="", meta=AnthropicCompactionMeta(content="so")))


def test_a_summary_is_kept_with_all_that_seals_it() -> None:
    changes = [{"type": "tool_removal", "name": "look"}]
    block = [
        start(0, "compaction", content=None, signature="c2ln", tool_changes=changes),
        grow(0, "compaction_delta", content="so", encrypted_content="RQ=="),
        stop(0),
    ]
    (kept,) = answer(*stream(block)).blocks
    meta = AnthropicCompactionMeta(
        content="so",
        encrypted_content="RQ==",
        signature="c2ln",
        tool_changes=msgspec.json.encode(changes).decode(),
    )
    assert kept == Reasoning(data=TextData(text="", meta=meta))


def test_a_summary_that_failed_is_none() -> None:
    failed = [start(0, "compaction", content=None), stop(0)]
    assert answer(*stream(failed, say(1, "x"))).blocks == (text("x"),)


# -- tools that the server runs itself -----------------------------------------------------------


def test_what_the_server_was_asked_in_one_piece_or_many_is_kept_as_one() -> None:
    begin = start(0, "server_tool_use", id="srvtoolu_1", name="web_search", input={})
    query = '{"query":"otters, 1.50 \\u00e9"}'
    streamed = [grow(0, "input_json_delta", partial_json=one) for one in pieces(query)]
    (kept,) = answer(*stream([begin, *streamed, stop(0)])).blocks
    assert isinstance(kept, Reasoning)
    assert isinstance(kept.data.meta, AnthropicServerMeta)
    assert kept.data.meta.block == (
        '{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":' + query + "}"
    )


def test_what_it_was_about_to_be_asked_when_the_answer_was_cut_is_not_kept() -> None:
    begin = start(1, "server_tool_use", id="srvtoolu_1", name="web_search", input={})
    cut = [begin, grow(1, "input_json_delta", partial_json='{"que'), stop(1)]
    told = answer(*stream(say(0, "x"), cut, end=ended("max_tokens")))
    assert told.blocks == (text("x"),)


@pytest.mark.parametrize(
    ("kind", "is_kept"),
    [
        ("server_tool_use", True),
        ("web_search_tool_result", True),
        ("code_execution_tool_result", True),
        ("mcp_tool_use", True),
        ("mcp_tool_result", True),
        ("container_upload", True),
        ("something_new", False),
    ],
)
def test_which_parts_are_the_server_s_own(kind: str, is_kept: bool) -> None:
    told = answer(*stream([start(0, kind, id="i", of={"any": [None, 1.50]}), stop(0)]))
    assert bool(told.blocks) is is_kept


def test_an_answer_that_pauses_tells_what_was_said_so_far() -> None:
    events = stream(think(0, "hm"), say(1, "I look."), look_up(2), end=ended("pause_turn"))
    *_, last = told_by(events)
    blocks = (thought("hm"), text("I look."), *map(own, SEARCHED))
    assert last == Paused(blocks=blocks)


def test_where_the_server_runs_code_is_told_with_its_pause() -> None:
    where = {"id": "container_1", "expires_at": "2026-01-01T00:00:00Z"}
    delta = {"stop_reason": "pause_turn", "stop_sequence": None, "container": where}
    end = [{"type": "message_delta", "delta": delta, "usage": {"output_tokens": 7}}, *ended()[1:]]
    *_, last = told_by(stream(look_up(0), end=end))
    assert isinstance(last, Paused)
    assert last.params == {"container": "container_1"}
    content = [{"type": "text", "text": "x"}]
    whole = {"type": "message", "content": content, "container": where}
    *_, last = told_by([{**whole, "stop_reason": "pause_turn"}])
    assert last == Paused(blocks=(text("x"),), params={"container": "container_1"})


def test_a_pause_without_a_word_is_the_end_and_one_with_calls_waits_for_these() -> None:
    assert answer(*stream(end=ended("pause_turn"))).stop_reason == "end_turn"
    told = answer(*stream(look_up(0), use(2), end=ended("pause_turn")))
    assert told.stop_reason == "tool_use"
    assert told.blocks[-1] == used(2)


def test_usage_that_is_told_later_counts_and_what_is_not_told_stays() -> None:
    told = answer(*stream(say(0, "x"), end=ended(input_tokens=20))).usage
    assert told is not None
    assert (told.input_tokens, told.output_tokens, told.cache_read_tokens) == (25, 7, 3)


def test_usage_that_is_never_told_is_unknown() -> None:
    bare = {"type": "message_start", "message": {"usage": None}}
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    assert answer(bare, *say(0, "x"), delta, {"type": "message_stop"}).usage is None


# -- what is passed over, and what is not ---------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        {"type": "ping"},
        {"type": "something_new", "delta": 5, "index": "x"},
        start(99, "something_new", text=""),
        start(99, "something_new", text={"than": ["us"]}, id=5),
        grow(0, "something_new", text=["x"]),
        {"type": "message_delta", "delta": {}, "usage": None},
    ],
    ids=lambda one: str(one["type"]),
)
def test_other_events_are_passed_over(other: Event) -> None:
    without = answer(*EVERYTHING)
    for place in range(1, len(EVERYTHING)):
        assert answer(*EVERYTHING[:place], other, *EVERYTHING[place:]) == without


def test_unknown_fields_are_passed_over() -> None:
    noisy = [{**one, "later": {"than": ["us"]}} for one in EVERYTHING]
    assert answer(*noisy) == answer(*EVERYTHING)


def test_a_whole_message_is_taken_in_the_place_of_a_stream() -> None:
    whole = {
        "type": "message",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            {"type": "text", "text": "Hello"},
            {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {"at": 1}},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 11, "output_tokens": 7},
    }
    told = answer(whole)
    assert told.blocks == (thought("hm"), text("Hello"), used(2, "look", '{"at":1}'))
    assert told.usage is not None
    assert (told.usage.input_tokens, told.usage.cache_read_tokens) == (11, None)


@pytest.mark.parametrize(
    "data",
    [
        "no json",
        "[1]",
        '{"type":"content_block_delta","index":0,"delta":5}',
        '{"type":"content_block_start","index":"a","content_block":{"type":"text"}}',
        '{"type":"message_delta","delta":{"stop_reason":5}}',
    ],
)
def test_what_is_no_event_is_shown(data: str) -> None:
    with pytest.raises(LlmFailed, match="sent what cannot be read"):
        answer(begun(), data)


def test_a_stream_without_an_end_is_no_answer() -> None:
    for place in range(len(EVERYTHING) - 2):
        with pytest.raises(LlmFailed, match="incomplete"):
            answer(*EVERYTHING[:place])
    assert answer(*EVERYTHING[:-1]) == answer(*EVERYTHING)


@pytest.mark.parametrize(
    ("kind", "reason", "again"),
    [
        ("overloaded_error", "provider_error", True),
        ("api_error", "provider_error", True),
        ("timeout_error", "provider_error", True),
        ("rate_limit_error", "rate_limited", True),
        ("invalid_request_error", "provider_error", False),
    ],
)
def test_an_error_in_the_stream_is_told(kind: str, reason: str, again: bool) -> None:
    fault = {"type": "error", "error": {"type": kind, "message": "so sorry"}, "request_id": "r"}
    with pytest.raises(LlmFailed, match="so sorry") as failed:
        answer(begun(), fault)
    assert (failed.value.reason, failed.value.retryable) == (reason, again)


def test_what_never_began_cannot_grow_and_a_call_has_a_name() -> None:
    with pytest.raises(LlmFailed, match="never began"):
        answer(*stream([grow(3, "text_delta", text="x")]))
    with pytest.raises(LlmFailed, match="without an id"):
        answer(*stream([start(0, "tool_use", input={})]))


def test_nothing_is_read_behind_the_end() -> None:
    decoder = MessageDecoder(SERVER, salt="")
    for event in EVERYTHING:
        assert not decoder.ended
        for _ in decoder.feed(msgspec.json.encode(event).decode()):
            pass
    assert decoder.ended
