"""A model's answer as data, and how it is spoken: what every model without a server has in common.

Spoken answers are deterministic: text comes word by word, calls are numbered, and waiting is
``asyncio.sleep``, so a virtual clock jumps over it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Final

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
_CHARACTERS_PER_TOKEN: Final = 4


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


class Voice:
    """Speaks answers, with call ids of its own: ``call-1``, ``call-2`` and so on."""

    def __init__(self) -> None:
        self._calls = 0
        self._read: dict[str, _Read] = {}

    async def speak(self, request: LlmRequest, reply: Reply) -> AsyncGenerator[LlmEvent, None]:
        """The events of an answer to a request, with exactly one end."""
        await asyncio.sleep(reply.delay)  # even no delay lets others go on, as a real call does
        for word in _WORDS.findall(reply.text):
            yield LlmTextDelta(delta=word)
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
        """Made-up counts, four characters for a token: of the whole request, and of the answer.

        What a speaker's last request had is not counted again, so that the cost of a call does
        not grow with the history.
        """
        messages, read = request.messages, self._read.get(request.speaker)
        if read is None or read.count > len(messages) or messages[read.count - 1] is not read.last:
            read = _Read(count=0, characters=0, last=None)
        characters = read.characters
        for place in range(read.count, len(messages)):
            characters += _characters(messages[place])
        if messages:
            self._read[request.speaker] = _Read(
                count=len(messages), characters=characters, last=messages[-1]
            )
        written = len(reply.text) + sum(len(bytes(c.args)) for c in reply.calls)
        return Usage(
            input_tokens=-(-characters // _CHARACTERS_PER_TOKEN),
            output_tokens=-(-written // _CHARACTERS_PER_TOKEN),
        )


class _Read(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a speaker's transcript was counted, up to which message."""

    count: int
    characters: int
    last: Message | None


def _characters(message: Message) -> int:
    if isinstance(message, ToolResults):
        return sum(len(text_of(result.content)) for result in message.results)
    return len(text_of_message(message)) + sum(len(bytes(u.args)) for u in tool_uses(message))
