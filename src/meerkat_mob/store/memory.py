"""The store that lives as long as its process. A full home, not a mock."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from itertools import islice

from msgspec import UNSET

from meerkat_mob.core.blobs import Blob
from meerkat_mob.core.ids import Clock
from meerkat_mob.errors import DuplicateKey, StaleRevision
from meerkat_mob.store.chain import GENESIS, chained
from meerkat_mob.store.checks import check
from meerkat_mob.store.protocol import Append, Head, Install, Record


class MemoryStore:
    """Streams as lists, unique keys as a dictionary. Single loop, so a commit is one step."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._last_at = 0
        self._streams: dict[str, list[Record]] = {}
        self._names: list[str] = []
        self._summaries: dict[str, bytes] = {}
        self._keys: dict[str, tuple[str, int]] = {}
        self._blobs: dict[str, Blob] = {}

    async def commit(
        self,
        appends: Sequence[Append],
        *,
        blobs: Sequence[Blob] = (),
        install: Install | None = None,
    ) -> tuple[Record, ...]:
        """See ``Store.commit``. Between the checks and the writes there is no ``await``."""
        check(appends, blobs)
        self._refuse_what_came_late(appends)
        at = self._last_at = max(self._clock(), self._last_at)
        kept = tuple(record for append in appends for record in self._keep(append, at))
        self._blobs |= {blob.id: blob for blob in blobs}
        if install is not None:
            install(kept)
        return kept

    def _refuse_what_came_late(self, appends: Sequence[Append]) -> None:
        revisions: dict[str, int] = {}
        keys: dict[str, tuple[str, int]] = {}
        for append in appends:
            revision = revisions.get(append.stream, self._revision(append.stream))
            if revision != append.expected:
                raise StaleRevision(stream=append.stream, expected=append.expected, actual=revision)
            for key in append.unique:
                if taken := self._keys.get(key) or keys.get(key):
                    raise DuplicateKey(key=key, stream=taken[0], seq=taken[1])
                keys[key] = (append.stream, revision + 1)
            revisions[append.stream] = revision + len(append.records)

    def _keep(self, append: Append, at: int) -> Iterator[Record]:
        if append.records and append.stream not in self._streams:
            insort(self._names, append.stream)
            self._streams[append.stream] = []
        for new in append.records:
            records = self._streams[append.stream]
            keys = append.unique if len(records) == append.expected else ()
            seq, last = len(records) + 1, records[-1].chain if records else GENESIS
            record = chained(last, new, stream=append.stream, seq=seq, at=at, keys=keys)
            records.append(record)
            yield record
        self._keys |= dict.fromkeys(append.unique, (append.stream, append.expected + 1))
        if append.head is not UNSET:
            self._summaries[append.stream] = append.head

    async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> tuple[Record, ...]:
        """See ``StoreReader.read``."""
        records = self._streams.get(stream, [])
        start = max(after, 0)
        return tuple(records[start : start + max(limit, 0)])

    async def revision(self, stream: str) -> int:
        """See ``StoreReader.revision``."""
        return self._revision(stream)

    async def head(self, stream: str) -> Head | None:
        """See ``StoreReader.head``."""
        return self._head(stream) if stream in self._streams else None

    async def heads(
        self, prefix: str = "", *, after: str | None = None, limit: int = 1000
    ) -> tuple[Head, ...]:
        """See ``StoreReader.heads``."""
        begin = bisect_left(self._names, prefix)
        if after is not None:
            begin = max(begin, bisect_right(self._names, after))
        found = islice(self._names, begin, begin + max(limit, 0))
        return tuple(self._head(name) for name in found if name.startswith(prefix))

    async def blob(self, blob_id: str) -> Blob | None:
        """See ``StoreReader.blob``."""
        return self._blobs.get(blob_id)

    async def aclose(self) -> None:
        """Nothing is held."""

    def _revision(self, stream: str) -> int:
        return len(self._streams.get(stream, ()))

    def _head(self, stream: str) -> Head:
        last = self._streams[stream][-1]
        summary = self._summaries.get(stream, b"")
        return Head(stream=stream, revision=last.seq, at=last.at, chain=last.chain, summary=summary)
