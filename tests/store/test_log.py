"""A log is looked at before SQLite is: what it would drop without a word is told."""

import os
import shutil
import struct
from pathlib import Path

import pytest

from meerkat_mob.errors import RealmDamaged, StoreCorrupt
from meerkat_mob.store.file import open_file_store, verify, wal
from tests.store.images import an_image, everything, later, shows_only_the_truth
from tests.store.kit import a_reader, a_store, bodies_of, flip, flip_in, inline, opened, said


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


async def test_a_damaged_header_of_a_log_with_one_frame_is_told(tmp_path: Path) -> None:
    whole = await an_image(tmp_path / "realm", log=True)
    assert whole
    log = tmp_path / "realm" / wal.LOG
    _, size = frames_of(tmp_path / "realm")
    os.truncate(log, 32 + size)
    for at in (9, 21, 25):
        flip(log, at)
        assert wal.scan(tmp_path / "realm").bad == (0,)
        flip(log, at)


async def test_a_log_whose_database_is_gone_is_not_begun_anew(tmp_path: Path) -> None:
    await an_image(tmp_path / "realm", log=True)
    before = (tmp_path / "realm" / wal.LOG).read_bytes()
    (tmp_path / "realm" / "realm.sqlite3").unlink()
    for _ in range(2):
        with pytest.raises(RealmDamaged, match="is gone"):
            await opened(tmp_path / "realm", clock=later())
    assert (tmp_path / "realm" / wal.LOG).read_bytes() == before


async def test_what_a_kill_left_unfinished_is_no_damage_later_although_somebody_reads(
    tmp_path: Path,
) -> None:
    """The log cannot be emptied then, so its end is cut off."""
    store = await opened(tmp_path / "live")
    await store.commit((said("a", 0, b"x" * 9000),))
    finished = frames_of(tmp_path / "live")[0]
    await store.commit((said("b", 0, b"x" * 50_000),))
    folder = tmp_path / "killed"
    shutil.copytree(tmp_path / "live", folder, ignore=shutil.ignore_patterns("*-shm"))
    await store.aclose()
    frames, size = frames_of(folder)
    assert frames - finished > 5
    os.truncate(folder / wal.LOG, 32 + (frames - 1) * size)
    async with a_reader(folder) as reader:
        reader._reading.execute("BEGIN")
        assert reader._reading.execute("SELECT count(*) FROM records").fetchone() == (1,)
        again = await opened(folder, clock=later())
        await again.commit((said("c", 0, b"short"),))
        assert not wal.scan(folder).damaged
        reader._reading.execute("ROLLBACK")
        assert [h.stream for h in await again.heads()] == ["a", "c"]
    await again.aclose()


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
