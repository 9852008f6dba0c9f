"""The events and items of the Responses stream that we read, as they are on the wire.

Whatever is not here is passed over: new kinds of events and items come out all the time, and their
fields may have any type. So an item is decoded only when its kind is known.
"""

from __future__ import annotations

from typing import Final, TypeAlias, get_args

import msgspec

from meerkat_mob.core.jsonvalue import Json

Place: TypeAlias = int | str
"""Which item of a response something is about."""


def place_of(index: int | None, name: str | None) -> Place:
    """An item's number, or its name: some servers have only the one, and some only the other.

    The number first: there are servers that name an item anew in every event.
    """
    return index if index is not None else name or ""


class Text(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A part of a message, of a summary, or of reasoning that is shown."""

    text: str | None = None
    refusal: str | None = None

    @property
    def words(self) -> str:
        """What it says; a refusal is said like anything else."""
        return self.text or self.refusal or ""


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="message"):
    """What the model says."""

    id: str | None = None
    content: tuple[Text, ...] | None = None
    phase: str | None = None


class FunctionCall(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="function_call"):
    """A tool that it calls. ``call_id`` is the one that counts; ``id`` names the item."""

    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    status: str | None = None


class Reasoning(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="reasoning"):
    """What it thinks: a summary, or (of open models) the thing itself, and the sealed form."""

    id: str | None = None
    summary: tuple[Text, ...] | None = None
    content: tuple[Text, ...] | None = None
    encrypted_content: str | None = None


Item: TypeAlias = Message | FunctionCall | Reasoning


class InputDetails(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How many of the input's tokens were read from a cache, and written to it."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class Consumed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a response has consumed; cached tokens are among the input's."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: InputDetails | None = None


class Why(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why a response is incomplete."""

    reason: str | None = None


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A response as a whole."""

    status: str | None = None
    error: Json = None
    incomplete_details: Why | None = None
    usage: Consumed | None = None
    output: tuple[msgspec.Raw, ...] | None = None


class Delta(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A piece of an item."""

    delta: str
    item_id: str | None = None
    output_index: int | None = None

    @property
    def place(self) -> Place:
        """Which item it belongs to."""
        return place_of(self.output_index, self.item_id)


class TextDelta(Delta, frozen=True, kw_only=True, gc=False, tag="response.output_text.delta"):
    """Some more text."""


class RefusalDelta(Delta, frozen=True, kw_only=True, gc=False, tag="response.refusal.delta"):
    """Some more of a refusal."""


class ThoughtDelta(Delta, frozen=True, kw_only=True, gc=False, tag="response.reasoning_text.delta"):
    """Some more reasoning of a model that shows it."""


class SummaryDelta(
    Delta, frozen=True, kw_only=True, gc=False, tag="response.reasoning_summary_text.delta"
):
    """Some more of one part of a summary."""

    summary_index: int = 0


class ArgumentsDelta(
    Delta, frozen=True, kw_only=True, gc=False, tag="response.function_call_arguments.delta"
):
    """Some more of a call's arguments."""


class ItemAdded(msgspec.Struct, frozen=True, kw_only=True, tag="response.output_item.added"):
    """An item begins."""

    item: msgspec.Raw
    output_index: int | None = None


class ItemDone(msgspec.Struct, frozen=True, kw_only=True, tag="response.output_item.done"):
    """An item is whole."""

    item: msgspec.Raw
    output_index: int | None = None


class Completed(msgspec.Struct, frozen=True, kw_only=True, tag="response.completed"):
    """The end."""

    response: Response


class Incomplete(msgspec.Struct, frozen=True, kw_only=True, tag="response.incomplete"):
    """The end, before the model had said all."""

    response: Response


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="response.failed"):
    """The end, by an error."""

    response: Response


class Fault(msgspec.Struct, frozen=True, kw_only=True, tag="error"):
    """An error of the server's, flat or in a table of its own."""

    code: Json = None
    message: Json = None
    error: Json = None


Event: TypeAlias = (
    TextDelta
    | RefusalDelta
    | ThoughtDelta
    | SummaryDelta
    | ArgumentsDelta
    | ItemAdded
    | ItemDone
    | Completed
    | Incomplete
    | Failed
    | Fault
)


class Untyped(msgspec.Struct, frozen=True, kw_only=True):
    """What tells an event of no known type, an error without one, and a whole response apart."""

    type: Json = None
    error: Json = None
    object: Json = None


_events: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)
_items: Final[msgspec.json.Decoder[Item]] = msgspec.json.Decoder(Item)
_untyped: Final = msgspec.json.Decoder(Untyped)
_responses: Final = msgspec.json.Decoder(Response)
_EVENTS: Final = frozenset(kind.__struct_config__.tag for kind in get_args(Event))
_ITEMS: Final = frozenset(kind.__struct_config__.tag for kind in get_args(Item))


def decode_event(data: str) -> Event | Untyped:
    """An event. Raises ``msgspec.DecodeError`` for one of a known type that has not its form."""
    try:
        return _events.decode(data)
    except msgspec.ValidationError:
        untyped = _untyped.decode(data)
        if untyped.type in _EVENTS:
            raise
        return untyped


def decode_item(raw: msgspec.Raw) -> Item | None:
    """An item, None for one of another type. Raises ``msgspec.DecodeError`` as above."""
    try:
        return _items.decode(raw)
    except msgspec.ValidationError:
        if _untyped.decode(raw).type in _ITEMS:
            raise
        return None


def decode_response(data: str) -> Response:
    """A whole response. Raises ``msgspec.DecodeError`` for what is none."""
    return _responses.decode(data)
