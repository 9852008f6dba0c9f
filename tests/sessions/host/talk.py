"""What the sessions of a worker say and do, known to whoever looks for it later.

A session takes one turn after the other. Each is one of four kinds, by its number: a plain one, one
with a tool behind a note, one with a tool and a receipt, and one with a receipt behind a context
that is written into the System message. Some sessions are archived in the place of a turn.
"""

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from meerkat_mob.core.messages import (
    AssistantMessage,
    Message,
    SystemMessage,
    ToolResults,
    UserMessage,
    text_of_message,
    tool_uses,
)
from meerkat_mob.llm.client import LlmRequest
from meerkat_mob.llm.reply import Reply, call, say

SESSIONS: Final = 8
ARCHIVED_AT: Final = {5: 12, 6: 6, 7: 2}
"""The turns that these sessions do not take, because they are archived."""
Form: TypeAlias = tuple[str, ...]


def name_of(number: int) -> str:
    return f"s{number}"


def prompt(number: int, turn: int) -> str:
    return f"{number}.{turn} " + "word " * (turn * 37 % 50)


def has_note(turn: int) -> bool:
    return turn % 4 == 1


def has_aside(turn: int) -> bool:
    return turn % 4 == 3


def has_tool(turn: int) -> bool:
    return turn % 4 in (1, 2)


def has_receipt(turn: int) -> bool:
    return turn % 4 in (2, 3)


def aside(number: int, turn: int) -> str:
    return f"<aside {number}.{turn}>"


def run_of(number: int, turn: int) -> str:
    return f"run {number}.{turn}"


def answer(request: LlmRequest) -> Reply:
    """What the model says: the same in every process, and whatever was lost in between."""
    last = request.messages[-1]
    asked = last if isinstance(last, UserMessage) else request.messages[-3]
    place = text_of_message(asked).split()[0]
    if asked is last and has_tool(int(place.split(".")[1])):
        return say(f"I look up {place}.") & call("echo", place=place)
    return say(f"Answer {place}.")


def expected(number: int) -> Iterator[Form]:
    """The messages of a session, one after another, without the System message."""
    turn = 0
    while True:
        place = f"{number}.{turn}"
        yield "user", prompt(number, turn)
        if has_tool(turn):
            yield "calls", f"I look up {place}."
            yield ("results",)
        yield "answer", f"Answer {place}."
        turn += 1


def forms_of(messages: Iterable[Message]) -> list[Form]:
    """The same of what is there. Fails unless each call has one result behind it (INV-3)."""
    forms: list[Form] = []
    open_calls: list[str] = []
    for message in messages:
        match message:
            case SystemMessage():
                assert not forms, "the System message is the first"
            case UserMessage():
                assert not open_calls
                forms.append(("user", text_of_message(message)))
            case AssistantMessage():
                assert not open_calls
                open_calls = [use.id for use in tool_uses(message)]
                forms.append(("calls" if open_calls else "answer", text_of_message(message)))
            case ToolResults():
                assert [result.tool_use_id for result in message.results] == open_calls
                open_calls = []
                forms.append(("results",))
            case _:
                raise AssertionError(f"nobody said {message}")
    return forms


def turns_of(forms: Iterable[Form]) -> int:
    """How many turns are over."""
    return sum(form[0] == "answer" for form in forms)
