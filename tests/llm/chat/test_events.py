"""What servers stream, and the small ways in which they differ."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import Reasoning, StopReason
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm import Assembled, Assembler, LlmEvent, LlmTextDelta, LlmToolCallDelta
from meerkat_mob.llm.chat.events import ChunkDecoder
from meerkat_mob.llm.failures import Server
from tests.llm.kit import calls_in, text_in

SERVER = Server(url="http://here/v1/chat/completions", provider="self_hosted")


def chunk(delta: dict[str, Json] | None = None, finish: str | None = None, **more: Json) -> str:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return msgspec.json.encode({"choices": [choice], **more}).decode()


def piece(
    args: Json = None,
    *,
    index: int | None = None,
    call_id: str | None = None,
    name: str | None = None,
) -> dict[str, Json]:
    """A delta with one piece of one call; what is None is left out."""
    function: dict[str, Json] = {"arguments": args}
    if name is not None:
        function["name"] = name
    call: dict[str, Json] = {"type": "function", "function": function}
    if index is not None:
        call["index"] = index
    if call_id is not None:
        call["id"] = call_id
    return {"tool_calls": [call]}


def events(*data: str) -> list[LlmEvent]:
    decoder = ChunkDecoder(SERVER, salt="9")
    found = [event for text in data for event in decoder.feed(text)]
    return [*found, *decoder.finish()]


def answer(*data: str) -> Assembled:
    assembler = Assembler()
    for event in events(*data):
        assembler.feed(event)
    return assembler.finish()


def ids(found: list[LlmEvent]) -> list[str]:
    return [e.id for e in found if isinstance(e, LlmToolCallDelta) and isinstance(e.name, str)]


def test_text_streams_as_it_comes() -> None:
    found = events(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hello"}),
        chunk({"content": " there"}),
        chunk(finish="stop"),
        "[DONE]",
    )
    assert found[:-1] == [LlmTextDelta(delta="Hello"), LlmTextDelta(delta=" there")]


def test_usage_comes_in_a_chunk_of_its_own() -> None:
    told: dict[str, Json] = {"prompt_tokens": 11, "completion_tokens": 2}
    cached: dict[str, Json] = {**told, "prompt_tokens_details": {"cached_tokens": 8}}
    plain = answer(chunk({"content": "x"}, "stop"), enc({"choices": [], "usage": told}))
    assert plain.usage == Usage(input_tokens=11, output_tokens=2)
    with_cache = answer(chunk({"content": "x"}, "stop", usage=cached))
    assert with_cache.usage == Usage(input_tokens=11, output_tokens=2, cache_read_tokens=8)


def enc(value: Json) -> str:
    return msgspec.json.encode(value).decode()


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None, "completion_tokens": 3}])
def test_usage_that_is_not_told_is_unknown(usage: Json) -> None:
    assert answer(chunk({"content": "x"}, "stop", usage=usage)).usage is None


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("content_filter", "content_filter"),
        ("eos", "end_turn"),
        ("tool_calls", "end_turn"),
    ],
)
def test_finish_reasons_become_stop_reasons(finish: str, reason: StopReason) -> None:
    assert answer(chunk({"content": "x"}, finish)).stop_reason == reason


def test_the_end_is_done_or_a_finish_reason() -> None:
    assert text_in(answer(chunk({"content": "x"}), "[DONE]")) == "x"
    assert text_in(answer(chunk({"content": "x"}, ""), chunk(finish="stop"))) == "x"
    with pytest.raises(LlmFailed, match="incomplete response"):
        answer(chunk({"content": "x"}))


# -- calls: by the book, and as servers really send them -----------------------------------------


def test_parallel_calls_are_told_apart_by_their_index() -> None:
    data = (
        chunk(piece("", index=0, call_id="a", name="f")),
        chunk(piece('{"x"', index=0)),
        chunk(piece("", index=1, call_id="b", name="g")),
        chunk(piece(":1}", index=0)),
        chunk(piece("{}", index=1)),
        chunk(finish="tool_calls"),
        "[DONE]",
    )
    whole = answer(*data)
    assert calls_in(whole) == [("f", '{"x":1}'), ("g", "{}")]
    assert whole.stop_reason == "tool_use"
    assert ids(events(*data)) == ["a", "b"]


SHAPES: dict[str, list[dict[str, Any]]] = {
    "whole calls, every index 0": [
        piece('{"x":1}', index=0, call_id="a", name="f"),
        piece('{"y":2}', index=0, call_id="b", name="g"),
    ],
    "whole calls without ids, every index 0": [
        piece('{"x":1}', index=0, name="f"),
        piece('{"y":2}', index=0, name="g"),
    ],
    "whole calls without ids and indexes": [
        piece('{"x":1}', name="f"),
        piece('{"y":2}', name="g"),
    ],
    "pieces without ids": [
        piece("", index=0, name="f"),
        piece('{"x":1', index=0),
        piece("}", index=0),
        piece("", index=1, name="g"),
        piece('{"y":2}', index=1),
    ],
    "pieces without indexes": [
        piece("", call_id="a", name="f"),
        piece('{"x":1}'),
        piece("", call_id="b", name="g"),
        piece('{"y":2}'),
    ],
    "pieces with their id each time, no index": [
        piece('{"x"', call_id="a", name="f"),
        piece('{"y"', call_id="b", name="g"),
        piece(":1}", call_id="a"),
        piece(":2}", call_id="b"),
    ],
    "the name repeated in every piece": [
        piece('{"x"', index=0, call_id="a", name="f"),
        piece(":1}", index=0, call_id="a", name="f"),
        piece('{"y"', index=1, call_id="b", name="g"),
        piece(":2}", index=1, call_id="b", name="g"),
        piece("", index=1, call_id="b", name="g"),
    ],
    "the name after the id": [
        piece("", index=0, call_id="a"),
        piece('{"x":', index=0),
        piece("1}", index=0, name="f"),
        piece('{"y":2}', index=1, call_id="b", name="g"),
    ],
    "empty ids": [
        piece('{"x":1}', index=0, call_id="", name="f"),
        piece('{"y":2}', index=1, call_id="", name="g"),
    ],
    "one id for both": [
        piece('{"x":1}', index=0, call_id="a", name="f"),
        piece('{"y":2}', index=1, call_id="a", name="g"),
    ],
    "arguments as an object": [
        piece({"x": 1}, index=0, call_id="a", name="f"),
        piece({"y": 2}, index=1, call_id="b", name="g"),
    ],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_two_calls_are_two_calls_in_whatever_shape_they_come(shape: str) -> None:
    data = [*(chunk(delta) for delta in SHAPES[shape]), chunk(finish="tool_calls"), "[DONE]"]
    assert calls_in(answer(*data)) == [("f", '{"x":1}'), ("g", '{"y":2}')]
    assert len(set(ids(events(*data)))) == 2


def test_two_calls_of_one_tool_without_ids_stay_two() -> None:
    data = [chunk(piece('{"x":1}', index=0, name="f")), chunk(piece('{"x":2}', index=0, name="f"))]
    assert calls_in(answer(*data, chunk(finish="stop"))) == [("f", '{"x":1}'), ("f", '{"x":2}')]


def test_minted_ids_differ_from_one_answer_of_a_conversation_to_the_next() -> None:
    minted = ids(events(chunk(piece("{}", index=0, name="f")), chunk(finish="stop")))
    assert minted == ["call-9-0"]


@pytest.mark.parametrize("args", [None, "", "null"])
def test_a_call_without_arguments_has_an_empty_object(args: Json) -> None:
    data = chunk(piece(None if args == "null" else args, index=0, call_id="a", name="f"))
    assert calls_in(answer(data, chunk(finish="tool_calls"))) == [("f", "{}")]


def test_calls_that_end_with_stop_are_calls() -> None:
    whole = answer(chunk(piece("{}", index=0, call_id="a", name="f")), chunk(finish="stop"))
    assert whole.stop_reason == "tool_use"


def test_a_call_cut_short_by_the_limit_is_dropped_and_whole_ones_stay() -> None:
    whole = answer(
        chunk(piece("{}", index=0, call_id="a", name="f")),
        chunk(piece('{"x":', index=1, call_id="b", name="g")),
        chunk(finish="length"),
    )
    assert (calls_in(whole), whole.stop_reason) == ([("f", "{}")], "max_tokens")


def test_a_call_without_a_name_is_an_error() -> None:
    with pytest.raises(LlmFailed, match="without a name"):
        answer(chunk(piece("{}", index=0, call_id="a")), chunk(finish="tool_calls"))


# -- everything else -----------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_comes_under_two_names_and_ends_where_the_answer_begins(field: str) -> None:
    whole = answer(
        chunk({field: "hm, "}), chunk({field: "yes"}), chunk({"content": "x"}, "stop"), "[DONE]"
    )
    first = whole.blocks[0]
    assert isinstance(first, Reasoning)
    assert (first.data.text, text_in(whole)) == ("hm, yes", "x")


def test_reasoning_alone_is_kept() -> None:
    assert len(answer(chunk({"reasoning": "hm"}), chunk(finish="stop")).blocks) == 1


def test_a_refusal_is_what_the_model_said() -> None:
    assert text_in(answer(chunk({"refusal": "no"}, "stop"))) == "no"


def test_a_whole_answer_in_the_place_of_a_stream_is_taken() -> None:
    message = {"role": "assistant", "content": "x", **piece('{"a":1}', call_id="c", name="f")}
    choice: Json = {"index": 0, "message": message, "finish_reason": "stop"}
    whole = answer(enc({"choices": [choice]}))
    assert (text_in(whole), calls_in(whole)) == ("x", [("f", '{"a":1}')])


def test_other_choices_and_unknown_chunks_are_passed_over() -> None:
    other = enc({"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "stop"}]})
    assert text_in(answer(other, "{}", '{"type":"ping"}', chunk({"content": "x"}, "stop"))) == "x"


@pytest.mark.parametrize(
    ("data", "reason", "retryable", "told"),
    [
        ('{"error":{"message":"no memory","code":500}}', "provider_error", True, "no memory"),
        ('{"error":{"message":"slow down","code":429}}', "rate_limited", True, "slow down"),
        ('{"error":{"type":"overloaded_error","message":"m"}}', "provider_error", True, "m"),
        ('{"error":{"code":"rate_limit_exceeded","message":"m"}}', "rate_limited", True, "m"),
        (
            '{"error":{"code":400,"type":"exceed_context_size_error","message":"too long"}}',
            "context_exceeded",
            False,
            "too long",
        ),
        ('{"error":"just words"}', "provider_error", False, "just words"),
        ('{"object":"error","message":"old style"}', "provider_error", False, "old style"),
    ],
)
def test_an_error_in_the_middle_says_what_the_server_said(
    data: str, reason: str, retryable: bool, told: str
) -> None:
    with pytest.raises(LlmFailed, match=told) as caught:
        answer(chunk({"content": "x"}), data)
    assert (caught.value.reason, caught.value.retryable) == (reason, retryable)


def test_a_finish_reason_may_be_an_error() -> None:
    with pytest.raises(LlmFailed, match="gave up"):
        answer(chunk({"content": "x"}, "error"), "[DONE]")


@pytest.mark.parametrize("data", ["no json", "[1]", '{"choices":[{"delta":{"content":5}}]}'])
def test_what_is_no_chunk_is_shown(data: str) -> None:
    with pytest.raises(LlmFailed, match="what cannot be read"):
        answer(data)
