"""The index in memory: of a page, and of a realm without a folder."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import msgspec

from meerkat_mob.agent.memory.entries import Hit, MemoryEntry
from meerkat_mob.agent.memory.words import best, part, weight, words


class _Session(msgspec.Struct, frozen=True, kw_only=True):
    """One session's entries: how many words each has, and how often which."""

    mark: int
    entries: tuple[MemoryEntry, ...]
    lengths: tuple[int, ...]
    postings: dict[str, dict[int, int]]


class RankedIndex:
    """See ``MemoryIndex``. A search costs what the entries with its words are."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._entries = self._words = 0
        self._having: Counter[str] = Counter()

    async def mark(self, session_id: str) -> int:
        """See ``MemoryIndex.mark``."""
        known = self._sessions.get(session_id)
        return 0 if known is None else known.mark

    async def put(self, session_id: str, mark: int, entries: Sequence[MemoryEntry]) -> None:
        """See ``MemoryIndex.put``."""
        await self.forget(session_id)
        lengths, postings = list[int](), defaultdict[str, dict[int, int]](dict)
        for number, entry in enumerate(entries):
            found = words(entry.text)
            lengths.append(len(found))
            for word, times in Counter(found).items():
                postings[word][number] = times
        session = _Session(
            mark=mark, entries=tuple(entries), lengths=tuple(lengths), postings=dict(postings)
        )
        self._sessions[session_id] = session
        self._count(session, 1)

    async def search(self, session_id: str, query: str, limit: int) -> tuple[Hit, ...]:
        """See ``MemoryIndex.search``."""
        session = self._sessions.get(session_id)
        if session is None:
            return ()
        scores: defaultdict[int, float] = defaultdict(float)
        average = self._words / self._entries if self._words else 1
        for word in dict.fromkeys(words(query)):
            counts_for = weight(self._entries, self._having[word])
            for number, times in session.postings.get(word, {}).items():
                scores[number] += counts_for * part(times, session.lengths[number], average)
        return tuple(
            Hit(number=number, entry=session.entries[number], score=score)
            for number, score in best(scores.items(), limit)
        )

    async def forget(self, session_id: str) -> None:
        """See ``MemoryIndex.forget``."""
        if known := self._sessions.pop(session_id, None):
            self._count(known, -1)

    async def aclose(self) -> None:
        """Nothing is held."""

    def _count(self, session: _Session, sign: int) -> None:
        """The statistics are of all sessions together."""
        self._entries += sign * len(session.entries)
        self._words += sign * sum(session.lengths)
        for word, numbers in session.postings.items():
            self._having[word] += sign * len(numbers)
            if not self._having[word]:
                del self._having[word]
