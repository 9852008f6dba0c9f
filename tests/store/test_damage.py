"""What was changed behind the store's back is told where it is, and nowhere else."""

import asyncio
import os
import shutil
import struct
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.ids import Clock
from meerkat_mob.errors import RealmDamaged, RealmUnreadable, StoreCorrupt
from meerkat_mob.store import Record
from meerkat_mob.store.file import FileReader, open_file_store, verify, wal
from meerkat_mob.testing.builders import NEW_YEAR_2030, a_clock
from tests.store.kit import (
    IMAGE,
    a_reader,
    a_store,
    bodies_of,
    edit,
    fill,
    flip,
    flip_in,
    inline,
    opened,
    said,
)

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


def later() -> Clock:
    """When whoever held an image is long gone."""
    return a_clock(at=NEW_YEAR_2030 + 3_600_000, step=1)


async def everything(reader: FileReader) -> dict[str, list[bytes]]:
    return {stream: await bodies_of(reader, stream) for stream in "abc"}


class Image(NamedTuple):
    """The bytes of a realm's files, and what they hold."""

    files: dict[str, bytes]
    whole: dict[str, list[bytes]]

    def lay(self, folder: Path) -> dict[str, list[bytes]]:
        """Writes the files, and returns what they hold."""
        folder.mkdir()
        for name, data in self.files.items():
            (folder / name).write_bytes(data)
        return self.whole


def files_in(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if "shm" not in file.name}


IMAGES: dict[bool, Image] = {}


async def an_image(folder: Path, *, log: bool) -> dict[str, list[bytes]]:
    """A realm's files in ``folder``, as a kill would leave them if ``log``; and what they hold."""
    if log not in IMAGES:
        with tempfile.TemporaryDirectory() as place:
            store = await opened(Path(place))
            await fill(store)
            whole = await everything(store)
            if not log:
                await store.aclose()
            files = files_in(Path(place))
            await store.aclose()
        IMAGES[log] = Image(files, whole)
    return IMAGES[log].lay(folder)


async def shows_only_the_truth(folder: Path, whole: dict[str, list[bytes]]) -> None:
    """Whatever is read was committed; what cannot be read is a typed error."""
    with suppress(RealmDamaged, RealmUnreadable):
        async with a_reader(folder) as reader:
            for stream in "abc":
                with suppress(StoreCorrupt):
                    assert await bodies_of(reader, stream) == whole[stream]
        verify(folder, lock=None)


@given(where=st.floats(0, 1, exclude_max=True))
async def test_a_flipped_bit_anywhere_never_shows_what_was_not_committed(where: float) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "realm")
        whole = await an_image(folder, log=False)
        file = folder / "realm.sqlite3"
        flip(file, int(file.stat().st_size * where))
        await shows_only_the_truth(folder, whole)


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


# -- the log ------------------------------------------------------------------------------------


def frames_of(folder: Path) -> tuple[int, int]:
    """How many frames the log has, and how long each is."""
    size = 24 + struct.unpack(">I", (folder / wal.LOG).read_bytes()[8:12])[0]
    return ((folder / wal.LOG).stat().st_size - 32) // size, size


async def test_a_log_as_a_kill_leaves_it_is_not_damaged(tmp_path: Path) -> None:
    whole = await an_image(tmp_path / "realm", log=True)
    found = wal.scan(tmp_path / "realm")
    assert not found.damaged
    assert found.last == found.frames == frames_of(tmp_path / "realm")[0]
    async with a_store(tmp_path / "realm", clock=later()) as store:
        assert await everything(store) == whole
    assert verify(tmp_path / "realm", lock=None).clean


async def test_a_log_cut_anywhere_is_an_earlier_state(tmp_path: Path) -> None:
    whole = await an_image(tmp_path / "realm", log=True)
    frames, size = frames_of(tmp_path / "realm")
    for cut in range(0, 32 + frames * size, size // 2 + 1):
        folder = tmp_path / f"cut-{cut}"
        shutil.copytree(tmp_path / "realm", folder)
        os.truncate(folder / wal.LOG, cut)
        assert not wal.scan(folder).damaged
        async with a_store(folder, clock=later()) as store:
            for stream, found in (await everything(store)).items():
                assert found == whole[stream][: len(found)]
        assert verify(folder, lock=None).clean


def places_in(frames: int, size: int) -> list[int]:
    """Some of every kind: the log's header, and of frames their number, salt, sums and content."""
    of_a_frame = (1, 9, 17, 24 + size // 2)
    some = (0, frames // 2, frames - 3)
    return [0, 9, 20, 25, *(32 + frame * size + at for frame in some for at in of_a_frame)]


async def test_damage_inside_the_log_is_refused_before_sqlite_drops_what_follows(
    tmp_path: Path,
) -> None:
    whole = await an_image(tmp_path / "realm", log=True)
    for at in places_in(*frames_of(tmp_path / "realm")):
        folder = tmp_path / f"at-{at}"
        shutil.copytree(tmp_path / "realm", folder)
        flip(folder / wal.LOG, at)
        before = (folder / wal.LOG).read_bytes()
        with pytest.raises(RealmDamaged, match="valid ones follow"):
            await opened(folder, clock=later())
        assert (folder / wal.LOG).read_bytes() == before
        async with a_reader(folder) as reader:
            assert reader.damage
        await shows_only_the_truth(folder, whole)
        assert "log_damaged" in {f.code for f in verify(folder, lock=None).findings}


async def test_streams_behind_the_damage_in_a_log_stay_readable(tmp_path: Path) -> None:
    store = await opened(tmp_path / "live")
    await store.commit((said("a", 0, b"the first of a"),))
    await store.commit((said("b", 0, b"-" * 20_000 + b"the end of b"),))
    await store.commit((said("c", 0, b"the first of c"),))
    folder = tmp_path / "realm"
    shutil.copytree(tmp_path / "live", folder, ignore=shutil.ignore_patterns("*-shm"))
    await store.aclose()
    flip_in(folder / wal.LOG, b"the end of b")
    async with a_reader(folder) as reader:
        assert await bodies_of(reader, "a") == [b"the first of a"]
        assert await bodies_of(reader, "c") == [b"the first of c"]
        with pytest.raises(StoreCorrupt):
            await reader.read("b")
    given_up = await open_file_store(
        folder, clock=later(), holder="us", lane=inline, lock=None, give_up_damage=True
    )
    assert await bodies_of(given_up, "a") == [b"the first of a"]
    assert await given_up.read("c") == ()
    await given_up.aclose()
    assert verify(folder, lock=None).clean


async def test_what_an_earlier_log_left_behind_is_no_damage(tmp_path: Path) -> None:
    """A log begins anew over its old frames; those belong to another, and are not missed."""
    store = await opened(tmp_path / "live")
    await store.commit([said(f"s{n}", 0, b"x" * 9000) for n in range(30)])
    store._writer._db.execute("PRAGMA wal_checkpoint(RESTART)")
    for n in range(3):
        await store.commit((said("a", n, b"x"),))
        folder = tmp_path / f"realm-{n}"
        shutil.copytree(tmp_path / "live", folder, ignore=shutil.ignore_patterns("*-shm"))
        found = wal.scan(folder)
        assert not found.damaged
        assert found.last < found.frames
        async with a_store(folder, clock=later()) as again:
            assert await again.revision("a") == n + 1
    await store.aclose()
