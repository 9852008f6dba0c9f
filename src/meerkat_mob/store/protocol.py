"""Append-only facts: what a store promises (design, "The store").

A stream is a gapless sequence of records, numbered from 1; its revision is its last number. A
commit is all or nothing, also across streams. Nothing is ever edited.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import msgspec

from meerkat_mob.core.blobs import Blob


class NewRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A fact to be kept: its kind, the version of its format, and its encoded bytes."""

    kind: str
    body: bytes
    v: int = 1


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A kept fact; ``at`` is ms UTC.

    ``keys`` are the unique keys it took. ``chain`` is a hash over the chain of the record before
    it and everything this one holds (``meerkat_mob.store.chain``).
    """

    stream: str
    seq: int
    kind: str
    v: int
    body: bytes
    at: int
    keys: tuple[str, ...] = ()
    chain: bytes = b""


class Append(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Records for one stream, on the condition that its revision is still ``expected``."""

    stream: str
    expected: int
    records: tuple[NewRecord, ...]
    unique: tuple[str, ...] = ()
    """Keys taken by the first record; each can be taken once in the whole store."""
    head: bytes | msgspec.UnsetType = msgspec.UNSET
    """The stream's new summary; UNSET leaves the one it has. It may come without a record."""


class Head(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known of a stream without reading it; ``at`` is the time of its last record.

    ``summary`` is what its owner committed last, empty until then. A head that does not hold what
    was committed is ``damaged``: a list shows it, ``Store.head`` refuses it.
    """

    stream: str
    revision: int
    at: int
    chain: bytes
    summary: bytes = b""
    damaged: bool = False


Install: TypeAlias = Callable[[tuple[Record, ...]], None]
"""Told of a commit's records in the same step in which the commit is known to have happened."""


class StoreReader(Protocol):
    """What can be asked of a store. Damage is told by ``StoreCorrupt``, and only where it is."""

    async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> tuple[Record, ...]:
        """Records of a stream with ``seq > after``, in order, at most ``limit``.

        Raises ``StoreCorrupt``, naming the record, when one of them is not what was committed.
        """
        ...

    async def revision(self, stream: str) -> int:
        """The last number of a stream; 0 when it has no record."""
        ...

    async def head(self, stream: str) -> Head | None:
        """The head of a stream; None when it has no record. Raises ``StoreCorrupt``."""
        ...

    async def heads(
        self, prefix: str = "", *, after: str | None = None, limit: int = 1000
    ) -> tuple[Head, ...]:
        """Heads of the streams whose name begins with ``prefix``, those behind ``after``.

        In the order of their names, at most ``limit``; beyond the last one there is nothing.
        """
        ...

    async def blob(self, blob_id: str) -> Blob | None:
        """A blob by its id. Raises ``StoreCorrupt`` when it is not what was committed."""
        ...

    async def aclose(self) -> None:
        """Releases what is held. Idempotent."""
        ...


class Store(StoreReader, Protocol):
    """Where facts are kept. Every home passes ``meerkat_mob.testing.store_contract``."""

    async def commit(
        self,
        appends: Sequence[Append],
        *,
        blobs: Sequence[Blob] = (),
        install: Install | None = None,
    ) -> tuple[Record, ...]:
        """Keeps all records, heads and blobs, or none; returns the records numbered and dated.

        Raises ``StaleRevision`` when a stream has moved on and ``DuplicateKey`` when a key is
        taken. It has happened when this returns, and not before. One that is cancelled while it
        waits still learns the outcome: ``install`` gets the records of a commit that happened,
        also when the committer then leaves with ``CancelledError``. It must not fail.
        """
        ...
