"""From a stream of events to one assistant message (spec sessions CLI-1, CLI-2).

Blocks keep the order in which they started, and what was not finished is not kept. A stream has
exactly one end: what comes after it is ignored, and a stream without one is an incomplete response.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.arguments import normalise_arguments
from meerkat_mob.core.messages import (
    AssistantBlock,
    AssistantText,
    ProviderMeta,
    Reasoning,
    StopReason,
    TextData,
    ToolUse,
    ToolUseData,
)
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm.client import (
    LlmDone,
    LlmEvent,
    LlmReasoningComplete,
    LlmReasoningDelta,
    LlmTextDelta,
    LlmToolCallComplete,
    LlmToolCallDelta,
    LlmUsage,
)


class Assembled(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A whole answer; ``usage`` is None when the provider did not say.

    ``unsaid`` is what of its form the provider did not hold it to (``LlmDone``).
    """

    blocks: tuple[AssistantBlock, ...]
    stop_reason: StopReason
    usage: Usage | None
    unsaid: tuple[str, ...] = ()


class _Text(msgspec.Struct, gc=False):
    """Text that may still grow; text with provider metadata stands alone."""

    parts: list[str]
    meta: ProviderMeta | UnsetType = UNSET


class _Thought(msgspec.Struct, gc=False):
    """A piece of reasoning, begun at its first delta; its whole text comes with its end."""

    text: str | UnsetType = UNSET
    meta: ProviderMeta | UnsetType = UNSET


class _Call(msgspec.Struct, gc=False):
    """A call, begun at its first delta; its whole arguments come with its end."""

    id: str
    name: str
    args: str | UnsetType = UNSET
    meta: ProviderMeta | UnsetType = UNSET


_Other: TypeAlias = (
    LlmReasoningDelta
    | LlmReasoningComplete
    | LlmToolCallDelta
    | LlmToolCallComplete
    | LlmUsage
    | LlmDone
)


class Assembler:
    """Takes the events of one model call, then gives the answer."""

    def __init__(self, *, provider: str = "model") -> None:
        self._provider = provider
        self._blocks: list[_Text | _Thought | _Call] = []
        self._calls: dict[str, _Call] = {}
        self._thought: _Thought | None = None
        self.usage: Usage | None = None
        """What the call has consumed, as far as its provider has said."""
        self._done: LlmDone | None = None

    @property
    def text(self) -> str:
        """What was said so far, of a call that may never end."""
        return "".join("".join(b.parts) for b in self._blocks if isinstance(b, _Text))

    def feed(self, event: LlmEvent) -> None:
        """Takes one event; after the end, none any more.

        Raises ``LlmFailed`` for a part of a call that never started, or started twice.
        """
        if self._done is not None:
            return
        if isinstance(event, LlmTextDelta):  # by far the most
            self._text(event.delta, event.meta)
        else:
            self._other(event)

    def _other(self, event: _Other) -> None:
        match event:
            case LlmReasoningDelta():
                self._open_thought()
            case LlmReasoningComplete(text=text, meta=meta):
                thought = self._open_thought()
                thought.text, thought.meta, self._thought = text, meta, None
            case LlmToolCallDelta(id=call_id, name=name):
                self._delta(call_id, name)
            case LlmToolCallComplete():
                self._complete(event)
            case LlmUsage(usage=usage):
                self.usage = usage
            case LlmDone():
                self._done = event

    def finish(self) -> Assembled:
        """The answer.

        Raises ``LlmFailed``: what the stream ended with, that it had no end, or that a call's
        arguments are no JSON object. Missing arguments are ``{}``.
        """
        if self._done is None:
            raise incomplete(self._provider)
        if self._done.error is not None:
            raise self._done.error
        blocks = [b for b in map(self._block, self._blocks) if b is not None]
        return Assembled(
            blocks=tuple(blocks),
            stop_reason=self._done.stop_reason or "end_turn",
            usage=self.usage,
            unsaid=self._done.unsaid,
        )

    def _text(self, delta: str, meta: ProviderMeta | UnsetType) -> None:
        last = self._blocks[-1] if self._blocks else None
        if isinstance(last, _Text) and last.meta is UNSET and meta is UNSET:
            last.parts.append(delta)
        elif delta or meta is not UNSET:
            self._blocks.append(_Text([delta], meta))

    def _open_thought(self) -> _Thought:
        if self._thought is None:
            self._thought = _Thought()
            self._blocks.append(self._thought)
        return self._thought

    def _delta(self, call_id: str, name: str | UnsetType) -> None:
        call = self._calls.get(call_id)
        if call is None and name is UNSET:
            raise self._failure(f"a part of tool call {call_id!r} came before its start")
        if call is None:
            self._start(call_id, str(name))
        elif name is not UNSET:
            raise self._failure(f"tool call {call_id!r} started twice")
        elif call.args is not UNSET:
            raise self._failure(f"a part of tool call {call_id!r} came after its end")

    def _complete(self, event: LlmToolCallComplete) -> None:
        call = self._calls.get(event.id) or self._start(event.id, event.name)
        if call.args is not UNSET:
            raise self._failure(f"tool call {event.id!r} ended twice")
        call.name, call.args, call.meta = event.name, event.args, event.meta

    def _start(self, call_id: str, name: str) -> _Call:
        call = self._calls[call_id] = _Call(call_id, name)
        self._blocks.append(call)
        return call

    def _block(self, part: _Text | _Thought | _Call) -> AssistantBlock | None:
        match part:
            case _Text():
                return AssistantText(data=TextData(text="".join(part.parts), meta=part.meta))
            case _Thought(text=str(text)):
                return Reasoning(data=TextData(text=text, meta=part.meta))
            case _Call(args=str(args)):
                return ToolUse(data=self._use(part, args))
            case _:
                return None

    def _use(self, call: _Call, raw: str) -> ToolUseData:
        try:
            args = normalise_arguments(raw)
        except ValueError as fault:
            raise self._failure(
                f"the arguments of the call to {call.name!r} are no JSON object ({fault})"
            ) from fault
        return ToolUseData(id=call.id, name=call.name, args=args, meta=call.meta)

    def _failure(self, detail: str) -> LlmFailed:
        return LlmFailed(
            provider=self._provider,
            reason="provider_error",
            detail=detail,
            hint="ask again, or choose another model with --model",
        )


def incomplete(provider: str) -> LlmFailed:
    """What a stream that just stops ends with. It is not retried (CLI-3)."""
    return LlmFailed(
        provider=provider,
        reason="provider_error",
        detail="the stream ended before the answer did (incomplete response)",
        hint="look into the server's log, then ask again",
    )
