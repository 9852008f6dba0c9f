"""From a stream of events to one assistant message (spec sessions CLI-1, CLI-2).

Blocks keep the order in which they started. A stream has exactly one end: what comes after it is
ignored, and a stream without one is an incomplete response.
"""

from __future__ import annotations

from dataclasses import dataclass, field

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
    """A whole answer; ``usage`` is None when the provider did not say."""

    blocks: tuple[AssistantBlock, ...]
    stop_reason: StopReason
    usage: Usage | None


@dataclass
class _Text:
    parts: list[str]
    meta: ProviderMeta | UnsetType = UNSET


@dataclass
class _Thought:
    parts: list[str] = field(default_factory=list[str])
    meta: ProviderMeta | UnsetType = UNSET


@dataclass
class _Call:
    id: str
    name: str
    parts: list[str] = field(default_factory=list[str])
    meta: ProviderMeta | UnsetType = UNSET
    complete: bool = False


class Assembler:
    """Takes the events of one call, then gives the answer."""

    def __init__(self, *, provider: str = "model") -> None:
        self._provider = provider
        self._blocks: list[_Text | _Thought | _Call] = []
        self._calls: dict[str, _Call] = {}
        self._usage: Usage | None = None
        self._done: LlmDone | None = None

    def feed(self, event: LlmEvent) -> None:
        """Takes one event. Raises ``LlmFailed`` for a delta that belongs to no call."""
        if self._done is not None:
            return
        match event:
            case LlmTextDelta():
                self._text(event)
            case LlmReasoningDelta(delta=delta):
                self._thought().parts.append(delta)
            case LlmReasoningComplete(text=text, meta=meta):
                self._end_thought(text, meta)
            case LlmToolCallDelta():
                self._delta(event)
            case LlmToolCallComplete():
                self._complete(event)
            case LlmUsage(usage=usage):
                self._usage = usage
            case LlmDone():
                self._done = event

    def finish(self) -> Assembled:
        """The answer. Raises what the stream ended with, or that it had no end."""
        if self._done is None:
            raise self._failure("the stream ended before the answer was complete")
        if self._done.error is not None:
            raise self._done.error
        blocks = tuple(b for b in map(self._block, self._blocks) if b is not None)
        return Assembled(
            blocks=blocks, stop_reason=self._done.stop_reason or "end_turn", usage=self._usage
        )

    def _text(self, event: LlmTextDelta) -> None:
        last = self._blocks[-1] if self._blocks else None
        if isinstance(last, _Text) and last.meta is UNSET and event.meta is UNSET:
            last.parts.append(event.delta)
        else:
            self._blocks.append(_Text([event.delta], event.meta))

    def _thought(self) -> _Thought:
        last = self._blocks[-1] if self._blocks else None
        if not isinstance(last, _Thought):
            last = _Thought()
            self._blocks.append(last)
        return last

    def _end_thought(self, text: str, meta: ProviderMeta | UnsetType) -> None:
        thought = self._thought()
        thought.parts, thought.meta = [text], meta

    def _delta(self, event: LlmToolCallDelta) -> None:
        call = self._calls.get(event.id)
        if call is None:
            if event.name is UNSET:
                raise self._failure(f"a part of tool call {event.id!r} came before its start")
            call = self._start(event.id, event.name)
        call.parts.append(event.args_delta)

    def _complete(self, event: LlmToolCallComplete) -> None:
        call = self._calls.get(event.id) or self._start(event.id, event.name)
        if call.complete:
            raise self._failure(f"tool call {event.id!r} came twice")
        call.name, call.parts, call.meta, call.complete = event.name, [event.args], event.meta, True

    def _start(self, call_id: str, name: str) -> _Call:
        call = self._calls[call_id] = _Call(call_id, name)
        self._blocks.append(call)
        return call

    def _block(self, part: _Text | _Thought | _Call) -> AssistantBlock | None:
        text = "".join(part.parts)
        match part:
            case _Text(meta=meta):
                return AssistantText(data=TextData(text=text, meta=meta)) if text else None
            case _Thought(meta=meta):
                return Reasoning(data=TextData(text=text, meta=meta))
            case _Call(complete=False):
                return None
            case _Call():
                return ToolUse(data=self._use(part, text))

    def _use(self, call: _Call, raw: str) -> ToolUseData:
        try:
            args = normalise_arguments(raw)
        except (ValueError, msgspec.DecodeError) as fault:
            raise self._failure(f"the arguments of {call.name} are no JSON object: {fault}") from None
        return ToolUseData(id=call.id, name=call.name, args=args, meta=call.meta)

    def _failure(self, detail: str) -> LlmFailed:
        return LlmFailed(
            provider=self._provider,
            reason="provider_error",
            detail=detail,
            hint="ask again, or use another model",
        )
