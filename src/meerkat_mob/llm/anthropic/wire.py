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
    encrypted_content: str | None = None
    tool_changes: msgspec.Raw = msgspec.Raw()


class Container(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where the server runs code for this conversation."""

    id: str


class Delta(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Some more of a block, or how the message ends."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    content: str | None = None
    encrypted_content: str | None = None
    stop_reason: str | None = None
    container: Container | None = None


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
    """An event, or a whole message. Its blocks are decoded by ``decode_block``."""

    type: str | None = None
    index: int = 0
    message: Message | None = None
    content_block: msgspec.Raw = msgspec.Raw()
    delta: Delta | None = None
    usage: Consumed | None = None
    error: Json = None
    content: tuple[msgspec.Raw, ...] | None = None
    stop_reason: str | None = None
    container: Container | None = None


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
_SERVER_S: Final = frozenset({"server_tool_use", "mcp_tool_use", "container_upload"})


def is_server_s(kind: str) -> bool:
    """Whether a part is of a tool that the server runs itself: it goes back to it as it came."""
    return kind in _SERVER_S or kind.endswith("_tool_result")


class _Kind(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    type: str | None = None


class _Typed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    type: Json = None
    error: Json = None


class _Grown(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    index: int = 0
    delta: _Kind | None = None


_typed: Final = msgspec.json.Decoder(_Typed)
_grown: Final = msgspec.json.Decoder(_Grown)
_events: Final = msgspec.json.Decoder(Event)
_kinds: Final = msgspec.json.Decoder(_Kind)
_blocks: Final = msgspec.json.Decoder(Block)


def decode_event(data: str) -> Event | None:
    """An event; None for one that is passed over. Raises ``msgspec.DecodeError``."""
    try:
        return _events.decode(data)
    except msgspec.ValidationError:
        told = _typed.decode(data)
        if told.type not in READ and told.error is None:
            return None
        delta = _grown.decode(data).delta
        if delta is not None and delta.type not in {*DELTAS, None}:
            return None
        raise


def decode_block(raw: msgspec.Raw) -> Block:
    """A part; of one that we do not read, its kind. Raises ``msgspec.DecodeError``."""
    kind = _kinds.decode(raw).type or ""
    return _blocks.decode(raw) if kind in BLOCKS else Block(type=kind)
