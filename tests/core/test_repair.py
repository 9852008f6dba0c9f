"""Open calls get results: for any beginning of a conversation, once, in call order (INV-3)."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.arguments import EMPTY
from meerkat_mob.core.messages import (
    AssistantFlat,
    AssistantMessage,
    LegacyToolCall,
    Message,
    ToolResult,
    ToolResults,
    ToolUse,
    ToolUseData,
    UserMessage,
    tool_uses,
)
from meerkat_mob.core.repair import (
    INTERRUPTED,
    NOT_STARTED,
    OUTCOME_UNKNOWN,
    close_open_calls,
    open_calls,
)
from meerkat_mob.core.transcript import Transcript
from tests import strategies


def calls(*ids: str) -> AssistantMessage:
    blocks = (ToolUse(data=ToolUseData(id=one, name="look", args=EMPTY)) for one in ids)
    return AssistantMessage(blocks=tuple(blocks), stop_reason="tool_use")


def result(name: str, content: str = "ok") -> ToolResult:
    return ToolResult(tool_use_id=name, content=content)


def unanswered(messages: list[Message]) -> list[str]:
    """Calls that no message after them answers."""
    found: list[str] = []
    for place, message in enumerate(messages):
        after = [r for m in messages[place:] if isinstance(m, ToolResults) for r in m.results]
        answered = {r.tool_use_id for r in after}
        found += [use.id for use in tool_uses(message) if use.id not in answered]
    return found


@st.composite
def valid_conversations(draw: st.DrawFn) -> list[Message]:
    """Messages among which every call is answered by the next message, or by the next ones."""
    said: list[Message] = []
    ids = count()
    for _ in range(draw(st.integers(0, 4))):
        said += draw(st.lists(strategies.user_messages, max_size=1))
        names = [f"call-{next(ids)}" for _ in range(draw(st.integers(0, 3)))]
        said.append(calls(*names))
        while names:
            size = draw(st.integers(1, len(names)))
            some, names = names[:size], names[size:]
            said.append(ToolResults(results=tuple(map(result, some))))
    return said


@given(valid_conversations(), st.data())
def test_after_a_repair_no_call_of_any_beginning_is_open(
    messages: list[Message], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(min_value=0, max_value=len(messages)))
    transcript = Transcript.of(messages[:cut])
    missing = unanswered(list(transcript.view()))
    before = transcript.fork()
    assert [call.id for call in open_calls(transcript)] == missing
    assert close_open_calls(transcript, otherwise=OUTCOME_UNKNOWN) == len(missing)
    assert unanswered(list(transcript.view())) == []
    assert list(transcript.view())[:cut] == list(before.view())
    assert len(transcript) == cut + bool(missing)
    assert close_open_calls(transcript, otherwise=OUTCOME_UNKNOWN) == 0


def test_an_open_call_is_told_what_is_known_of_it() -> None:
    told = {
        "not_started": NOT_STARTED,
        "cancelled": INTERRUPTED,
        "outcome_unknown": OUTCOME_UNKNOWN,
    }
    for code, outcome in told.items():
        transcript = Transcript.of([UserMessage(content="go"), calls("a", "b")])
        assert close_open_calls(transcript, otherwise=outcome) == 2
        last = transcript.view()[-1]
        assert isinstance(last, ToolResults)
        assert [(r.tool_use_id, r.is_error) for r in last.results] == [("a", True), ("b", True)]
        assert all(f'"error":"{code}"' in str(r.content) for r in last.results)


def test_known_results_are_used_in_call_order_and_strangers_come_last() -> None:
    transcript = Transcript.of([calls("a", "b", "c")])
    known = [result("x", "who"), result("c", "three"), result("a", "one")]
    assert close_open_calls(transcript, known, otherwise=NOT_STARTED) == 4
    last = transcript.view()[-1]
    assert isinstance(last, ToolResults)
    assert [r.tool_use_id for r in last.results] == ["a", "b", "c", "x"]
    assert [r.is_error for r in last.results] == [False, True, False, False]


def test_results_without_any_call_are_pushed_as_they_are() -> None:
    transcript = Transcript()
    assert close_open_calls(transcript, otherwise=NOT_STARTED) == 0
    assert close_open_calls(transcript, [result("x")], otherwise=NOT_STARTED) == 1
    assert list(transcript.view()) == [ToolResults(results=(result("x"),))]
    assert open_calls(transcript) == ()


def test_calls_of_an_old_flat_answer_are_closed_too() -> None:
    call = LegacyToolCall(id="old", name="look", args=EMPTY)
    transcript = Transcript.of([AssistantFlat(content="", tool_calls=(call,))])
    assert close_open_calls(transcript, otherwise=OUTCOME_UNKNOWN) == 1
    assert open_calls(transcript) == ()


def test_what_was_said_after_a_call_leaves_it_alone() -> None:
    """Only the end of a transcript is repaired: what lies before was somebody's to answer."""
    transcript = Transcript.of([calls("a"), UserMessage(content="never mind")])
    assert close_open_calls(transcript, otherwise=OUTCOME_UNKNOWN) == 0
