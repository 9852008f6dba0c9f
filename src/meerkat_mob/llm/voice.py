"""How an answer without a server is spoken: the one way from ``Reply`` to events.

It is deterministic: text comes in whole words, calls are numbered, and waiting is
``asyncio.sleep``, so a virtual clock jumps over it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final, TypeAlias

import msgspec
from msgspec import UNSET

from meerkat_mob.core.content import text_of
from meerkat_mob.core.messages import Message, ToolResults, text_of_message, tool_uses
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm.client import (
    LlmDone,
    LlmEvent,
    LlmReasoningComplete,
    LlmReasoningDelta,
    LlmRequest,
    LlmTextDelta,
    LlmToolCallComplete,
    LlmUsage,
)
from meerkat_mob.llm.reply import Call, Reply, Text, Thought

_WORDS: Final = re.compile(r"\S+\s*|\s+")
_PHRASES: Final = re.compile(r".{256}\S*\s*|.+", re.DOTALL)
_SHORT: Final = 80
"""Up to this many characters a text comes word by word also when nothing paces it.

A longer one comes in phrases: nobody watches it, and each piece is an event.
"""
_CHARACTERS_PER_TOKEN: Final = 4
_TRANSCRIPTS: Final = 4096
"""How many transcripts we know the length of; beyond that they are counted again."""

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
        await asyncio.sleep(0)  # lets others go on, as a real call does
        for part in reply.parts:
            if isinstance(part, Call):
                yield self._called(part)
                continue
            if part.delay:
                await asyncio.sleep(part.delay)
            delta = LlmReasoningDelta if isinstance(part, Thought) else LlmTextDelta
            for piece in _pieces(part):
                yield delta(delta=piece)
                if part.pace:
                    await asyncio.sleep(part.pace)
            if isinstance(part, Thought):
                yield LlmReasoningComplete(text=part.text)
        for event in self._end(request, reply):
            yield event
        if reply.hangs:
            await asyncio.get_running_loop().create_future()

    def _called(self, wanted: Call) -> LlmEvent:
        self._calls += 1
        args = bytes(wanted.args).decode(errors="replace")
        return LlmToolCallComplete(id=f"call-{self._calls}", name=wanted.tool, args=args)

    def _end(self, request: LlmRequest, reply: Reply) -> Sequence[LlmEvent]:
        """What follows the parts; only an answer that ends well has its usage estimated."""
        broken = reply.hangs or reply.error is not None
        usage = reply.usage
        if usage is UNSET:
            usage = None if broken else self._estimate(request, reply)
        told: list[LlmEvent] = [] if usage is None else [LlmUsage(usage=usage)]
        if reply.error is not None:
            return [*told, LlmDone(error=reply.error)]
        if reply.hangs:
            return told
        stop = reply.stop_reason
        if stop is UNSET:
            stop = "tool_use" if reply.calls else "end_turn"
        return [*told, LlmDone(stop_reason=stop)]

    def _estimate(self, request: LlmRequest, reply: Reply) -> Usage:
        """Made-up counts, four characters for a token: of the whole request, and of the answer."""
        asked = len(request.system_context) + self._length(request.messages)
        written = 0
        for part in reply.parts:
            written += len(bytes(part.args) if isinstance(part, Call) else part.text)
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


def _pieces(part: Text | Thought) -> list[str]:
    by_word = part.pace or len(part.text) <= _SHORT
    return (_WORDS if by_word else _PHRASES).findall(part.text)
