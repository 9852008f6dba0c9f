"""Append-only facts: what a store promises (design, "The store").

A stream is a gapless sequence of records, numbered from 1; its revision is its last number. A
commit is all or nothing, also across streams. Nothing is ever edited.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class NewRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A fact to be kept: its kind, the version of its format, and its encoded bytes."""

    kind: str
    body: bytes
    v: int = 1


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A kept fact; ``at`` is ms UTC."""

    stream: str
    seq: int
    kind: str
    v: int
    body: bytes
    at: int


class Append(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Records for one stream, on the condition that its revision is still ``expected``."""

    stream: str
    expected: int
    records: tuple[NewRecord, ...]
    unique: tuple[str, ...] = ()
    """Keys taken by the first record; each can be taken once in the whole store."""


class Store(Protocol):
    """Where facts are kept. Every home passes ``meerkat_mob.testing.store_contract``."""

    async def commit(self, appends: Sequence[Append]) -> tuple[Record, ...]:
        """Keeps all records of all appends, or none; returns them numbered and dated.

        Raises ``StaleRevision`` when a stream has moved on and ``DuplicateKey`` when a key is
        taken. It has happened when this returns, and not before.
        """
        ...

    async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> tuple[Record, ...]:
        """Records of a stream with ``seq > after``, in order, at most ``limit``."""
        ...

    async def revision(self, stream: str) -> int:
        """The last number of a stream; 0 when it has no record."""
        ...

    async def aclose(self) -> None:
        """Releases what is held. Idempotent."""
        ...
