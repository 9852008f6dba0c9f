"""What the Responses API streams, turned into our events. No I/O in here.

An answer is a list of items. Each begins, grows by deltas and is told once more, whole, when it is
done; what is told then counts. Only the end of the response says whether it was cut short.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from meerkat_mob.core.messages import OpenAiMeta, StopReason
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm.assembly import incomplete
from meerkat_mob.llm.client import LlmDone, LlmEvent, LlmTextDelta, LlmUsage
from meerkat_mob.llm.failures import Server, reported, unreadable
from meerkat_mob.llm.responses.calls import Calls
from meerkat_mob.llm.responses.thoughts import Thoughts
from meerkat_mob.llm.responses.wire import (
    ArgumentsDelta,
    Completed,
    Consumed,
    Event,
    Failed,
    Fault,
    FunctionCall,
    Incomplete,
    ItemAdded,
    ItemDone,
    Message,
    Place,
    Reasoning,
    RefusalDelta,
    Response,
    SummaryDelta,
    TextDelta,
    ThoughtDelta,
    Untyped,
    decode_event,
    decode_item,
    decode_response,
    place_of,
)

CUT_SHORT: Final[dict[str | None, StopReason]] = {
    "max_output_tokens": "max_tokens",
    "content_filter": "content_filter",
}
"""Why a response is incomplete; for any other reason it ends like a complete one."""


class ResponseDecoder:
    """Takes the data of each event, gives ours. ``salt`` goes into the ids we have to mint.

    Feed it until ``ended``, or until the bytes end; then ``finish`` gives the rest and the end. A
    whole response in the place of a stream is taken, too.
    """

    def __init__(self, server: Server, *, salt: str) -> None:
        self._server = server
        self._calls = Calls(salt)
        self._thoughts = Thoughts()
        self._streamed: set[Place] = set()  # messages that came in pieces
        self._speaking: Place | None = None  # the message that more text would go on with
        self._cut_short: StopReason | None = None
        self.ended = False
        """Whether the server said that nothing follows."""

    @property
    def answered(self) -> bool:
        """Whether an answer has come to its end."""
        return self.ended

    def feed(self, data: str) -> Iterator[LlmEvent]:
        """The events of one event. Raises ``LlmFailed`` for what is none, or reports an error."""
        try:
            event = decode_event(data)
            if isinstance(event, Untyped):
                yield from self._untyped(event, data)
            else:
                yield from self._event(event)
        except (msgspec.DecodeError, RecursionError):
            if data.strip() == "[DONE]":  # some servers add it
                return
            raise unreadable(self._server, data) from None

    def _event(self, event: Event) -> Iterator[LlmEvent]:
        match event:
            case TextDelta() | RefusalDelta():
                yield from self._text(event.place, event.delta)
            case SummaryDelta():
                yield from self._apart(self._thoughts.summary(event))
            case ThoughtDelta():
                yield from self._apart(self._thoughts.shown(event))
            case ArgumentsDelta():
                yield from self._apart(self._calls.delta(event))
            case ItemAdded(item=raw, output_index=index):
                item = decode_item(raw)
                if isinstance(item, FunctionCall):
                    place = place_of(index, item.id or item.call_id)
                    yield from self._apart(self._calls.added(place, item))
            case ItemDone(item=raw, output_index=index):
                yield from self._done(index, raw)
            case Completed(response=response) | Incomplete(response=response):
                yield from self._end(response)
            case Failed(response=response):
                yield from self._failed(response)
            case Fault(code=code, message=message, error=error):
                raise reported(self._server, error or {"code": code, "message": message})

    def _untyped(self, event: Untyped, data: str) -> Iterator[LlmEvent]:
        """Errors without a type, whole responses, and what is passed over."""
        if event.type is None and event.error is not None:
            raise reported(self._server, event.error)
        if event.object == "response":
            response = decode_response(data)
            for index, raw in enumerate(response.output or ()):
                yield from self._done(index, raw)
            if response.status == "failed":
                yield from self._failed(response)
            if response.status in {"completed", "incomplete"}:
                yield from self._end(response)

    def _done(self, index: int | None, raw: msgspec.Raw) -> Iterator[LlmEvent]:
        match decode_item(raw):
            case Message(id=name, content=content, phase=phase):
                place = place_of(index, name)
                if place not in self._streamed:
                    yield from self._text(place, "".join(part.words for part in content or ()))
                if phase:  # behind what it is the phase of; it has to be sent back
                    yield LlmTextDelta(delta="", meta=OpenAiMeta(id=name or "", phase=phase))
            case FunctionCall() as item:
                place = place_of(index, item.id or item.call_id)
                yield from self._apart(self._calls.done(place, item))
            case Reasoning() as item:
                yield from self._apart(self._thoughts.done(place_of(index, item.id), item))
            case None:  # a search, or another tool that the server runs itself
                pass

    def _text(self, place: Place, text: str) -> Iterator[LlmEvent]:
        if not text:
            return
        if place != self._speaking:
            if self._speaking is not None:  # two messages would run into one
                yield LlmTextDelta(delta="\n\n")
            self._streamed.add(place)
            self._speaking = place
        yield LlmTextDelta(delta=text)

    def _apart(self, events: Iterator[LlmEvent]) -> Iterator[LlmEvent]:
        """Events of what is no text: text after them stands in a block of its own."""
        for event in events:
            self._speaking = None
            yield event

    def _end(self, response: Response) -> Iterator[LlmEvent]:
        yield from _usage(response.usage)
        why = response.incomplete_details
        self._cut_short = CUT_SHORT.get(why.reason) if why else None
        self.ended = True

    def _failed(self, response: Response) -> Iterator[LlmEvent]:
        yield from _usage(response.usage)
        raise reported(self._server, response.error or "the response failed")

    def finish(self) -> Iterator[LlmEvent]:
        """What was still open, and the one end. Raises ``LlmFailed`` when the stream had none."""
        if not self.ended:
            raise incomplete(self._server.provider)
        if self._calls.nameless:
            raise self._failure("a tool call without a name")
        yield from self._thoughts.finish()
        if self._cut_short is None:
            yield from self._calls.finish()
        whole: StopReason = "tool_use" if self._calls.present else "end_turn"
        yield LlmDone(stop_reason=self._cut_short or whole)

    def _failure(self, what: str) -> LlmFailed:
        return LlmFailed(
            provider=self._server.provider,
            reason="provider_error",
            detail=f"{self._server.url} sent {what}",
            hint="ask again, or choose another model with --model",
        )


def _usage(told: Consumed | None) -> Iterator[LlmEvent]:
    """Cached tokens are among the input's. What was not told is unknown, and not zero."""
    if told is None or told.input_tokens is None or told.output_tokens is None:
        return
    details = told.input_tokens_details
    usage = Usage(
        input_tokens=max(told.input_tokens, 0),
        output_tokens=max(told.output_tokens, 0),
        cache_creation_tokens=details.cache_write_tokens if details else None,
        cache_read_tokens=details.cached_tokens if details else None,
    )
    yield LlmUsage(usage=usage)
