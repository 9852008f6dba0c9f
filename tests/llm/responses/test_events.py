"""What the Responses API streams, and what we make of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.messages import StopReason
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm import (
    LlmDone,
    LlmReasoningComplete,
    LlmReasoningDelta,
    LlmTextDelta,
    LlmToolCallComplete,
    LlmToolCallDelta,
    LlmUsage,
)
from meerkat_mob.llm.responses import ResponseDecoder
from tests.llm.kit import calls_in, text_in
from tests.llm.responses.every_event import PASSED_OVER, UNHEARD_OF
from tests.llm.responses.kit import (
    SERVER,
    TOLD,
    USAGE,
    Event,
    added,
    answer,
    at,
    call,
    completed,
    cut,
    done,
    event,
    heard,
    look_up,
    message,
    reasoned,
    refuse,
    response,
    say,
    stream,
    text,
    think,
    think_aloud,
    thought,
    use,
    used,
    words,
)
from tests.llm.responses.scripts import SCRIPTS, Script, played


def test_text_streams_as_it_comes_and_ends_once() -> None:
    assert list(heard(stream(say(0, "Hello")))) == [
        LlmTextDelta(delta="Hel"),
        LlmTextDelta(delta="lo"),
        LlmUsage(usage=TOLD),
        LlmDone(stop_reason="end_turn"),
    ]


def test_a_call_streams_its_arguments_under_its_call_id() -> None:
    assert list(heard(stream(use(0, "look", "{}")))) == [
        LlmToolCallDelta(id="call_0", name="look", args_delta=""),
        LlmToolCallDelta(id="call_0", args_delta="{}"),
        LlmToolCallComplete(id="call_0", name="look", args="{}"),
        LlmUsage(usage=TOLD),
        LlmDone(stop_reason="tool_use"),
    ]


def test_each_part_of_a_summary_is_a_thought_and_the_last_one_is_sealed() -> None:
    whole = answer(*stream(think(0, "first", "second"), say(1, "x")))
    assert whole.blocks == (reasoned("first", 0), reasoned("second", 0, "gAAA"), text("x"))


def test_a_part_of_a_summary_ends_before_the_next_one_begins() -> None:
    found = list(heard(stream(think(0, "one", "two"))))
    assert [type(one) for one in found[:4]] == [
        LlmReasoningDelta,
        LlmReasoningComplete,
        LlmReasoningDelta,
        LlmReasoningComplete,
    ]


def test_sealed_reasoning_without_a_summary_is_kept() -> None:
    assert answer(*stream(think(0), say(1, "x"))).blocks == (reasoned("", 0, "gAAA"), text("x"))


def test_the_seal_is_that_of_the_whole_item() -> None:
    """What comes when the item begins may be a part of it."""
    assert '"gA"' in msgspec.json.encode(think(0)).decode()
    (kept,) = answer(*stream(think(0))).blocks
    assert kept == reasoned("", 0, "gAAA")


def test_reasoning_that_is_neither_told_nor_sealed_leaves_nothing() -> None:
    assert answer(*stream(think(0, sealed=None), say(1, "x"))).blocks == (text("x"),)


def test_a_summary_that_is_not_sealed_is_kept_to_be_read() -> None:
    assert answer(*stream(think(0, "hm", sealed=None))).blocks == (reasoned("hm", 0),)


def test_reasoning_that_a_model_shows_is_kept_without_metadata() -> None:
    assert answer(*stream(think_aloud(0, "hm, yes"), say(1, "x"))).blocks == (
        reasoned("hm, yes"),
        text("x"),
    )


def test_what_is_shown_beside_a_seal_is_no_part_of_the_summary() -> None:
    item = thought(0, "short", shown="the long of it")
    assert answer(done(0, item), completed()).blocks == (
        reasoned("the long of it"),
        reasoned("short", 0, "gAAA"),
    )


def test_a_refusal_is_what_the_model_said() -> None:
    whole = answer(*stream(refuse(0, "I will not")))
    assert (text_in(whole), whole.stop_reason) == ("I will not", "end_turn")


def test_a_blank_line_stands_between_two_messages_but_not_inside_one() -> None:
    """A model may comment on what it does before it answers."""
    whole = answer(*stream(say(0, "I look it up."), look_up(1), say(2, "42")))
    assert whole.blocks == (text("I look it up.\n\n42"),)
    parts = message(0, words("a"), words("b"))
    assert answer(done(0, parts), completed()).blocks == (text("ab"),)


def test_parallel_calls_are_told_apart_though_their_pieces_mix() -> None:
    def delta(index: int, part: str) -> Event:
        return event("response.function_call_arguments.delta", **at(index), delta=part)

    whole = answer(
        added(0, call(0, "f", "")),
        added(1, call(1, "g", "")),
        delta(1, '{"y"'),
        delta(0, '{"x":1}'),
        delta(1, ":2}"),
        done(1, call(1, "g", '{"y":2}')),
        done(0, call(0, "f", '{"x":1}')),
        completed(),
    )
    assert calls_in(whole) == [("f", '{"x":1}'), ("g", '{"y":2}')]


def test_usage_has_what_was_read_from_a_cache_and_written_to_it() -> None:
    assert answer(*stream(say(0, "x"))).usage == TOLD


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        (None, None),
        ({}, None),
        ({"input_tokens": 3}, None),
        ({"input_tokens": 3, "output_tokens": None}, None),
        ({"input_tokens": 3, "output_tokens": 2}, Usage(input_tokens=3, output_tokens=2)),
        (
            {"input_tokens": 3, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 0}},
            Usage(input_tokens=3, output_tokens=2, cache_read_tokens=0),
        ),
    ],
)
def test_usage_that_is_not_told_is_unknown(told: Any, usage: Usage | None) -> None:
    assert answer(*say(0, "x"), completed(usage=told)).usage == usage


# -- answers that are cut short ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        ("max_output_tokens", "max_tokens"),
        ("content_filter", "content_filter"),
        ("max_messages", "end_turn"),
        ("steered", "end_turn"),
        (None, "end_turn"),
    ],
)
def test_why_a_response_is_incomplete_becomes_its_stop_reason(
    why: str | None, reason: StopReason
) -> None:
    whole = answer(*stream(say(0, "x"), end=cut(why)))
    assert (whole.stop_reason, whole.usage) == (reason, TOLD)


def test_a_call_cut_short_is_dropped_and_whole_ones_stay() -> None:
    begun = use(1, "g", '{"x":1}')[:2]
    torn = done(1, call(1, "g", '{"x', "incomplete"))
    for rest in ([*begun, torn], begun):
        whole = answer(*stream(use(0, "f"), rest, end=cut("max_output_tokens")))
        assert (calls_in(whole), whole.stop_reason) == ([("f", "{}")], "max_tokens")


def test_reasoning_that_used_up_the_limit_is_all_there_is() -> None:
    whole = answer(*stream(think(0, "hm")[:-1], end=cut("max_output_tokens")))
    assert (whole.blocks, whole.stop_reason) == ((reasoned("hm"),), "max_tokens")


def test_a_stream_without_an_end_is_incomplete() -> None:
    for rest in ([], ["[DONE]"]):
        with pytest.raises(LlmFailed, match="incomplete response"):
            answer(*say(0, "x"), *rest)


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "reason", "retryable", "told"),
    [
        ({"code": "server_error", "message": "no memory"}, "provider_error", True, "no memory"),
        ({"code": "rate_limit_exceeded", "message": "slow"}, "rate_limited", True, "slow"),
        ({"code": "server_is_overloaded", "message": "busy"}, "provider_error", True, "busy"),
        ({"code": "invalid_prompt", "message": "not that"}, "provider_error", False, "not that"),
        (
            {"code": "context_length_exceeded", "message": "too long"},
            "context_exceeded",
            False,
            "too long",
        ),
    ],
)
def test_an_error_says_what_the_server_said(
    error: dict[str, Any], reason: str, retryable: bool, told: str
) -> None:
    ways: list[Event] = [
        event("response.failed", response=response("failed", error=error)),
        response("failed", error=error),
        event("error", param=None, **error),
        event("error", error=error),
        {"error": error},
    ]
    for way in ways:
        with pytest.raises(LlmFailed, match=told) as caught:
            answer(*say(0, "x"), way)
        assert (caught.value.reason, caught.value.retryable) == (reason, retryable)


def test_a_response_that_fails_tells_its_usage_first() -> None:
    decoder = ResponseDecoder(SERVER, salt="9")
    failed = event("response.failed", response=response("failed", usage=USAGE))
    found = decoder.feed(msgspec.json.encode(failed).decode())
    assert next(found) == LlmUsage(usage=TOLD)
    with pytest.raises(LlmFailed, match="the response failed"):
        next(found)


def test_a_call_without_a_name_is_an_error() -> None:
    with pytest.raises(LlmFailed, match="without a name"):
        answer(*stream(use(0, "")))


@pytest.mark.parametrize(
    "data",
    [
        "no json",
        "[1]",
        '{"type":"response.output_text.delta","delta":5}',
        '{"type":"response.output_item.done","item":{"type":"message","content":5}}',
        '{"type":"response.completed"}',
        '{"object":"response","output":{}}',
    ],
)
def test_what_is_no_event_is_shown(data: str) -> None:
    with pytest.raises(LlmFailed, match="sent what cannot be read"):
        answer(data)


# -- servers, and those that differ --------------------------------------------------------------


@pytest.mark.parametrize("other", [*PASSED_OVER, *UNHEARD_OF], ids=lambda one: str(one.get("type")))
def test_other_events_are_passed_over(other: Event) -> None:
    events = stream(think(0, "hm"), say(1, "Hello"), use(2))
    without = list(heard(events))
    for place in range(len(events)):
        assert list(heard([*events[:place], other, *events[place:]])) == without


def test_unknown_fields_are_passed_over() -> None:
    events = stream(think(0, "hm"), say(1, "Hello"), use(2))
    noisy = [{**one, "obfuscation": "aX3", "later": {"than": ["us"]}} for one in events]
    assert list(heard(noisy)) == list(heard(events))


def test_items_that_come_whole_are_taken_whole() -> None:
    """A server that has no deltas for them."""
    items = [thought(0, "hm"), message(1, words("x")), call(2, "f", '{"a":1}')]
    whole = answer(*(done(i, item) for i, item in enumerate(items)), completed())
    expected = (reasoned("hm", 0, "gAAA"), text("x"), used(2, "f", '{"a":1}'))
    assert whole.blocks == expected
    told = msgspec.json.encode(response(output=items, usage=USAGE)).decode()
    assert answer(told) == whole


@pytest.mark.parametrize("status", ["in_progress", "queued", "cancelled", None])
def test_a_whole_response_that_is_not_over_is_no_answer(status: str | None) -> None:
    decoder = ResponseDecoder(SERVER, salt="9")
    assert list(decoder.feed(msgspec.json.encode(response(status=status)).decode())) == []
    assert not decoder.answered


def test_items_may_be_named_instead_of_numbered() -> None:
    """As llama.cpp does it: no numbers, calls without a name of their own, each end at the end."""

    def unnumbered(*events: Event) -> list[Event]:
        return [{k: v for k, v in one.items() if k != "output_index"} for one in events]

    aloud, spoken, called = think_aloud(0, "hm"), say(1, "Hello"), use(2, "f", '{"a":1}')
    for one in called:
        item = one.get("item", {})
        item.pop("id", None)
        one.pop("item_id", None)
        if "delta" in one:
            one["item_id"] = "call_2"
    parts = (aloud, spoken, called)
    events = [*(one for part in parts for one in part[:-1]), *(part[-1] for part in parts)]
    whole = answer(*unnumbered(*events), completed())
    assert whole.blocks == (reasoned("hm"), text("Hello"), used(2, "f", '{"a":1}'))


def test_the_number_of_an_item_counts_where_its_name_changes() -> None:
    events = stream(say(0, "Hello"), use(1, "f", '{"a":1}'))
    for number, one in enumerate(events):
        if "item_id" in one:
            one["item_id"] = f"other_{number}"
    assert answer(*events).blocks == (text("Hello"), used(1, "f", '{"a":1}'))


@pytest.mark.parametrize("given", ["", None, "call_0"])
def test_calls_without_an_id_of_their_own_are_given_one(given: str | None) -> None:
    first, second = call(0, "f"), call(1, "g", call_id=given)
    found = [
        one.id
        for one in heard([done(0, first), done(1, second), completed()])
        if isinstance(one, LlmToolCallComplete)
    ]
    assert found == ["call_0", "call-9-1"]


def test_a_call_whose_end_is_not_told_ends_with_the_response() -> None:
    whole = answer(*stream(use(0, "f", '{"a":1}')[:-1]))
    assert calls_in(whole) == [("f", '{"a":1}')]


def test_a_closing_line_of_another_dialect_does_no_harm() -> None:
    assert text_in(answer(*stream(say(0, "x")), "[DONE]")) == "x"


# -- whatever a model does -----------------------------------------------------------------------


@given(script=SCRIPTS, data=st.data())
def test_any_answer_becomes_its_blocks(script: Script, data: st.DataObject) -> None:
    items, blocks = played(script)
    events = stream(*items)
    noise = data.draw(st.lists(st.sampled_from([*PASSED_OVER, *UNHEARD_OF]), max_size=4))
    for one in noise:
        events.insert(data.draw(st.integers(0, len(events) - 1)), one)
    whole = answer(*events)
    assert whole.blocks == tuple(blocks)
    calling = any(kind == "use" for kind, _ in script)
    assert whole.stop_reason == ("tool_use" if calling else "end_turn")
    assert whole.usage == TOLD
