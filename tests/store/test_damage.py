"""What was changed behind the store's back is told where it is, and nowhere else."""

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.errors import RealmDamaged, StoreCorrupt
from meerkat_mob.store import Record
from meerkat_mob.store.file import FileReader, verify
from tests.store.images import an_image, shows_only_the_truth
from tests.store.kit import (
    IMAGE,
    a_reader,
    a_store,
    bodies_of,
    edit,
    fill,
    flip,
    flip_in,
    opened,
    said,
)
from tests.store.pages import PAGE

Damage = Callable[[Path], None]


def changed(column: str, value: object) -> Damage:
    return lambda folder: edit(
        folder, f"UPDATE records SET {column} = ? WHERE stream = 'b' AND seq = 3", value
    )


def removed(seq: int) -> Damage:
    return lambda folder: edit(folder, "DELETE FROM records WHERE stream = 'b' AND seq = ?", seq)


def doubled(folder: Path) -> None:
    edit(
        folder,
        "INSERT INTO records (stream, seq, kind, v, at, keys, body, chain) "
        "SELECT stream, 5, kind, v, at, NULL, body, chain FROM records "
        "WHERE stream = 'b' AND seq = 4",
    )


def swapped(folder: Path) -> None:
    where = "WHERE stream = 'b' AND seq = ?"
    edit(folder, f"UPDATE records SET seq = 9 {where}", 2)
    edit(folder, f"UPDATE records SET seq = 2 {where}", 3)
    edit(folder, f"UPDATE records SET seq = 3 {where}", 9)


def head(column: str, value: object) -> Damage:
    return lambda folder: edit(folder, f"UPDATE heads SET {column} = ? WHERE stream = 'b'", value)


def behead(folder: Path) -> None:
    edit(folder, "DELETE FROM heads WHERE stream = 'b'")


RECORDS: dict[str, tuple[Damage, int, str]] = {
    "body": (changed("body", b"other"), 3, "record_changed"),
    "body of another type": (changed("body", 7), 3, "record_unreadable"),
    "kind": (changed("kind", "sung"), 3, "record_changed"),
    "kind that is no text": (changed("kind", b"\xff\xfe"), 3, "record_unreadable"),
    "version": (changed("v", 2), 3, "record_changed"),
    "time": (changed("at", 1), 3, "record_changed"),
    "time of another type": (changed("at", "then"), 3, "record_unreadable"),
    "keys": (changed("keys", '["other"]'), 3, "record_changed"),
    "keys that are none": (changed("keys", "{"), 3, "record_unreadable"),
    "chain": (changed("chain", bytes(32)), 3, "record_changed"),
    "the first removed": (removed(1), 1, "record_missing"),
    "one removed": (removed(3), 3, "record_missing"),
    "the last removed": (removed(4), 4, "record_missing"),
    "one added": (doubled, 5, "record_unknown"),
    "two swapped": (swapped, 2, "record_changed"),
    "a head's revision": (head("revision", 3), 4, "head_changed"),
    "a head's chain": (head("chain", bytes(32)), 4, "head_changed"),
    "no head": (behead, 1, "head_missing"),
}


@pytest.mark.parametrize(("damage", "seq", "code"), RECORDS.values(), ids=RECORDS)
async def test_a_damaged_record_is_found_where_it_is(
    damage: Damage, seq: int, code: str, tmp_path: Path
) -> None:
    async with a_store(tmp_path) as store:
        await fill(store)
        whole = {stream: await store.read(stream) for stream in "abc"}
    assert verify(tmp_path, lock=None).clean
    damage(tmp_path)
    async with a_store(tmp_path) as store:
        with pytest.raises(StoreCorrupt) as told:
            await store.read("b")
        assert (told.value.stream, told.value.seq) == ("b", seq)
        assert await _before(store, seq) == whole["b"][: seq - 1]
        assert [await store.read(stream) for stream in "ac"] == [whole["a"], whole["c"]]
        await store.commit((said("a", 4, b"goes on"),))
    report = verify(tmp_path, lock=None)
    assert {finding.stream for finding in report.findings} - {""} == {"b"}
    assert code in {finding.code for finding in report.findings}


async def _before(store: FileReader, seq: int) -> tuple[Record, ...]:
    return await store.read("b", limit=seq - 1)


async def test_a_chain_that_was_changed_is_told_of_the_record_that_holds_it(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        await fill(store)
    changed("chain", bytes(32))(tmp_path)
    async with a_reader(tmp_path) as reader:
        with pytest.raises(StoreCorrupt) as told:
            await reader.read("b", after=3)
    assert told.value.seq == 3


async def test_a_record_nobody_knows_refuses_its_stream_and_is_told_of_no_other(
    tmp_path: Path,
) -> None:
    """Behind the last one, or where a head was removed: SQLite itself speaks of a constraint."""
    async with a_store(tmp_path) as store:
        await fill(store)
    doubled(tmp_path)
    edit(tmp_path, "DELETE FROM heads WHERE stream = 'c'")
    async with a_store(tmp_path) as store:
        for stream, expected in (("b", 4), ("c", 0), ("c", 4)):
            with pytest.raises(StoreCorrupt) as told:
                await store.commit((said("a", 4, b"x"), said(stream, expected, b"x")))
            assert told.value.stream == stream
        await store.commit((said("a", 4, b"x"),))


@pytest.mark.parametrize("seq", [0, -1])
async def test_a_record_inserted_before_the_first_is_found(seq: int, tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        await fill(store)
    edit(
        tmp_path,
        "INSERT INTO records (stream, seq, kind, v, at, keys, body, chain) "
        "SELECT stream, ?, kind, v, at, NULL, body, chain FROM records "
        "WHERE stream = 'b' AND seq = 1",
        seq,
    )
    found = [(f.code, f.stream, f.seq) for f in verify(tmp_path, lock=None).findings]
    assert found == [("record_unknown", "b", seq)]
    async with a_reader(tmp_path) as reader:
        assert len(await reader.read("b")) == 4


async def test_a_stream_that_was_removed_with_all_that_speaks_of_it_is_missed(
    tmp_path: Path,
) -> None:
    async with a_store(tmp_path) as store:
        await fill(store)
    for table in ("records", "heads", "keys"):
        edit(tmp_path, f"DELETE FROM {table} WHERE stream = 'b'")
    assert [f.code for f in verify(tmp_path, lock=None).findings] == ["records_gone"]


async def test_damage_on_a_page_of_a_stream_does_not_hide_the_records_behind_it(
    tmp_path: Path,
) -> None:
    async with a_store(tmp_path) as store:
        for n in range(40):
            await store.commit((said("a", n, b"%d" % n * 700),))
    flip(tmp_path / "realm.sqlite3", _leaf_with(tmp_path, b"20" * 700))
    report = verify(tmp_path, lock=None)
    missing = {f.seq for f in report.findings if f.code == "file_damaged"}
    assert 1 < report.records < 40
    assert len(missing - {0}) == 40 - report.records


def _leaf_with(folder: Path, body: bytes) -> int:
    data = (folder / "realm.sqlite3").read_bytes()
    return data.index(body) // PAGE * PAGE


async def test_a_head_whose_name_is_damaged_does_not_end_the_list(tmp_path: Path) -> None:
    names = [f"session:{n}" for n in range(5)]
    async with a_store(tmp_path) as store:
        await store.commit([said(name, 0, b"x", head=b"of " + name.encode()) for name in names])
    file = tmp_path / "realm.sqlite3"
    flip(file, file.read_bytes().rindex(names[1].encode(), 0, _place(file, b"of session:1")))
    async with a_reader(tmp_path) as reader:
        found = [head.stream for head in await reader.heads("session:")]
        assert found == [names[0], *names[2:]]
        assert len(await reader.heads()) == 5


def _place(file: Path, text: bytes) -> int:
    return file.read_bytes().index(text)


async def test_a_blob_that_the_index_misses_is_found_and_a_damaged_one_can_be_given_again(
    tmp_path: Path,
) -> None:
    async with a_store(tmp_path) as store:
        await fill(store)
    file = tmp_path / "realm.sqlite3"
    data = file.read_bytes()
    name = IMAGE.id.encode()
    assert data.count(name) == 2, "in the table and in its index"
    whole = [data.index(name), data.rindex(name)]
    for at in whole:
        file.write_bytes(data)
        flip(file, at + 20)
        async with a_reader(tmp_path) as reader:
            found = await reader.blob(IMAGE.id)
            assert found in (IMAGE, None)
    file.write_bytes(data)
    edit(tmp_path, "UPDATE blobs SET data = 'AAAA'")
    async with a_store(tmp_path) as store:
        await store.commit((), blobs=(IMAGE,))
        assert await store.blob(IMAGE.id) == IMAGE


async def test_a_damaged_time_does_not_become_that_of_all_later_records(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        await fill(store)
    head("at", 2**60)(tmp_path)
    async with a_store(tmp_path) as store:
        (record,) = await store.commit((said("a", 4, b"x"),))
        assert record.at < 2**50


async def test_nothing_is_built_on_a_damaged_head(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        await fill(store)
    head("summary", b"other")(tmp_path)
    async with a_store(tmp_path) as store:
        with pytest.raises(StoreCorrupt):
            await store.head("b")
        outcomes = await asyncio.gather(
            store.commit((said("b", 4, b"x"),)),
            store.commit((said("a", 4, b"1"),)),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [StoreCorrupt, tuple]
        assert len(await store.read("b")) == 4
        assert [h.stream for h in await store.heads() if h.damaged] == ["b"]
    assert [f.code for f in verify(tmp_path, lock=None).findings] == ["head_changed"]


async def test_a_changed_blob_is_no_blob(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        await fill(store)
    edit(tmp_path, "UPDATE blobs SET data = 'AAAA'")
    async with a_reader(tmp_path) as reader:
        with pytest.raises(StoreCorrupt):
            await reader.blob(IMAGE.id)
        assert len(await reader.read("a")) == 4
    assert [f.code for f in verify(tmp_path, lock=None).findings] == ["blob_changed"]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM keys WHERE key = 'key-b-1'",
        "UPDATE keys SET seq = 4 WHERE key = 'key-b-1'",
        "UPDATE keys SET stream = 'a' WHERE key = 'key-b-1'",
        "INSERT INTO keys VALUES ('another', 'b', 2)",
    ],
)
async def test_keys_follow_from_the_records(statement: str, tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        await fill(store)
    edit(tmp_path, statement)
    assert [f.code for f in verify(tmp_path, lock=None).findings] == ["key_differs"]


async def test_summaries_can_be_held_against_the_records(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        await fill(store)
        await store.commit((said("a", 4, head=b"invented"),))
    report = verify(tmp_path, lock=None, folds={"": lambda kept: b"head %d" % (len(kept) - 1)})
    assert [(f.code, f.stream) for f in report.findings] == [("summary_differs", "a")]


async def test_a_flipped_bit_in_a_body_on_the_disk_is_found(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        for stream in "abc":
            await store.commit([said(stream, 0, b"one", f"the body of {stream}".encode())])
    flip_in(tmp_path / "realm.sqlite3", b"the body of b")
    async with a_reader(tmp_path) as reader:
        with pytest.raises(StoreCorrupt) as told:
            await reader.read("b")
        assert (told.value.stream, told.value.seq) == ("b", 2)
        assert await bodies_of(reader, "c") == [b"one", b"the body of c"]


# -- the bytes on the disk ----------------------------------------------------------------------


@given(where=st.floats(0, 1, exclude_max=True))
async def test_a_file_cut_anywhere_never_shows_what_was_not_committed(where: float) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "realm")
        whole = await an_image(folder, log=False)
        file = folder / "realm.sqlite3"
        os.truncate(file, int(file.stat().st_size * where))
        await shows_only_the_truth(folder, whole)


async def test_a_file_whose_end_was_cut_off_can_be_read_where_it_is_whole(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        await store.commit([said(stream, 0, b"short") for stream in "ab"])
        await store.commit((said("c", 0, b"short", b"long" * 10_000),))
    file = tmp_path / "realm.sqlite3"
    size = file.stat().st_size
    for cut in (1, 100, 8191, 8192, 8193, 20_000):
        os.truncate(file, size - cut)
        async with a_reader(tmp_path) as reader:
            assert [await bodies_of(reader, stream) for stream in "ab"] == [[b"short"]] * 2
            with pytest.raises(StoreCorrupt) as told:
                await reader.read("c")
            assert told.value.seq in {1, 2}
        assert not verify(tmp_path, lock=None).clean
    with pytest.raises(RealmDamaged):
        await opened(tmp_path)
