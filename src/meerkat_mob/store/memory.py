"""The store that lives as long as its process. A full home, not a mock."""

from __future__ import annotations

from collections.abc import Sequence

from meerkat_mob.core.ids import Clock
from meerkat_mob.errors import DuplicateKey, InvalidParams, StaleRevision
from meerkat_mob.store.protocol import Append, Record


class MemoryStore:
    """Streams as lists, unique keys as a dictionary. Single loop, so a commit is one step."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._streams: dict[str, list[Record]] = {}
        self._keys: dict[str, tuple[str, int]] = {}

    async def commit(self, appends: Sequence[Append]) -> tuple[Record, ...]:
        """See ``Store.commit``. Between the checks and the writes there is no ``await``."""
        heads: dict[str, int] = {}
        keys: dict[str, tuple[str, int]] = {}
        for append in appends:
            head = heads.get(append.stream, len(self._streams.get(append.stream, ())))
            if head != append.expected:
                raise StaleRevision(stream=append.stream, expected=append.expected, actual=head)
            if append.unique and not append.records:
                raise InvalidParams(what="a key needs a record to belong to", path=append.stream)
            for key in append.unique:
                if taken := self._keys.get(key) or keys.get(key):
                    raise DuplicateKey(key=key, stream=taken[0], seq=taken[1])
                keys[key] = (append.stream, head + 1)
            heads[append.stream] = head + len(append.records)
        now = self._clock()
        kept = tuple(record for append in appends for record in _numbered(append, at=now))
        for record in kept:
            self._streams.setdefault(record.stream, []).append(record)
        self._keys.update(keys)
        return kept

    async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> tuple[Record, ...]:
        """See ``Store.read``."""
        records = self._streams.get(stream, [])
        start = max(after, 0)
        return tuple(records[start : start + max(limit, 0)])

    async def revision(self, stream: str) -> int:
        """See ``Store.revision``."""
        return len(self._streams.get(stream, ()))

    async def aclose(self) -> None:
        """Nothing is held."""


def _numbered(append: Append, *, at: int) -> tuple[Record, ...]:
    return tuple(
        Record(
            stream=append.stream,
            seq=append.expected + n,
            kind=new.kind,
            v=new.v,
            body=new.body,
            at=at,
        )
        for n, new in enumerate(append.records, start=1)
    )
