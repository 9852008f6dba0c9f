"""A model's answer as data, and how it is spoken: what every model without a server has in common.

Spoken answers are deterministic: text comes in whole words, calls are numbered, and waiting is
``asyncio.sleep``, so a virtual clock jumps over it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.arguments import encode_arguments
from meerkat_mob.core.content import text_of
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import Message, ToolResults, text_of_message, tool_uses
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm.client import (
    LlmDone,
    LlmEvent,
    LlmRequest,
    LlmTextDelta,
    LlmToolCallComplete,
    LlmUsage,
)

_WORDS: Final = re.compile(r"\S+\s*|\s+")
_PHRASES: Final = re.compile(r".{256}\S*\s*|.+", re.DOTALL)
_SHORT: Final = 80
"""Up to this many characters a text comes word by word also when nothing paces it.

A longer one comes in phrases: nobody watches it, and each piece is an event.
"""
_CHARACTERS_PER_TOKEN: Final = 4
_TRANSCRIPTS: Final = 4096
"""How many transcripts we know the length of; beyond that they are counted again."""


class Call(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A tool call in an answer; ``args`` are normalised JSON bytes."""

    tool: str
    args: msgspec.Raw


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """One answer: text, then calls, or an error in their place.

    ``delay`` is the time before it and ``pace`` the time after each word, in seconds. One that
    ``hangs`` says its text and then nothing, until it is cancelled. ``usage`` is estimated unless
    it is given; None means that the model does not say.
    """

    text: str = ""
    calls: tuple[Call, ...] = ()
    error: LlmFailed | None = None
    delay: float = 0.0
    pace: float = 0.0
    hangs: bool = False
    usage: Usage | UnsetType | None = UNSET

    def __and__(self, other: Reply) -> Reply:
        """Both as one answer: texts and calls after each other."""
        return Reply(
            text=self.text + other.text,
            calls=self.calls + other.calls,
            error=self.error or other.error,
            delay=self.delay + other.delay,
            pace=max(self.pace, other.pace),
            hangs=self.hangs or other.hangs,
            usage=self.usage if other.usage is UNSET else other.usage,
        )


def say(
    text: str,
    *,
    delay: float = 0.0,
    pace: float = 0.0,
    usage: Usage | UnsetType | None = UNSET,
) -> Reply:
    """A text."""
    return Reply(text=text, delay=delay, pace=pace, usage=usage)


def call(tool: str, /, **args: Json) -> Reply:
    """A tool call. Join answers with ``&``: two calls at once, or a text and a call."""
    return Reply(calls=(Call(tool=tool, args=encode_arguments(args)),))


def fail(
    detail: str = "the server is down",
    *,
    reason: str = "provider_error",
    retryable: bool = False,
    retry_after_ms: int | None = None,
) -> Reply:
    """An error in the place of an answer, with the facts of ``LlmFailed``."""
    error = LlmFailed(
        provider="scripted",
        reason=reason,
        detail=detail,
        hint="the script says so",
        retryable=retryable,
        retry_after_ms=retry_after_ms,
    )
    return Reply(error=error)


def hang() -> Reply:
    """No answer, until the call is cancelled."""
    return Reply(hangs=True)


Choose: TypeAlias = Callable[[LlmRequest], Reply]
"""What is answered to a request."""


class Voice:
    """Speaks answers, with call ids of its own: ``call-1``, ``call-2`` and so on."""

    def __init__(self) -> None:
        self._calls = 0
        self._read: dict[int, _Read] = {}

    async def speak(self, request: LlmRequest, choose: Choose) -> AsyncGenerator[LlmEvent, None]:
        """The events of the answer that is chosen, with exactly one end.

        ``choose`` is asked at the first event; the ``LlmFailed`` it may raise is the answer, too.
        """
        try:
            reply = choose(request)
        except LlmFailed as error:
            yield LlmDone(error=error)
            return
        await asyncio.sleep(reply.delay)  # even no delay lets others go on, as a real call does
        pieces = _WORDS if reply.pace or len(reply.text) <= _SHORT else _PHRASES
        for piece in pieces.findall(reply.text):
            yield LlmTextDelta(delta=piece)
            if reply.pace:
                await asyncio.sleep(reply.pace)
        if reply.hangs:
            await asyncio.get_running_loop().create_future()
        if reply.error is not None:
            yield LlmDone(error=reply.error)
            return
        for wanted in reply.calls:
            self._calls += 1
            args = bytes(wanted.args).decode()
            yield LlmToolCallComplete(id=f"call-{self._calls}", name=wanted.tool, args=args)
        usage = self._estimate(request, reply) if reply.usage is UNSET else reply.usage
        if usage is not None:
            yield LlmUsage(usage=usage)
        yield LlmDone(stop_reason="tool_use" if reply.calls else "end_turn")

    def _estimate(self, request: LlmRequest, reply: Reply) -> Usage:
        """Made-up counts, four characters for a token: of the whole request, and of the answer."""
        asked = len(request.system_context) + self._length(request.messages)
        written = len(reply.text)
        for wanted in reply.calls:
            written += len(bytes(wanted.args))
        return Usage(
            input_tokens=-(-asked // _CHARACTERS_PER_TOKEN),
            output_tokens=-(-written // _CHARACTERS_PER_TOKEN),
        )

    def _length(self, messages: Sequence[Message]) -> int:
        """Characters in a transcript. What its last request had is not counted again.

        A transcript is known by its first message, and that it only grew by the last one counted.
        """
        count = len(messages)
        if not count:
            return 0
        place, length = 0, 0
        read = self._read.get(id(messages[0]))
        if read and read.count <= count and messages[read.count - 1] is read.last:
            place, length = read.count, read.length
        while place < count:
            length += _characters(messages[place])
            place += 1
        if len(self._read) >= _TRANSCRIPTS:
            self._read.clear()
        self._read[id(messages[0])] = _Read(count=count, length=length, last=messages[-1])
        return length


class _Read(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How much of a transcript was counted, up to which message."""

    count: int
    length: int
    last: Message


def _characters(message: Message) -> int:
    if isinstance(message, ToolResults):
        return sum(len(text_of(result.content)) for result in message.results)
    length = len(text_of_message(message))
    for use in tool_uses(message):
        length += len(bytes(use.args))
    return length
