"""What the rules of the contract are written with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from msgspec import UNSET, UnsetType

from meerkat_mob.store.protocol import Append, NewRecord, Record, Store

OpenStore: TypeAlias = Callable[[], AbstractAsyncContextManager[Store]]
"""Opens one place, and closes it again. It is empty at first; later it holds what was kept."""
StoreRule: TypeAlias = Callable[[OpenStore], Awaitable[None]]


def append(
    stream: str,
    expected: int,
    *bodies: bytes,
    unique: tuple[str, ...] = (),
    head: bytes | UnsetType = UNSET,
) -> Append:
    """An append of one record for each body."""
    records = tuple(NewRecord(kind="said", body=body) for body in bodies)
    return Append(stream=stream, expected=expected, records=records, unique=unique, head=head)


def bodies(records: tuple[Record, ...]) -> list[bytes]:
    """What the records hold."""
    return [record.body for record in records]
