"""What a chat-completions server streams, turned into our events. No I/O in here.

Servers differ in small ways, and this is the place that knows them: calls without an id, without
an index or all at once, arguments as an object, reasoning under two names, a finish reason that
hides the calls, usage in a chunk of its own or in none, errors in the middle, and a whole answer
in the place of a stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import StopReason
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm.assembly import incomplete
from meerkat_mob.llm.chat.calls import CallDelta, Calls
from meerkat_mob.llm.client import (
    LlmDone,
    LlmEvent,
    LlmReasoningComplete,
    LlmReasoningDelta,
    LlmTextDelta,
    LlmUsage,
)
from meerkat_mob.llm.failures import Server, reported, unreadable

FINISH: Final[dict[str, StopReason]] = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "length": "max_tokens",
    "content_filter": "content_filter",
}
"""Finish reasons; an unknown one ends the turn like ``stop``."""


class _Delta(msgspec.Struct, frozen=True, kw_only=True):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: tuple[CallDelta, ...] | None = None


class _Choice(msgspec.Struct, frozen=True, kw_only=True):
    index: int | None = None
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _Details(msgspec.Struct, frozen=True, kw_only=True):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True, kw_only=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Chunk(msgspec.Struct, frozen=True, kw_only=True):
    choices: tuple[_Choice, ...] | None = None
    usage: _Usage | None = None
    error: Json = None
    object: str | None = None
    message: str | None = None


_decoder: Final = msgspec.json.Decoder(_Chunk)


class ChunkDecoder:
    """Takes the data of each event, gives ours. ``salt`` goes into the ids we have to mint.

    Feed it until ``ended``, or until the bytes end; then ``finish`` gives the rest and the end.
    """

    def __init__(self, server: Server, *, salt: str) -> None:
        self._server = server
        self._calls = Calls(salt)
        self._thought: list[str] = []
        self._finish: str | None = None
        self.ended = False
        """Whether the server said that nothing follows."""

    def feed(self, data: str) -> Iterator[LlmEvent]:
        """The events of one chunk. Raises ``LlmFailed`` for what is none, or reports an error."""
        if data.strip() == "[DONE]":
            self.ended = True
            return
        try:
            chunk = _decoder.decode(data)
        except (msgspec.DecodeError, RecursionError):
            raise unreadable(self._server, data) from None
        if chunk.error is not None:
            raise reported(self._server, chunk.error)
        if chunk.object == "error":
            raise reported(self._server, chunk.message or data)
        for choice in chunk.choices or ():
            if not choice.index:
                yield from self._choice(choice)
        usage = _usage(chunk.usage) if chunk.usage else None
        if usage is not None:
            yield LlmUsage(usage=usage)

    def _choice(self, choice: _Choice) -> Iterator[LlmEvent]:
        delta = choice.delta or choice.message
        self._finish = choice.finish_reason or self._finish
        if delta is None:
            return
        thought = delta.reasoning_content or delta.reasoning
        if thought:
            self._thought.append(thought)
            yield LlmReasoningDelta(delta=thought)
        text = delta.content or delta.refusal
        if text:
            yield from self._end_thought()
            yield LlmTextDelta(delta=text)
        for call in delta.tool_calls or ():
            yield from self._end_thought()
            yield from self._calls.take(call)

    def _end_thought(self) -> Iterator[LlmEvent]:
        """This dialect never says that a thought is over; what follows it does."""
        if self._thought:
            yield LlmReasoningComplete(text="".join(self._thought))
            self._thought.clear()

    @property
    def answered(self) -> bool:
        """Whether an answer has come to its end, [DONE] or not."""
        return self._finish is not None

    def finish(self) -> Iterator[LlmEvent]:
        """What was still open, and the one end. Raises ``LlmFailed`` when the stream had none."""
        if not self.ended and self._finish is None:
            raise incomplete(self._server.provider)
        if self._finish == "error":
            raise reported(self._server, "the server gave up (finish_reason error)")
        yield from self._end_thought()
        yield from self._calls.finish(cut_short=self._finish == "length")
        if self._calls.nameless:
            raise self._failure("a tool call without a name")
        yield LlmDone(stop_reason=self._stop_reason())

    def _stop_reason(self) -> StopReason:
        reason = FINISH.get(self._finish or "stop", "end_turn")
        if reason in {"end_turn", "tool_use"}:  # some say stop although they call
            return "tool_use" if self._calls.present else "end_turn"
        return reason

    def _failure(self, what: str) -> LlmFailed:
        return LlmFailed(
            provider=self._server.provider,
            reason="provider_error",
            detail=f"{self._server.url} sent {what}",
            hint="ask again, or choose another model with --model",
        )


def _usage(told: _Usage) -> Usage | None:
    """Cached tokens are among the prompt's. What was not told is unknown, and not zero."""
    if told.prompt_tokens is None or told.completion_tokens is None:
        return None
    details = told.prompt_tokens_details
    return Usage(
        input_tokens=max(told.prompt_tokens, 0),
        output_tokens=max(told.completion_tokens, 0),
        cache_read_tokens=details.cached_tokens if details else None,
    )
