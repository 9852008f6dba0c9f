"""Tool calls of one response, put together from what is streamed of them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from meerkat_mob.llm.client import LlmEvent, LlmToolCallComplete, LlmToolCallDelta
from meerkat_mob.llm.responses.wire import ArgumentsDelta, FunctionCall, Place


class _Call(msgspec.Struct):
    id: str
    name: str
    parts: list[str] = []
    over: bool = False


class Calls:
    """The calls of one response, in the order they came. ``salt`` goes into the ids we mint."""

    def __init__(self, salt: str) -> None:
        self._salt = salt
        self._calls: dict[Place, _Call] = {}

    @property
    def present(self) -> bool:
        """Whether anything was called."""
        return bool(self._calls)

    @property
    def nameless(self) -> bool:
        """Whether a call never got a name: nobody can run it."""
        return any(not call.name for call in self._calls.values())

    def added(self, place: Place, item: FunctionCall) -> Iterator[LlmEvent]:
        """A call begins."""
        if item.name and place not in self._calls:
            call, part = self._new(place, item), item.arguments or ""
            call.parts.append(part)
            yield LlmToolCallDelta(id=call.id, name=call.name, args_delta=part)

    def delta(self, event: ArgumentsDelta) -> Iterator[LlmEvent]:
        """More of a call's arguments; of a call that did not begin, its end will tell all."""
        call = self._calls.get(event.place)
        if call is not None and not call.over:
            call.parts.append(event.delta)
            yield LlmToolCallDelta(id=call.id, args_delta=event.delta)

    def done(self, place: Place, item: FunctionCall) -> Iterator[LlmEvent]:
        """A call is over. One that was cut short has no end."""
        call = self._calls.get(place) or self._new(place, item)
        call.over = True
        if call.name and item.status != "incomplete":
            args = "".join(call.parts) if item.arguments is None else item.arguments
            yield LlmToolCallComplete(id=call.id, name=call.name, args=args)

    def finish(self) -> Iterator[LlmEvent]:
        """The end of every call that the server did not tell the end of."""
        for call in self._calls.values():
            if not call.over:
                args = "".join(call.parts)
                yield LlmToolCallComplete(id=call.id, name=call.name, args=args)

    def _new(self, place: Place, item: FunctionCall) -> _Call:
        given = item.call_id or ""
        taken = not given or any(call.id == given for call in self._calls.values())
        minted = f"call-{self._salt}-{len(self._calls)}"
        call = self._calls[place] = _Call(id=minted if taken else given, name=item.name or "")
        return call
