"""``memory_search``: a model finds again what its history has no place for.

Nobody hands anything over when a history is compacted. What was taken out is asked for when it is
first looked for, from those who keep it; so nothing can be missed, and who never searches pays
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from meerkat_mob.agent.memory.entries import Hit, MemoryIndex, entries_of
from meerkat_mob.agent.memory.words import words
from meerkat_mob.core.compaction import Discarded
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.tools import Tool, ToolProvenance
from meerkat_mob.core.typed_tools import typed_tool
from meerkat_mob.errors import InvalidParams

ReadDiscarded: TypeAlias = Callable[[str, int], Awaitable[Discarded | None]]
"""What was taken out of a session, unless that is known up to this mark."""

SHOWN: Final = 800
"""Characters of an entry that a model is shown."""
_NOTHING: Final = "nothing that was said before fits; everything since is in view"


class Memory:
    """What sessions had to let go of, as far as somebody looks for it."""

    def __init__(self, index: MemoryIndex, read: ReadDiscarded) -> None:
        self._index, self._read = index, read

    async def search(self, session_id: str, query: str, limit: int) -> tuple[Hit, ...]:
        """The best entries of a session for some words. Raises ``StoreError``."""
        told = await self._read(session_id, await self._index.mark(session_id))
        if told is not None:
            await self._index.put(session_id, told.at, entries_of(told.messages))
        return await self._index.search(session_id, query, limit)


class MemorySearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of ``memory_search``."""

    query: Annotated[str, Meta(description="Words that it had in it; one that fits is enough.")]
    limit: Annotated[int, Meta(ge=1, le=20, description="How many to show at most.")] = 5


def memory_search_tool(memory: Memory, session_id: str) -> Tool:
    """The tool, for one session."""

    async def search(args: MemorySearch) -> Json:
        if not words(args.query):
            raise InvalidParams(
                what="there is no word in it", path="memory_search.query", hint="give some"
            )
        hits = await memory.search(session_id, args.query, args.limit)
        found: Json = [
            {
                "number": hit.number,
                "role": hit.entry.role,
                "text": excerpt(hit.entry.text, args.query),
                "score": round(hit.score, 3),
            }
            for hit in hits
        ]
        return {"found": found} if hits else {"found": found, "note": _NOTHING}

    return typed_tool(
        "memory_search",
        "Search what was said earlier in this conversation and is no longer in view, because a "
        "summary stands for it: messages, your answers, your tool calls and their results. The "
        "best come first; a higher number is later.",
        MemorySearch,
        search,
        provenance=ToolProvenance(kind="builtin", source_id="memory"),
    )


def excerpt(text: str, query: str) -> str:
    """The part of a text around the first word of a query; all of it when it is short."""
    if len(text) <= SHOWN:
        return text
    wanted = set(words(query))
    places = (m.start() for m in re.finditer(r"\w+", text) if not wanted.isdisjoint(words(m[0])))
    begin = min(max(next(places, 0) - SHOWN // 4, 0), len(text) - SHOWN)
    end = begin + SHOWN
    return f"{'…' if begin else ''}{text[begin:end]}{'…' if end < len(text) else ''}"
