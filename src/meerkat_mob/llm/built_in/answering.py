"""What the browser's model says to a member with tools: words as they come, calls at the end.

The answer is one JSON object, ``{"say": …, "calls": […]}`` (``asking``). A browser that cannot hold
its model to that lets it say something else; then whatever it says is text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.llm.client import LlmDone, LlmEvent, LlmTextDelta, LlmToolCallComplete

_OPENING: Final = re.compile(r'\s*\{\s*"say"\s*:\s*"')
_WHOLE: Final = re.compile(
    r'(?:[^"\\]|\\[^u]|\\u(?!d[89ab])[0-9a-f]{4}|\\ud[89ab][0-9a-f]{2}\\u[0-9a-f]{4})*',
    re.IGNORECASE | re.DOTALL,
)
"""The inside of a JSON string as far as it is there: no escape and no pair is cut in two."""

_read: Final = json.JSONDecoder(strict=False).decode
"""Lenient with line breaks inside of strings, which a model that nobody holds likes to write."""


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    arguments: Json = {}


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    say: str | UnsetType = UNSET
    calls: tuple[_Call, ...] | UnsetType = UNSET


class Answering:
    """One answer. Feed it the pieces; then ``finish`` gives the calls and the end.

    ``salt`` goes into the ids of calls, of which the browser has none.
    """

    def __init__(self, *, salt: str) -> None:
        self._salt = salt
        self._raw = ""
        self._inside: int | None = None  # how far "say" has been read
        self._shown = 0  # characters of text that were given

    def feed(self, piece: str) -> Iterator[LlmEvent]:
        """The text that a piece brings, if any."""
        self._raw += piece
        if self._inside is None:
            opening = _OPENING.match(self._raw)
            if opening is None:
                if not self._may_be_json():
                    yield from self._text(self._raw[self._shown :])
                return
            self._inside = opening.end()
        whole = _WHOLE.match(self._raw, self._inside)
        if whole is not None and whole.end() > self._inside:
            yield from self._text(_read(f'"{whole[0]}"'))
            self._inside = whole.end()

    def finish(self) -> Iterator[LlmEvent]:
        """What was not shown yet, the calls, and the end."""
        said = self._whole()
        if said is None:
            if self._inside is not None:  # cut off in the middle: nothing half is called
                yield LlmDone(stop_reason="max_tokens")
                return
            yield from self._text(self._raw[self._shown :])
            yield LlmDone(stop_reason="end_turn")
            return
        yield from self._text(_without_halves((said.say or "")[self._shown :]))
        for place, call in enumerate(said.calls or (), 1):
            args = json.dumps(call.arguments)
            yield LlmToolCallComplete(id=f"call_{self._salt}_{place}", name=call.name, args=args)
        yield LlmDone(stop_reason="tool_use" if said.calls else "end_turn")

    def _may_be_json(self) -> bool:
        start = self._raw.lstrip()
        return not start or start.startswith("{")

    def _text(self, text: str) -> Iterator[LlmEvent]:
        self._shown += len(text)
        if text:
            yield LlmTextDelta(delta=text)

    def _whole(self) -> _Answer | None:
        """The answer in its form; None when it has another one, or none."""
        if not self._may_be_json():
            return None
        try:
            said = msgspec.convert(_read(self._raw), _Answer)
        except (msgspec.ValidationError, ValueError, RecursionError):
            return None
        return None if said.say is UNSET and said.calls is UNSET else said


def _without_halves(text: str) -> str:
    """Halves of surrogate pairs are no text; a mark stands in their place."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Speaking:
    """An answer without tools: every piece is text."""

    def feed(self, piece: str) -> Iterator[LlmEvent]:
        """The piece."""
        if piece:
            yield LlmTextDelta(delta=piece)

    def finish(self) -> Iterator[LlmEvent]:
        """The end."""
        yield LlmDone(stop_reason="end_turn")
