"""What Anthropic's Messages stream, turned into our events. No I/O in here.

An answer is a list of blocks; each begins, grows by deltas and ends. A call is only known to be
whole when the message says why it stopped: one that was cut short ends like any other. What tools
of the server's own were asked and gave is kept as it came, for it has to be sent back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import UNSET

from meerkat_mob.core.messages import (
    AnthropicCompactionMeta,
    AnthropicMeta,
    AnthropicRedactedMeta,
    AnthropicServerMeta,
    AssistantBlock,
    AssistantText,
    ProviderMeta,
    Reasoning,
    StopReason,
    TextData,
)
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm.anthropic.wire import (
    Block,
    Consumed,
    Container,
    Delta,
    Event,
    decode_block,
    decode_event,
    is_server_s,
)
from meerkat_mob.llm.assembly import incomplete
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
from meerkat_mob.llm.dialect import Paused
from meerkat_mob.llm.failures import Server, reported, unreadable

STOP: Final[dict[str, StopReason]] = {
    "end_turn": "end_turn",
    "tool_use": "tool_use",
    "stop_sequence": "stop_sequence",
    "max_tokens": "max_tokens",
    "model_context_window_exceeded": "max_tokens",
    "refusal": "content_filter",
}
"""Why a message stops; an unknown reason ends the turn."""
_PAUSE: Final = "pause_turn"
"""The server's own tools have taken long: asked again, the model goes on."""
_CUT: Final[frozenset[StopReason]] = frozenset({"max_tokens", "content_filter"})
"""Reasons that stop a message anywhere, in the middle of a call too."""
_NOTHING: Final = frozenset({"", "{}"})
"""The arguments that a call begins with."""


class _Open(msgspec.Struct, kw_only=True):
    """A block that grows."""

    begun: Block
    raw: msgspec.Raw
    parts: list[str] = msgspec.field(default_factory=list[str])
    signature: str = ""
    sealed: str | None = None

    @property
    def whole(self) -> str:
        return "".join(self.parts)


class MessageDecoder:
    """Takes the data of each event, gives ours. Ids are the server's, so ``salt`` is not used.

    Feed it until ``ended``, or until the bytes end; then ``finish`` gives the rest and the end. A
    whole message in the place of a stream is taken, too.
    """

    def __init__(self, server: Server, *, salt: str) -> None:
        del salt
        self._server = server
        self._open: dict[int, _Open] = {}
        self._calls: list[_Open] = []
        self._last: _Open | None = None
        self._usage = Consumed()
        self._stop: str | None = None
        self._said: list[AssistantBlock] = []  # what is sent back if the server pauses
        self._container: Container | None = None
        self.ended = False
        """Whether the server said that nothing follows."""

    @property
    def answered(self) -> bool:
        """Whether an answer has come to its end."""
        return self._stop is not None

    def feed(self, data: str) -> Iterator[LlmEvent]:
        """The events of one event. Raises ``LlmFailed`` for what is none, or reports an error."""
        try:
            event = decode_event(data)
            if event is None:
                return
            if event.error is not None:
                raise reported(self._server, event.error)
            if event.type == "content_block_delta" and event.delta is not None:
                yield from self._grow(event.index, event.delta)
            else:
                yield from self._event(event)
        except (msgspec.DecodeError, RecursionError):
            raise unreadable(self._server, data) from None

    def _event(self, event: Event) -> Iterator[LlmEvent]:
        match event:
            case Event(type="content_block_start", index=index, content_block=block):
                yield from self._begin(index, block)
            case Event(type="content_block_stop", index=index):
                yield from self._end(index)
            case Event(type="message_start", message=message) if message and message.usage:
                self._count(message.usage)
            case Event(type="message_delta", delta=delta, usage=usage):
                self._stop = (delta and delta.stop_reason) or self._stop
                self._container = (delta and delta.container) or self._container
                yield from self._consumed(usage)
            case Event(type="message_stop"):
                self.ended = True
            case Event(type="message", content=blocks, stop_reason=reason, usage=usage):
                for index, block in enumerate(blocks or ()):
                    yield from self._begin(index, block)
                    yield from self._end(index)
                self._stop, self._container = reason or "end_turn", event.container
                yield from self._consumed(usage)
            case _:
                pass

    # -- blocks --------------------------------------------------------------------------------

    def _begin(self, index: int, raw: msgspec.Raw) -> Iterator[LlmEvent]:
        block = decode_block(raw)
        opened = _Open(begun=block, raw=raw, signature=block.signature or "")
        self._open[index] = self._last = opened
        match block:
            case Block(type="text", text=str(text)) if text:
                opened.parts.append(text)
                yield LlmTextDelta(delta=text)
            case Block(type="thinking", thinking=str(text)) if text:
                opened.parts.append(text)
                yield LlmReasoningDelta(delta=text)
            case Block(type="tool_use", id=str(name), name=str(tool)):
                self._calls.append(opened)
                yield LlmToolCallDelta(id=name, name=tool, args_delta="")
            case Block(type="tool_use"):
                raise self._failure("a tool call without an id or a name")
            case Block(type="compaction", content=str(content)):
                opened.parts.append(content)
            case _:
                pass

    def _grow(self, index: int, delta: Delta) -> Iterator[LlmEvent]:
        opened = self._open.get(index)
        if opened is None:
            raise self._failure("more of a block that never began")
        if delta.type == "text_delta" and delta.text is not None:  # by far the most
            opened.parts.append(delta.text)
            yield LlmTextDelta(delta=delta.text)
            return
        match delta:
            case Delta(type="thinking_delta", thinking=str(text)):
                opened.parts.append(text)
                yield LlmReasoningDelta(delta=text)
            case Delta(type="signature_delta", signature=str(signature)):
                opened.signature += signature
            case Delta(type="input_json_delta", partial_json=str(json)) if json:
                opened.parts.append(json)
                if opened.begun.type == "tool_use":
                    yield LlmToolCallDelta(id=opened.begun.id or "", args_delta=json)
            case Delta(type="compaction_delta", content=content, encrypted_content=sealed):
                opened.parts.append(content or "")
                opened.sealed = sealed or opened.sealed
            case _:  # a citation, or something new
                pass

    def _end(self, index: int) -> Iterator[LlmEvent]:
        opened = self._open.pop(index, None)
        if opened is None:
            return
        if opened.begun.type == "text":
            self._said.append(AssistantText(data=TextData(text=opened.whole)))
            return
        thought = _thought(opened)
        if thought is not None:
            data = TextData(text=thought.text, meta=thought.meta)
            self._said.append(Reasoning(data=data))
            yield thought

    # -- the end -------------------------------------------------------------------------------

    def finish(self) -> Iterator[LlmEvent | Paused]:
        """What was still open, and the one end. Raises ``LlmFailed`` when the stream had none."""
        if self._stop is None:
            raise incomplete(self._server.provider)
        if self._stop == _PAUSE and self._said and not self._calls:
            params = {"container": self._container.id} if self._container else {}
            yield Paused(blocks=tuple(self._said), params=params)
            return
        whole: StopReason = "tool_use" if self._calls else "end_turn"
        reason = STOP.get(self._stop, whole)
        for opened in self._calls:
            args = _args(opened)
            if reason in _CUT and not self._is_whole(opened, args):
                continue
            call = opened.begun
            yield LlmToolCallComplete(id=call.id or "", name=call.name or "", args=args)
        yield LlmDone(stop_reason=reason)

    def _is_whole(self, opened: _Open, args: str) -> bool:
        """Whether it got all its arguments: the last block may have been cut before the first."""
        told = bool(opened.parts) or args not in _NOTHING
        return _is_json(args) and (told or opened is not self._last)

    def _consumed(self, usage: Consumed | None) -> Iterator[LlmEvent]:
        if usage is not None:
            self._count(usage)
        told = _usage(self._usage)
        if told is not None:
            yield LlmUsage(usage=told)

    def _count(self, usage: Consumed) -> None:
        """What is told later counts; what is not told stays."""
        said = {k: v for k, v in msgspec.structs.asdict(usage).items() if v is not None}
        self._usage = msgspec.structs.replace(self._usage, **said)

    def _failure(self, what: str) -> LlmFailed:
        return LlmFailed(
            provider=self._server.provider,
            reason="provider_error",
            detail=f"{self._server.url} sent {what}",
            hint="ask again, or choose another model with --model",
        )


def _thought(opened: _Open) -> LlmReasoningComplete | None:
    """What a block is kept as that nobody reads aloud; None when it is not kept."""
    match opened.begun:
        case Block(type="thinking"):
            signed = AnthropicMeta(signature=opened.signature)
            meta = signed if opened.signature else UNSET
            return LlmReasoningComplete(text=opened.whole, meta=meta)
        case Block(type="redacted_thinking", data=str(data)):
            return _sealed(AnthropicRedactedMeta(data=data))
        case Block(type="compaction") as begun if opened.whole:  # else it failed
            changes = begun.tool_changes
            return _sealed(
                AnthropicCompactionMeta(
                    content=opened.whole,
                    encrypted_content=opened.sealed or begun.encrypted_content or UNSET,
                    signature=opened.signature or UNSET,
                    tool_changes=UNSET if _is_nothing(changes) else _on_one_line(changes),
                )
            )
        case Block(type=kind) if is_server_s(kind) and _is_json(opened.whole):  # else it was cut
            return _sealed(AnthropicServerMeta(block=_as_it_came(opened)))
        case _:
            return None


def _is_nothing(told: msgspec.Raw) -> bool:
    return bytes(told) in {b"", b"null"}


def _sealed(meta: ProviderMeta) -> LlmReasoningComplete:
    return LlmReasoningComplete(text="", meta=meta)


def _as_it_came(opened: _Open) -> str:
    """The block, with the input that was streamed behind it."""
    block = opened.raw
    if opened.parts:
        fields = msgspec.json.decode(block, type=dict[str, msgspec.Raw])
        fields["input"] = msgspec.Raw(opened.whole.encode())
        block = msgspec.Raw(msgspec.json.encode(fields))
    return _on_one_line(block)


def _on_one_line(json: msgspec.Raw) -> str:
    return msgspec.json.format(bytes(json), indent=-1).decode()


def _args(opened: _Open) -> str:
    """The arguments as they were streamed; else those that the block began with."""
    return opened.whole or bytes(opened.begun.input).decode()


def _is_json(args: str) -> bool:
    try:
        msgspec.json.decode(args or "{}")
    except msgspec.DecodeError:
        return False
    return True


def _usage(told: Consumed) -> Usage | None:
    """Ours counts the cache among the input. What was not told is unknown, and not zero."""
    if told.input_tokens is None or told.output_tokens is None:
        return None
    made, read = told.cache_creation_input_tokens, told.cache_read_input_tokens
    return Usage(
        input_tokens=max(told.input_tokens, 0) + (made or 0) + (read or 0),
        output_tokens=max(told.output_tokens, 0),
        cache_creation_tokens=made,
        cache_read_tokens=read,
    )
