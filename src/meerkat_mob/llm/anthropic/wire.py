"""The events of the Messages stream that we read, as they are on the wire.

Whatever is not here is passed over: new kinds of events and blocks come out all the time.
"""

from __future__ import annotations

from typing import Final

import msgspec

from meerkat_mob.core.jsonvalue import Json


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an answer, as it begins; or whole, in an answer that was not streamed."""

    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw()
    content: Json = None


class Delta(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Some more of a block, or how the message ends."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    content: str | None = None
    stop_reason: str | None = None


class Consumed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was consumed so far. The tokens of the cache are beside the input's."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """The message that begins."""

    usage: Consumed | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event, or a whole message."""

    type: str | None = None
    index: int = 0
    message: Message | None = None
    content_block: Block | None = None
    delta: Delta | None = None
    usage: Consumed | None = None
    error: Json = None
    content: tuple[Block, ...] | None = None
    stop_reason: str | None = None


READ: Final = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "message",
        "error",
    }
)
"""The types of events that mean something to us."""


BLOCKS: Final = frozenset({"text", "thinking", "redacted_thinking", "tool_use", "compaction"})
DELTAS: Final = frozenset(
    {"text_delta", "thinking_delta", "signature_delta", "input_json_delta", "compaction_delta"}
)
"""Of all kinds of parts and pieces those that we read; the fields of others may be anything."""


class _Kind(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    type: str | None = None


class _Typed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    type: Json = None
    error: Json = None


class _Grown(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    index: int = 0
    content_block: _Kind | None = None
    delta: _Kind | None = None


_typed: Final = msgspec.json.Decoder(_Typed)
_grown: Final = msgspec.json.Decoder(_Grown)
_events: Final = msgspec.json.Decoder(Event)


def decode_event(data: str) -> Event | None:
    """An event; None for one that is passed over. Raises ``msgspec.DecodeError``."""
    try:
        return _events.decode(data)
    except msgspec.ValidationError:
        told = _typed.decode(data)
        if told.type not in READ and told.error is None:
            return None
        grown = _grown.decode(data)
        if (block := grown.content_block) is not None and block.type not in BLOCKS:
            begun = Block(type=block.type or "")  # it has its place, and nothing that we read
            return Event(type="content_block_start", index=grown.index, content_block=begun)
        if (delta := grown.delta) is not None and delta.type not in {*DELTAS, None}:
            return None
        raise
