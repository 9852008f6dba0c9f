"""What Gemini streams: parts, signatures, calls without ids, and all that can be wrong."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.messages import (
    AssistantBlock,
    AssistantText,
    GeminiMeta,
    Reasoning,
    StopReason,
    TextData,
    ToolUse,
    ToolUseData,
)
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm import LlmReasoningDelta, LlmTextDelta
from tests.llm.gemini.kit import USAGE, Piece, answer, call, heard, piece, text, thought

EVERYTHING = (
    piece(thought("hm, ")),
    piece(thought("well")),
    piece(text("Hel")),
    piece(text("lo"), call("look", {"at": "é"}, "c2ln"), call("look", {"at": "b"})),
    piece(text("", "ZW5k"), finish="STOP"),
)


def meta(signature: str | None) -> Any:
    return msgspec.UNSET if signature is None else GeminiMeta(thought_signature=signature)


def said(told: str, signature: str | None = None) -> AssistantBlock:
    return AssistantText(data=TextData(text=told, meta=meta(signature)))


def reasoned(told: str, signature: str | None = None) -> AssistantBlock:
    return Reasoning(data=TextData(text=told, meta=meta(signature)))


def used(name: str, tool: str, args: str = "{}", signature: str | None = None) -> AssistantBlock:
    raw = msgspec.Raw(args.encode())
    return ToolUse(data=ToolUseData(id=name, name=tool, args=raw, meta=meta(signature)))


def test_an_answer_with_everything_in_it() -> None:
    told = answer(*EVERYTHING)
    assert told.blocks == (
        reasoned("hm, well"),
        said("Hello"),
        used("call_9_0", "look", '{"at":"é"}', "c2ln"),
        used("call_9_1", "look", '{"at":"b"}'),
        said("", "ZW5k"),
    )
    assert told.stop_reason == "tool_use"
    assert told.usage == Usage(input_tokens=13, output_tokens=7, cache_read_tokens=5)


def test_it_is_heard_as_it_is_said() -> None:
    events = [*heard(*EVERYTHING)]
    assert [e.delta for e in events if isinstance(e, LlmReasoningDelta)] == ["hm, ", "well"]
    assert [e.delta for e in events if isinstance(e, LlmTextDelta)] == ["Hel", "lo", ""]


def test_ids_are_those_of_the_server_or_never_used_twice_in_a_conversation() -> None:
    def ids(*pieces: Piece, salt: str) -> list[str]:
        blocks = answer(*pieces, salt=salt).blocks
        return [block.data.id for block in blocks if isinstance(block, ToolUse)]

    one = piece(call("a"), call("a"), call("b", id="given"), finish="STOP")
    assert ids(one, salt="3") == ["call_3_0", "call_3_1", "given"]
    assert not {*ids(one, salt="3")[:2]} & {*ids(one, salt="5")[:2]}


_TEXT = st.text(min_size=1, max_size=8)
_SIGNATURE = st.one_of(st.none(), _TEXT)
_ARGS = st.dictionaries(_TEXT, st.integers(0, 9), max_size=2)
_PARTS = st.lists(
    st.one_of(
        st.tuples(st.just("text"), _TEXT, st.none()),
        st.tuples(st.just("signed"), st.text(max_size=8), _TEXT),
        st.tuples(st.just("thought"), _TEXT, st.none()),
        st.tuples(st.just("call"), _ARGS, _SIGNATURE),
    ),
    max_size=7,
)


@given(_PARTS, st.integers(1, 3))
def test_any_answer_is_taken_as_it_was_given(parts: list[tuple[str, Any, Any]], size: int) -> None:
    wire: list[dict[str, Any]] = []
    expected: list[AssistantBlock] = []
    calls = 0
    for kind, what, signature in parts:
        last = expected[-1] if expected else None
        match kind:
            case "text":
                wire.append(text(what))
                if isinstance(last, AssistantText) and last.data.meta is msgspec.UNSET:
                    expected[-1] = said(last.data.text + what)
                else:
                    expected.append(said(what))
            case "signed":
                wire.append(text(what, signature))
                expected.append(said(what, signature))
            case "thought":
                wire.append(thought(what))
                if isinstance(last, Reasoning):
                    expected[-1] = reasoned(last.data.text + what)
                else:
                    expected.append(reasoned(what))
            case _:
                wire.append(call("look", what, signature))
                args = msgspec.json.encode(what).decode()
                expected.append(used(f"call_9_{calls}", "look", args, signature))
                calls += 1
    cut = [wire[place : place + size] for place in range(0, len(wire), size)]
    told = answer(*(piece(*some) for some in cut), piece(finish="STOP"))
    assert [_with_plain_args(block) for block in told.blocks] == [
        _with_plain_args(block) for block in expected
    ]


def _with_plain_args(block: AssistantBlock) -> Any:
    if not isinstance(block, ToolUse):
        return block
    return block.data.id, msgspec.json.decode(block.data.args), block.data.meta


@pytest.mark.parametrize(
    ("finish", "ours"),
    [
        ("STOP", "end_turn"),
        ("MAX_TOKENS", "max_tokens"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("ESCALATION", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
        ("CONTINUATION", "max_tokens"),
        ("OTHER", "end_turn"),
        ("SOMETHING_NEW", "end_turn"),
    ],
)
def test_why_it_stopped(finish: str, ours: StopReason) -> None:
    assert answer(piece(text("x"), finish=finish)).stop_reason == ours


def test_a_prompt_that_is_blocked_gets_an_empty_answer() -> None:
    told = answer({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": USAGE})
    assert (told.blocks, told.stop_reason) == ((), "content_filter")


@pytest.mark.parametrize(
    "finish",
    [
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "TOO_MANY_TOOL_CALLS",
        "UNEXPECTED_TOOL_CALL",
    ],
)
def test_a_call_that_nobody_can_make_is_asked_for_again(finish: str) -> None:
    broken = piece(finish=finish)
    broken["candidates"][0]["finishMessage"] = "print(look("
    with pytest.raises(LlmFailed, match=r"print\(look\(") as failed:
        answer(broken)
    assert failed.value.retryable


def test_a_conversation_that_lacks_a_signature_is_told_as_a_failure() -> None:
    with pytest.raises(LlmFailed, match="MISSING_THOUGHT_SIGNATURE") as failed:
        answer(piece(finish="MISSING_THOUGHT_SIGNATURE"))
    assert not failed.value.retryable


def test_thoughts_at_the_end_are_whole_with_their_signature() -> None:
    told = answer(piece(thought("hm")), piece(thought("", "c2ln"), finish="STOP"))
    assert told.blocks == (reasoned("hm", "c2ln"),)


def test_usage_that_is_never_told_is_unknown() -> None:
    bare = piece(text("x"), finish="STOP")
    del bare["usageMetadata"]
    assert answer(bare).usage is None


def test_all_pieces_in_an_array_are_taken_in_the_place_of_a_stream() -> None:
    whole = msgspec.json.encode(EVERYTHING).decode()
    assert answer(whole) == answer(*EVERYTHING)


def test_unknown_fields_and_other_candidates_are_passed_over() -> None:
    noisy: list[Piece] = []
    for one in EVERYTHING:
        other = {"index": 1, "content": {"parts": [text("other")]}, "finishReason": "STOP"}
        noisy.append({**one, "later": [1], "candidates": [*one["candidates"], other]})
    ground = {"groundingMetadata": {"webSearchQueries": ["x"]}, "executableCode": {"code": "1"}}
    noisy[1]["candidates"][0] = {**noisy[1]["candidates"][0], **ground}
    assert answer(*noisy) == answer(*EVERYTHING)


@pytest.mark.parametrize(
    "data", ["no json", "[1]", '{"candidates":5}', '{"candidates":[{"content":{"parts":"x"}}]}']
)
def test_what_is_no_piece_is_shown(data: str) -> None:
    with pytest.raises(LlmFailed, match="sent what cannot be read"):
        answer(data)


def test_a_stream_without_an_end_is_no_answer() -> None:
    for place in range(len(EVERYTHING)):
        with pytest.raises(LlmFailed, match="incomplete"):
            answer(*EVERYTHING[:place])


@pytest.mark.parametrize(
    ("code", "status", "reason", "again"),
    [
        (429, "RESOURCE_EXHAUSTED", "rate_limited", True),
        (503, "UNAVAILABLE", "provider_error", True),
        (400, "INVALID_ARGUMENT", "provider_error", False),
    ],
)
@pytest.mark.parametrize("listed", [True, False])
def test_an_error_in_the_stream_is_told(
    code: int, status: str, reason: str, again: bool, listed: bool
) -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"}
    error = {"code": code, "message": "so sorry", "status": status, "details": [detail]}
    fault = msgspec.json.encode([{"error": error}] if listed else {"error": error}).decode()
    with pytest.raises(LlmFailed, match="so sorry") as failed:
        answer(piece(text("x")), fault)
    assert (failed.value.reason, failed.value.retryable) == (reason, again)
    assert failed.value.retry_after_ms == 1500
