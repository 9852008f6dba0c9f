"""Reasoning of one response, so that each item of it can be replayed as it was.

A part of an item's summary is a thought of its own, and the last one has the sealed form. What an
open model shows of its reasoning is no summary: it has no metadata, for it cannot be replayed.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.messages import OpenAiMeta
from meerkat_mob.llm.client import LlmEvent, LlmReasoningComplete, LlmReasoningDelta
from meerkat_mob.llm.responses.wire import Place, Reasoning, SummaryDelta, ThoughtDelta


class _Thought(msgspec.Struct):
    """What is open of an item; ``told`` parts of its summary are over."""

    parts: list[str] = []
    index: int = 0
    told: int = 0
    shown: bool = False

    def take(self) -> str:
        text = "".join(self.parts)
        self.parts.clear()
        return text


class Thoughts:
    """The reasoning items of one response."""

    def __init__(self) -> None:
        self._open: dict[Place, _Thought] = {}

    def summary(self, event: SummaryDelta) -> Iterator[LlmEvent]:
        """More of a summary. A part is over when the next one begins."""
        thought = self._open.setdefault(event.place, _Thought())
        if event.summary_index != thought.index:
            thought.index = event.summary_index
            if thought.parts:
                thought.told += 1
                yield LlmReasoningComplete(text=thought.take(), meta=_meta(event.item_id))
        yield from _more(thought, event.delta)

    def shown(self, event: ThoughtDelta) -> Iterator[LlmEvent]:
        """More of what a model shows."""
        thought = self._open.setdefault(event.place, _Thought())
        thought.shown = True
        yield from _more(thought, event.delta)

    def done(self, place: Place, item: Reasoning) -> Iterator[LlmEvent]:
        """An item is over; what it says now counts."""
        thought = self._open.pop(place, _Thought())
        begun = thought.take()
        shown = "".join(part.words for part in item.content or ())
        if thought.shown and not shown:
            shown = begun
        summary = [part.words for part in item.summary or ()][thought.told :]
        if not summary and not shown:
            summary = [begun]
        sealed = item.encrypted_content or UNSET
        if shown:
            yield LlmReasoningComplete(text=shown)
        if sealed is not UNSET or (any(summary) and not shown):
            *before, last = summary or [""]
            for text in before:
                yield LlmReasoningComplete(text=text, meta=_meta(item.id))
            yield LlmReasoningComplete(text=last, meta=_meta(item.id, sealed))

    def finish(self) -> Iterator[LlmEvent]:
        """What the server did not tell the end of."""
        for thought in self._open.values():
            if thought.parts:
                yield LlmReasoningComplete(text=thought.take())


def _more(thought: _Thought, delta: str) -> Iterator[LlmEvent]:
    if delta:
        thought.parts.append(delta)
        yield LlmReasoningDelta(delta=delta)


def _meta(item_id: str | None, sealed: str | UnsetType = UNSET) -> OpenAiMeta | UnsetType:
    return OpenAiMeta(id=item_id, encrypted_content=sealed) if item_id else UNSET
