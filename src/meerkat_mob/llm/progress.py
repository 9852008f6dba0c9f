"""Where a run stands, read from the messages of one request: what came in, and what was done since.

Models without a server keep no conversation of their own; the transcript is all they know. Looking
back costs O(run), not O(history).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from meerkat_mob.core.content import text_of
from meerkat_mob.core.messages import (
    AssistantFlat,
    AssistantMessage,
    Message,
    ToolResults,
    UserMessage,
    text_of_message,
    tool_uses,
)

_NEWS: Final = re.compile(r"\[COMMS REQUEST from [^\n]*\n(intent: )?mob\.")
"""How news about the team begins: a peer came or went. It is nothing that anybody said."""


class Called(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A tool call of this run with its result."""

    tool: str
    args: bytes
    result: str
    is_error: bool


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A run so far.

    ``incoming`` are the texts that started it, ``steps`` its model calls until now, and ``start``
    the number of messages before its first answer.
    """

    start: int
    incoming: tuple[str, ...]
    steps: int
    called: tuple[Called, ...]


def progress_of(messages: Sequence[Message]) -> Progress:
    """The run that the next answer belongs to.

    It starts at the newest user messages in a row; notices of the runtime do not count as such.
    """
    start = len(messages)
    while start and not isinstance(messages[start - 1], UserMessage):
        start -= 1
    since = [messages[place] for place in range(start, len(messages))]
    return Progress(
        start=start,
        incoming=tuple(texts_in(messages, after_the_last_answer(messages, start), start)),
        steps=sum(isinstance(m, (AssistantMessage, AssistantFlat)) for m in since),
        called=_calls(since),
    )


def texts_in(messages: Sequence[Message], start: int, stop: int) -> Iterator[str]:
    """What others said in a range of the transcript; news about the team is left out."""
    for place in range(start, stop):
        message = messages[place]
        if isinstance(message, UserMessage):
            text = text_of_message(message)
            if not _NEWS.match(text):
                yield text


def after_the_last_answer(messages: Sequence[Message], stop: int) -> int:
    """The place behind the last answer before ``stop``; 0 without one."""
    while stop and not isinstance(messages[stop - 1], (AssistantMessage, AssistantFlat)):
        stop -= 1
    return stop


def _calls(since: Sequence[Message]) -> tuple[Called, ...]:
    results = {
        result.tool_use_id: result
        for message in since
        if isinstance(message, ToolResults)
        for result in message.results
    }
    return tuple(
        Called(
            tool=use.name,
            args=bytes(use.args),
            result=text_of(results[use.id].content),
            is_error=results[use.id].is_error,
        )
        for message in since
        for use in tool_uses(message)
        if use.id in results
    )
