"""A realm in a folder, opened inline, and ways to damage it behind its back."""

import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

from meerkat_mob.core.ids import Clock
from meerkat_mob.store import Append, Blob, NewRecord
from meerkat_mob.store.file import (
    FileReader,
    FileStore,
    InlineLane,
    open_file_reader,
    open_file_store,
)
from meerkat_mob.testing.builders import a_clock

IMAGE = Blob(media_type="image/png", data="iVBORw0KGgo=")


def inline(_: str) -> InlineLane:
    return InlineLane()


def said(
    stream: str, expected: int, *bodies: bytes, unique: tuple[str, ...] = (), head: bytes = b"{}"
) -> Append:
    records = tuple(NewRecord(kind="said", body=body) for body in bodies)
    return Append(stream=stream, expected=expected, records=records, unique=unique, head=head)


async def opened(folder: Path, *, clock: Clock | None = None, holder: str = "us") -> FileStore:
    return await open_file_store(
        folder, clock=clock or a_clock(step=1), holder=holder, lane=inline, lock=None
    )


@asynccontextmanager
async def a_store(folder: Path, *, clock: Clock | None = None) -> AsyncGenerator[FileStore, None]:
    store = await opened(folder, clock=clock)
    try:
        yield store
    finally:
        await store.aclose()


@asynccontextmanager
async def a_reader(folder: Path) -> AsyncGenerator[FileReader, None]:
    reader = await open_file_reader(folder, lane=InlineLane(), lock=None)
    try:
        yield reader
    finally:
        await reader.aclose()


async def fill(store: FileStore) -> None:
    """Three streams of four records each, keys, summaries and a blob."""
    for stream in "abc":
        for n in range(4):
            body = f"record {n + 1} of {stream} ".encode() * 20
            one = said(stream, n, body, unique=(f"key-{stream}-{n}",), head=b"head %d" % n)
            await store.commit((one,), blobs=(IMAGE,))


def edit(folder: Path, statement: str, *values: object) -> None:
    """Changes the tables as a stranger would."""
    with closing(sqlite3.connect(folder / "realm.sqlite3", isolation_level=None)) as db:
        assert db.execute(statement, values).rowcount > 0


def flip(file: Path, at: int) -> None:
    """Turns over one bit of one byte."""
    data = bytearray(file.read_bytes())
    data[at] ^= 0x10
    file.write_bytes(data)


def flip_in(file: Path, text: bytes) -> None:
    """Turns over one bit in the one place where ``text`` is."""
    data = file.read_bytes()
    assert data.count(text) == 1, f"{text!r} is there {data.count(text)} times"
    flip(file, data.index(text) + len(text) // 2)


def query(folder: Path, statement: str) -> list[tuple[object, ...]]:
    """What the tables say."""
    with closing(sqlite3.connect(folder / "realm.sqlite3")) as db:
        return db.execute(statement).fetchall()


async def bodies_of(reader: FileReader, stream: str) -> list[bytes]:
    return [record.body for record in await reader.read(stream)]


Damage = Callable[[Path], None]
