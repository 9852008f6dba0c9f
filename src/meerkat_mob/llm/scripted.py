"""A model that says what a script tells it: for tests, strictly.

A call it has no line for ends with an error, and a line that was never spoken is a complaint at
the end. Text streams word by word; delays are ``asyncio.sleep``, so a virtual clock jumps them.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, TypeAlias

import msgspec

from meerkat_mob.core.arguments import encode_arguments
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import text_of_message
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import LlmFailed, ScriptError
from meerkat_mob.llm.client import (
    LlmDone,
    LlmEvent,
    LlmRequest,
    LlmTextDelta,
    LlmToolCallComplete,
    LlmUsage,
)

_WORDS: Final = re.compile(r"\S+\s*|\s+")


class Call(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A tool call in a reply."""

    tool: str
    args: msgspec.Raw


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """One answer: text, calls, or an error; ``delay`` in seconds before it, ``hangs`` for ever."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    error: LlmFailed | None = None
    delay: float = 0.0
    pace: float = 0.0
    hangs: bool = False
    usage: Usage | None = None

    def __and__(self, other: Reply) -> Reply:
        """Both replies in one: texts after each other, all calls."""
        return msgspec.structs.replace(
            self, text=self.text + other.text, calls=self.calls + other.calls
        )


def say(text: str, *, delay: float = 0.0, pace: float = 0.0, usage: Usage | None = None) -> Reply:
    """A text; ``pace`` is the time between two words, in seconds."""
    return Reply(text=text, delay=delay, pace=pace, usage=usage)


def call(tool: str, /, **args: Json) -> Reply:
    """A tool call; join several with ``&``."""
    return Reply(calls=(Call(tool=tool, args=encode_arguments(args)),))


def fail(detail: str = "the server is down", *, retryable: bool = False) -> Reply:
    """An error in the place of an answer."""
    error = LlmFailed(
        provider="scripted",
        reason="provider_error",
        detail=detail,
        hint="the script says so",
        retryable=retryable,
    )
    return Reply(error=error)


def hang() -> Reply:
    """No answer, until the call is cancelled."""
    return Reply(hangs=True)


Answer: TypeAlias = Callable[[LlmRequest], Reply]
Script: TypeAlias = Sequence[Reply | str] | Mapping[str, Sequence[Reply | str]] | Answer


class ScriptedLlm:
    """Replies in order, or by member id or profile, or from a function of the request."""

    provider: Final = "scripted"

    def __init__(self, script: Script) -> None:
        self.requests: list[LlmRequest] = []
        """Every request so far. Messages are views: they show the transcript as it was."""
        self._function = script if callable(script) else None
        lines: Mapping[str, Sequence[Reply | str]] = (
            {} if callable(script) else script if isinstance(script, Mapping) else {"": script}
        )
        self._lines = {key: deque(value) for key, value in lines.items()}
        self._calls = 0

    async def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        """See ``LlmClient.stream``."""
        self.requests.append(request)
        try:
            reply = self._next(request)
        except ScriptError as error:
            yield LlmDone(error=error)
            return
        async for event in self._play(request, reply):
            yield event

    async def _play(
        self, request: LlmRequest, reply: Reply
    ) -> AsyncGenerator[LlmEvent, None]:
        if reply.hangs:
            await asyncio.get_running_loop().create_future()
        if reply.delay:
            await asyncio.sleep(reply.delay)
        for word in _WORDS.findall(reply.text):
            yield LlmTextDelta(delta=word)
            if reply.pace:
                await asyncio.sleep(reply.pace)
        for wanted in reply.calls:
            self._calls += 1
            yield LlmToolCallComplete(
                id=f"call-{self._calls}", name=wanted.tool, args=bytes(wanted.args).decode()
            )
        if reply.error is not None:
            yield LlmDone(error=reply.error)
            return
        yield LlmUsage(usage=reply.usage or estimated_usage(request, reply.text))
        yield LlmDone(stop_reason="tool_use" if reply.calls else "end_turn")

    def _next(self, request: LlmRequest) -> Reply:
        if self._function is not None:
            return self._function(request)
        *_, profile, member = ("", "", *request.speaker.split("/"))
        for key in (member, profile, ""):
            if self._lines.get(key):
                line = self._lines[key].popleft()
                return say(line) if isinstance(line, str) else line
        raise ScriptError(
            detail=f"{request.speaker or 'the agent'} has no line left",
            hint=f"it was asked: {text_of_message(request.messages[-1])[:200]!r}",
        )

    def assert_spent(self) -> None:
        """Raises ``ScriptError`` when a line was never spoken."""
        left = {key: len(lines) for key, lines in self._lines.items() if lines}
        if left:
            told = ", ".join(f"{count} of {key or 'the script'}" for key, count in left.items())
            raise ScriptError(detail=f"lines never spoken: {told}", hint="shorten the script")

    async def aclose(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> ScriptedLlm:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.assert_spent()


def estimated_usage(request: LlmRequest, text: str) -> Usage:
    """A made-up count: four characters for a token, of the newest message and of the answer.

    Counting the whole request would cost O(history) for each call, for a number nobody pays.
    """
    read = text_of_message(request.messages[-1]) if request.messages else ""
    return Usage(input_tokens=max(len(read) // 4, 1), output_tokens=max(len(text) // 4, 1))
