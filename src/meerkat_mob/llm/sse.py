"""Server-sent events from bytes, however the network cut them: no I/O in here.

Fed in any pieces, the same bytes give the same events: a character, a line ending or an event may
be split anywhere. Follows the event stream format of the HTML standard, except that ``finish``
gives an event whose closing blank line never came: some servers hang up right after their last one.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

import msgspec

LONGEST_EVENT: Final = 16 * 2**20
"""Characters of one event. Beyond it whoever sends is no model server, and memory has an end."""

_LINE_END: Final = re.compile(r"\r\n|\r|\n")


class SseEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event; ``data`` are its data lines, joined by newlines."""

    data: str
    event: str = "message"


class SseDecoder:
    """Takes bytes as they come, gives events as they end."""

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._line: list[str] = []  # the line that has not ended, in the pieces it came in
        self._data: list[str] = []
        self._event = ""
        self._size = 0
        self._at_start, self._after_cr = True, False

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that ended inside this chunk.

        Raises ``ValueError`` when one event grows beyond ``LONGEST_EVENT``.
        """
        return self._take(self._utf8.decode(chunk))

    def finish(self) -> list[SseEvent]:
        """What the end of the stream leaves: at most one event that was never closed."""
        return [*self._take(self._utf8.decode(b"", final=True)), *self._take("\n\n")]

    def _take(self, text: str) -> list[SseEvent]:
        if not text:
            return []
        if self._at_start:
            text, self._at_start = text.removeprefix("\ufeff"), False
        if self._after_cr:
            text = text.removeprefix("\n")
        self._after_cr = text.endswith("\r")
        *ended, rest = _LINE_END.split(text)
        events: list[SseEvent] = []
        for piece in ended:
            self._grow(len(piece) + 1)
            event = self._end_line("".join((*self._line, piece)))
            self._line.clear()
            if event is not None:
                events.append(event)
        if rest:
            self._line.append(rest)
            self._grow(len(rest))
        return events

    def _end_line(self, line: str) -> SseEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")  # a comment is a field without a name
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        return None

    def _dispatch(self) -> SseEvent | None:
        event = None
        if self._data:
            event = SseEvent(data="\n".join(self._data), event=self._event or "message")
        self._data, self._event, self._size = [], "", 0
        return event

    def _grow(self, by: int) -> None:
        self._size += by
        if self._size > LONGEST_EVENT:
            raise ValueError(f"an event of more than {LONGEST_EVENT} characters")
