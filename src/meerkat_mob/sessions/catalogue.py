"""Every stored session of a realm by its head: what lists and reads are answered from.

The rule: it follows from the store. It is filled when the realm is opened and moves in the step of
each commit, so nothing that is listed needs a look at the disk.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from meerkat_mob.errors import SessionNotFound, StoreCorrupt
from meerkat_mob.sessions.fold import STREAM, SessionHead, decode_head
from meerkat_mob.store.protocol import Head, StoreReader

PAGE = 1000


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A session's head and when it was updated, in ms. No head: it is damaged."""

    head: SessionHead | None
    at: int


class Catalogue:
    """Entries by session id, in the order in which the sessions were created.

    That is told by the heads: one that was imported has its place among the older ones.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._last = (0, "")
        self._in_order = True

    @classmethod
    async def read(cls, store: StoreReader) -> Catalogue:
        """All there is in a store."""
        made, after = cls(), None
        while page := await store.heads(STREAM, after=after, limit=PAGE):
            for head in page:
                made._set(head.stream.removeprefix(STREAM), _entry(head))
            after = page[-1].stream
        return made

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._entries

    def put(self, session_id: str, head: SessionHead, at: int) -> None:
        """A session was committed."""
        self._set(session_id, Entry(head, at))

    def _set(self, session_id: str, entry: Entry) -> None:
        if session_id not in self._entries:
            place = _place(session_id, entry)
            self._in_order = self._in_order and place >= self._last
            self._last = max(place, self._last)
        self._entries[session_id] = entry

    def get(self, session_id: str) -> tuple[SessionHead, int]:
        """A head, and when it was updated. Raises ``SessionNotFound`` or ``StoreCorrupt``."""
        entry = self._entries.get(session_id)
        if entry is None:
            raise SessionNotFound(session_id=session_id)
        if entry.head is None:
            raise StoreCorrupt(stream=STREAM + session_id, seq=0, why="its head was changed")
        return entry.head, entry.at

    def whole(self) -> Iterator[tuple[str, SessionHead, int]]:
        """All that are not damaged."""
        if not self._in_order:
            self._entries = dict(sorted(self._entries.items(), key=lambda item: _place(*item)))
            self._in_order = True
        for session_id, entry in self._entries.items():
            if entry.head is not None:
                yield session_id, entry.head, entry.at

    def damaged(self) -> tuple[str, ...]:
        """The sessions whose head is not what was committed."""
        return tuple(name for name, entry in self._entries.items() if entry.head is None)


def _place(session_id: str, entry: Entry) -> tuple[int, str]:
    return entry.head.created_at if entry.head else 0, session_id


def _entry(head: Head) -> Entry:
    if head.damaged:
        return Entry(None, head.at)
    try:
        return Entry(decode_head(head.summary), head.at)
    except msgspec.MsgspecError:
        return Entry(None, head.at)
