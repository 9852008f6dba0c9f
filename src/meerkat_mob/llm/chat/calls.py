"""Tool calls of one streamed answer, put together from what a server says of them.

By the book a call has an index, and an id and a name in its first piece. Servers leave out any of
the three, repeat the name, or give every call index 0 and send it whole. Which piece belongs to
which call is decided here, in ``_call_of``, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.arguments import normalise_arguments
from meerkat_mob.llm.client import LlmEvent, LlmToolCallComplete, LlmToolCallDelta


class FunctionDelta(msgspec.Struct, frozen=True, kw_only=True):
    """Name and arguments, or a part of them. ``arguments`` may be text, an object or null."""

    name: str | None = None
    arguments: msgspec.Raw | UnsetType = UNSET


class CallDelta(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of a call."""

    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None


class _Call(msgspec.Struct):
    id: str
    given_id: str
    name: str = ""
    parts: list[str] = []
    told: bool = False

    @property
    def args(self) -> str:
        return "".join(self.parts)

    @property
    def whole(self) -> bool:
        """Whether its arguments are an object already; blank ones may still grow."""
        return bool(self.args.strip()) and _is_object(self.args)


class Calls:
    """The calls of one answer, in the order they came."""

    def __init__(self, salt: str) -> None:
        self._salt = salt
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    @property
    def present(self) -> bool:
        """Whether anything was called."""
        return bool(self._calls)

    @property
    def nameless(self) -> bool:
        """Whether a call never got a name: nobody can run it."""
        return any(not call.name for call in self._calls)

    def take(self, piece: CallDelta) -> Iterator[LlmEvent]:
        """The event of one piece; none before the call's name is known."""
        function = piece.function or FunctionDelta()
        args = _text(function.arguments)
        call = self._call_of(piece, args)
        if piece.index is not None:
            self._by_index[piece.index] = call
        call.name = call.name or function.name or ""
        call.parts.append(args)
        if call.name:
            name, call.told = UNSET if call.told else call.name, True
            part = args if name is UNSET else call.args
            yield LlmToolCallDelta(id=call.id, name=name, args_delta=part)

    def finish(self, *, cut_short: bool) -> Iterator[LlmEvent]:
        """The end of every call. In an answer cut short, a call without its end has none."""
        for call in self._calls:
            if call.name and not (cut_short and not call.whole):
                yield LlmToolCallComplete(id=call.id, name=call.name, args=call.args)

    def _call_of(self, piece: CallDelta, args: str) -> _Call:
        current = self._calls[-1] if self._calls else None
        if piece.index is not None:
            current = self._by_index.get(piece.index)
        if piece.id:
            if piece.index is None:
                current = next((c for c in self._calls if c.given_id == piece.id), None)
            if current is None or current.given_id not in {"", piece.id}:
                return self._new(piece.id)
            return current
        if current is None:
            return self._new("")
        name = piece.function.name if piece.function else None
        if name and current.name:
            next_one = current.whole and (piece.index is None or bool(args.strip()))
            if next_one or name != current.name:
                return self._new("")
        return current

    def _new(self, given: str) -> _Call:
        taken = any(call.id == given for call in self._calls)
        minted = f"call-{self._salt}-{len(self._calls)}"
        call = _Call(id=minted if taken or not given else given, given_id=given)
        self._calls.append(call)
        return call


def _text(arguments: msgspec.Raw | UnsetType) -> str:
    if arguments is UNSET:
        return ""
    raw = bytes(arguments).decode()
    if raw == "null":
        return ""
    return msgspec.json.decode(raw, type=str) if raw.startswith('"') else raw


def _is_object(text: str) -> bool:
    try:
        normalise_arguments(text)
    except ValueError:
        return False
    return True
