"""The lines of a script as data, and how requests and lines are told in a complaint.

A line is spoken once. Only a function that stands in the place of all lines answers every call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from meerkat_mob.core.content import text_of
from meerkat_mob.core.messages import (
    AssistantFlat,
    AssistantMessage,
    Message,
    SystemMessage,
    SystemNotice,
    ToolResults,
    UserMessage,
    text_of_message,
    tool_uses,
)
from meerkat_mob.errors import InvalidParams
from meerkat_mob.llm.client import LlmRequest
from meerkat_mob.llm.performance import PATTERN_FLAGS
from meerkat_mob.llm.progress import after_the_last_answer, texts_in
from meerkat_mob.llm.reply import Call, Reply, Thought, say

Line: TypeAlias = Reply | str
"""What is said to one call."""
Answer: TypeAlias = Callable[[LlmRequest], Line]
"""Says it from the request."""


class When(msgspec.Struct, frozen=True, kw_only=True):
    """A line that waits for a request that fits it: see ``when``."""

    fits: re.Pattern[str] | Callable[[LlmRequest], object]
    line: Line | Answer


Entry: TypeAlias = Line | Answer | When
"""One line of a script, whatever it depends on."""
Lines: TypeAlias = Entry | Sequence[Entry]
Script: TypeAlias = Lines | Mapping[str, Lines]

_SHOWN: Final = 80
_MESSAGES: Final = 3
"""How many of a request's last messages a complaint shows."""
_LINES: Final = 5
"""How many of the lines that are left it shows."""


def when(fits: str | Callable[[LlmRequest], object], line: Line | Answer) -> When:
    """A line for the first request that fits: by a function, or a pattern found in ``asked``.

    ``^`` and ``$`` are the ends of a line, as in a performance. Raises ``InvalidParams`` for a
    text that is no regular expression.
    """
    if not isinstance(fits, str):
        return When(fits=fits, line=line)
    try:
        return When(fits=re.compile(fits, PATTERN_FLAGS), line=line)
    except re.error as fault:
        raise InvalidParams(
            what=f"{fits!r} is no regular expression: {fault}",
            path="fits",
            hint="correct it, or give a function of the request",
        ) from fault


def asked(request: LlmRequest) -> str:
    """What is new in a request since the model's last answer.

    These are the texts that others said and the results of tools, with a blank line between two.
    The system prompt and news about the team are left out.
    """
    messages, found = request.messages, list[str]()
    for place in range(after_the_last_answer(messages, len(messages)), len(messages)):
        message = messages[place]
        if isinstance(message, ToolResults):
            found += [text_of(result.content) for result in message.results]
        else:
            found += texts_in(messages, place, place + 1)
    return "\n\n".join(found)


def fits(line: Entry, request: LlmRequest) -> bool:
    """Whether a line can be spoken now."""
    if not isinstance(line, When):
        return True
    if isinstance(line.fits, re.Pattern):
        return line.fits.search(asked(request)) is not None
    return bool(line.fits(request))


def reply_of(line: Entry, request: LlmRequest) -> Reply:
    """What a line says to a request. Raises ``TypeError`` for a function that gives no answer."""
    spoken = _spoken(line.line if isinstance(line, When) else line, request)
    if isinstance(spoken, str):
        return say(spoken)
    if not isinstance(spoken, Reply):
        raise TypeError(f"{spoken!r} is neither a text nor a Reply")
    return spoken


def _spoken(line: Line | Answer, request: LlmRequest) -> object:
    """What is said as it came: the types of functions are a promise, and not a check."""
    return line if isinstance(line, (Reply, str)) else line(request)


# -- words -------------------------------------------------------------------------------------


def told_line(line: Entry) -> str:
    """A line, for a complaint."""
    if isinstance(line, When):
        by = line.fits
        told = repr(by.pattern) if isinstance(by, re.Pattern) else _name(by)
        return f"when {told}: {told_line(line.line)}"
    if isinstance(line, str):
        return cut(repr(line))
    return cut(_told_reply(line)) if isinstance(line, Reply) else _name(line)


def told_lines(lines: Sequence[str]) -> str:
    """Lines that were told, for a complaint about a call: some of them, and how many more."""
    more = len(lines) - _LINES
    return "; ".join(lines[:_LINES]) + (f"; and {more} more" if more > 0 else "")


def told_request(request: LlmRequest) -> str:
    """The last messages of a request, oldest first."""
    return ", then ".join(map(_told_message, request.messages[-_MESSAGES:])) or "no message"


def _told_reply(reply: Reply) -> str:
    told: list[str] = []
    for part in reply.parts:
        if isinstance(part, Call):
            told.append(_told_call(part.tool, bytes(part.args)))
        elif part.text:
            told.append(f"{'thinking ' if isinstance(part, Thought) else ''}{part.text!r}")
    if reply.error is not None:
        told.append(f"error {reply.error.detail!r}")
    if reply.hangs:
        told.append("silence")
    return " & ".join(told) or repr("")


def _told_message(message: Message) -> str:
    match message:
        case ToolResults():
            results = [cut(repr(text_of(result.content))) for result in message.results]
            return f"results {', '.join(results)}"
        case AssistantMessage() | AssistantFlat():
            calls = [_told_call(use.name, bytes(use.args)) for use in tool_uses(message)]
            text = text_of_message(message)
            return f"assistant {cut(' & '.join([repr(text)] * bool(text) + calls))}"
        case SystemMessage() | SystemNotice() | UserMessage():
            who = "user" if isinstance(message, UserMessage) else "system"
            return f"{who} {cut(repr(text_of_message(message)))}"


def _told_call(tool: str, args: bytes) -> str:
    return f"{tool}({args.decode(errors='replace')})"


def _name(function: Callable[..., object]) -> str:
    return f"the function {getattr(function, '__name__', type(function).__name__)}"


def cut(text: str) -> str:
    """As much of a text as a complaint shows."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
