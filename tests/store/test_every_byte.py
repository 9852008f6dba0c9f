"""Whichever byte of a realm is damaged: its record is named, and every other stream can be read.

This is a sample of the bytes. With MEERKAT_CRASHES in the environment it is every byte of every
record, head and cut, and a few thousand of those of whole pages and of the log.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from meerkat_mob.errors import RealmDamaged, StoreCorrupt, StoreError
from meerkat_mob.store import Record
from meerkat_mob.store.file import FileReader, verify, wal
from tests.store.images import later
from tests.store.kit import a_reader, a_store, fill, opened, query, said
from tests.store.pages import PAGE, cells

WHOLE = "MEERKAT_CRASHES" in os.environ
STREAMS = "abc"
History = tuple[Record, ...]


def some(begin: int, end: int, *, of: int, step: int = 1) -> Iterator[int]:
    """Places ``step`` apart; in a sample about ``of`` of them, beginning with the first."""
    yield from range(begin, end, step if WHOLE else max((end - begin) // of, 1))


class Realm(NamedTuple):
    """A realm, its bytes, and what it holds."""

    folder: Path
    whole: dict[str, History]
    data: bytes

    def turn_over(self, at: int) -> None:
        """The file as it was, but for one bit."""
        changed = bytearray(self.data)
        changed[at] ^= 1 << at % 8
        (self.folder / "realm.sqlite3").write_bytes(changed)


async def a_realm(folder: Path) -> Realm:
    async with a_store(folder) as store:
        await fill(store)
        whole = {stream: await store.read(stream) for stream in STREAMS}
    return Realm(folder, whole, (folder / "realm.sqlite3").read_bytes())


async def unread(reader: FileReader, whole: dict[str, History]) -> dict[str, int]:
    """The damaged streams, each with the record that is named. Whatever is read is true."""
    found: dict[str, int] = {}
    for stream, records in whole.items():
        try:
            assert await reader.read(stream) == records
        except StoreCorrupt as error:
            found[error.stream] = error.seq
    return found


async def test_a_bit_of_any_record_is_told_of_that_record_and_of_no_other(tmp_path: Path) -> None:
    realm = await a_realm(tmp_path)
    owners = {n: (s, q) for n, s, q in _rows(tmp_path, "SELECT id, stream, seq FROM records")}
    ((page,),) = _rows(tmp_path, "SELECT rootpage FROM sqlite_master WHERE name = 'records'")
    seen = 0
    for cell in cells(realm.data, int(page) - 1):
        stream, seq = owners[str(cell.number)]
        for at in some(cell.begin, cell.end, of=40):
            realm.turn_over(at)
            async with a_reader(tmp_path) as reader:
                found = await unread(reader, realm.whole)
            # A byte of it may say nothing, or only where it lies: then it is read as it was.
            assert found in ({stream: int(seq)}, {})
            assert not (found and verify(tmp_path, lock=None).clean)
            seen += 1
    assert seen > 300


async def test_a_bit_of_the_records_index_hides_no_record(tmp_path: Path) -> None:
    realm = await a_realm(tmp_path)
    statement = "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_records_1'"
    ((page,),) = _rows(tmp_path, statement)
    begin = (int(page) - 1) * PAGE
    for at in some(begin, begin + PAGE, of=300):
        realm.turn_over(at)
        async with a_reader(tmp_path) as reader:
            assert await unread(reader, realm.whole) == {}


async def test_a_bit_of_a_head_is_told_of_its_stream(tmp_path: Path) -> None:
    realm = await a_realm(tmp_path)
    for stream in STREAMS:
        ((seal,),) = _rows(tmp_path, f"SELECT hex(seal) FROM heads WHERE stream = '{stream}'")
        # A name of one byte, the revision, a time of six, a chain, "head 3", and the seal.
        end = realm.data.index(bytes.fromhex(seal)) + 32
        begin = end - (1 + 1 + 6 + 32 + 6 + 32)
        assert realm.data[begin] == ord(stream)
        for at in some(begin, end, of=30):
            realm.turn_over(at)
            async with a_reader(tmp_path) as reader:
                assert set(await unread(reader, realm.whole)) <= {stream}
                with pytest.raises(StoreCorrupt):
                    await reader.head(stream)
                assert len([h for h in await reader.heads() if not h.damaged]) == 2
            assert not verify(tmp_path, lock=None).clean


async def test_a_bit_of_any_page_shows_nothing_that_was_not_committed(tmp_path: Path) -> None:
    realm = await a_realm(tmp_path)
    for at in some(0, len(realm.data), of=500, step=11):
        realm.turn_over(at)
        # Without the first page there is no realm; typed errors, even so.
        with suppress(StoreError) if at < PAGE else nullcontext():
            async with a_reader(tmp_path) as reader:
                await unread(reader, realm.whole)
            verify(tmp_path, lock=None)


async def test_a_file_cut_at_any_byte_of_its_last_pages_is_told_and_not_written_to(
    tmp_path: Path,
) -> None:
    async with a_store(tmp_path / "realm") as store:
        await fill(store)
        await store.commit([said("d", 0, b"short", b"x" * 10 * PAGE)])
        whole = {stream: await store.read(stream) for stream in "abcd"}
    file = tmp_path / "realm" / "realm.sqlite3"
    data = file.read_bytes()
    for end in some(len(data) - 2 * PAGE, len(data), of=40, step=3):
        file.write_bytes(data[:end])
        async with a_reader(tmp_path / "realm") as reader:
            # Behind the end of the body there is nothing to miss.
            assert await unread(reader, whole) in ({"d": 2}, {})
        assert not verify(tmp_path / "realm", lock=None).clean
        with pytest.raises(RealmDamaged):
            await opened(tmp_path / "realm", clock=later())
        assert file.stat().st_size == end


def _rows(folder: Path, statement: str) -> list[tuple[str, ...]]:
    return [tuple(map(str, row)) for row in query(folder, statement)]


# -- the log ------------------------------------------------------------------------------------


async def test_a_bit_of_any_frame_is_refused_and_of_the_last_one_is_an_earlier_state(
    tmp_path: Path,
) -> None:
    """SQLite itself would drop the rest without a word."""
    image = tmp_path / "image"
    store = await opened(tmp_path / "live")
    await store.commit([said(stream, 0, b"the first of " + stream.encode()) for stream in STREAMS])
    await store.commit((said("c", 1, b"more " * 2000),))
    before = {stream: await store.read(stream) for stream in STREAMS}
    await store.commit((said("a", 1, b"the last commit"),))
    whole = before | {"a": await store.read("a")}
    shutil.copytree(tmp_path / "live", image, ignore=shutil.ignore_patterns("*-shm"))
    await store.aclose()
    log = (image / wal.LOG).read_bytes()
    size = 24 + PAGE
    last = 32 + (wal.scan(image).last - 1) * size
    headers = [32 + frame * size + at for frame in range(last // size) for at in range(24)]
    for at in (
        *some(0, 32, of=8),
        *(headers if WHOLE else headers[::31]),
        *some(32, last, of=15, step=199),
        *some(last, last + size, of=10, step=97),
    ):
        folder = tmp_path / "damaged"
        shutil.copytree(image, folder)
        (folder / wal.LOG).write_bytes(log[:at] + bytes([log[at] ^ 1 << at % 8]) + log[at + 1 :])
        if at < last:
            with pytest.raises(RealmDamaged):
                await opened(folder, clock=later())
            async with a_reader(folder) as reader:
                assert reader.damage
                await unread(reader, whole)
            assert not verify(folder, lock=None).clean
        else:
            async with a_store(folder, clock=later()) as again:
                assert await unread(again, before) == {}
            assert verify(folder, lock=None).clean
        shutil.rmtree(folder)
