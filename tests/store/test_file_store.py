"""A realm in a folder: who may have it, what it refuses, and what one transaction holds."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from meerkat_mob.errors import (
    RealmFenced,
    RealmLocked,
    RealmUnreadable,
    StaleRevision,
    StoreClosed,
    StoreFailed,
)
from meerkat_mob.store import MemoryStore
from meerkat_mob.store.file import InlineLane, open_file_reader, verify
from meerkat_mob.store.file.schema import FORMAT, open_writer, opening, step_up
from meerkat_mob.testing.builders import a_clock
from tests.store.kit import IMAGE, a_reader, a_store, edit, fill, opened, query, said

THIRTY_SECONDS = 30_000


def files_of(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


class Clock:
    now = 1_000_000

    def __call__(self) -> int:
        return self.now


async def test_both_homes_keep_the_very_same_records(tmp_path: Path) -> None:
    commits = [
        (said("a", 0, b"1", b"2", unique=("k",)), said("b", 0, b"\xff")),
        (said("a", 2, b"3"),),
    ]
    memory = MemoryStore(clock=a_clock(step=1))
    async with a_store(tmp_path) as file:
        await file.commit(())  # taking the lease has asked the clock once
        await memory.commit(())
        await memory.commit(())
        for commit in commits:
            assert await file.commit(commit) == await memory.commit(commit)
        assert await file.heads() == await memory.heads()


async def test_the_writer_waits_for_the_disk_with_every_commit(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        db = store._writer._db
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == b"wal"
        assert db.execute("PRAGMA cache_spill").fetchone()[0] == 0


async def test_commits_that_wait_together_are_one_transaction(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        statements: list[str] = []
        store._writer._db.set_trace_callback(statements.append)
        await asyncio.gather(*(store.commit((said(f"s{n}", 0, b"x"),)) for n in range(100)))
        assert statements.count("COMMIT") == 1
        assert len(await store.heads()) == 100


async def test_a_batch_has_a_bound(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        statements: list[str] = []
        store._writer._db.set_trace_callback(statements.append)
        await asyncio.gather(*(store.commit((said(f"s{n}", 0, b"x"),)) for n in range(1500)))
        assert statements.count("COMMIT") == 2


async def test_a_refused_commit_rolls_back_its_own_savepoint_alone(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        outcomes = await asyncio.gather(
            store.commit((said("a", 0, b"1"),)),
            store.commit((said("b", 0, b"x"), said("a", 0, b"x"))),
            store.commit((said("a", 1, b"2"),)),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [tuple, StaleRevision, tuple]
        assert [head.stream for head in await store.heads()] == ["a"]


async def test_an_install_that_fails_hurts_its_own_committer_only(tmp_path: Path) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    async with a_store(tmp_path) as store:
        outcomes = await asyncio.gather(
            store.commit((said("a", 0, b"1"),), install=fail),
            store.commit((said("b", 0, b"1"),)),
            return_exceptions=True,
        )
        assert isinstance(outcomes[0], ZeroDivisionError)
        assert isinstance(outcomes[1], tuple)


async def test_who_is_cancelled_again_and_again_still_waits_for_the_outcome(
    tmp_path: Path,
) -> None:
    told: list[object] = []
    async with a_store(tmp_path) as store:
        waiting = asyncio.create_task(store.commit((said("a", 0, b"1"),), install=told.append))
        await asyncio.sleep(0)
        waiting.cancel()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert len(told) == 1
        assert await store.revision("a") == 1


async def test_a_cancelled_committer_whose_commit_is_refused_installs_nothing(
    tmp_path: Path,
) -> None:
    told: list[object] = []
    async with a_store(tmp_path) as store:
        waiting = asyncio.create_task(store.commit((said("a", 7, b"1"),), install=told.append))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert told == []


async def test_closing_writes_what_waits(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    waiting = [asyncio.create_task(store.commit((said(f"s{n}", 0, b"x"),))) for n in range(3)]
    await asyncio.sleep(0)
    await asyncio.gather(store.aclose(), store.aclose())
    assert len(await asyncio.gather(*waiting)) == 3
    async with a_store(tmp_path) as again:
        assert len(await again.heads()) == 3


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.aclose()
    with pytest.raises(StoreClosed):
        await store.commit((said("a", 0, b"x"),))
    with pytest.raises(StoreClosed):
        await store.read("a")


async def test_a_closed_realm_is_one_file_without_a_log(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        await fill(store)
    assert files_of(tmp_path) == ["realm.sqlite3"]


async def test_time_does_not_go_back_with_the_clock(tmp_path: Path) -> None:
    clock = Clock()
    async with a_store(tmp_path, clock=clock) as store:
        (first,) = await store.commit((said("a", 0, b"1"),))
    clock.now = 5
    async with a_store(tmp_path, clock=clock) as store:
        (second,) = await store.commit((said("a", 1, b"2"),))
    assert (first.at, second.at) == (1_000_000, 1_000_000)


async def test_names_that_could_never_be_kept_are_not_there(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        lone = "\ud800"
        assert (await store.read(lone), await store.head(lone)) == ((), None)
        assert (await store.heads(lone), await store.blob(lone)) == ((), None)


# -- holding a realm, where no lock can be trusted ----------------------------------------------


async def test_a_realm_that_is_held_names_its_holder(tmp_path: Path) -> None:
    clock = Clock()
    held = await opened(tmp_path, clock=clock, holder="process 1 on ada")
    clock.now += THIRTY_SECONDS - 1
    with pytest.raises(RealmLocked) as refusal:
        await opened(tmp_path, clock=clock)
    assert refusal.value.holder == "process 1 on ada"
    await held.commit((said("a", 0, b"still ours"),))
    await held.aclose()


async def test_a_realm_that_was_given_back_is_free_at_once(tmp_path: Path) -> None:
    clock = Clock()
    for n in range(3):
        async with a_store(tmp_path, clock=clock) as store:
            await store.commit((said("a", n, b"x"),))


async def test_a_holder_that_was_silent_for_too_long_is_fenced_for_ever(tmp_path: Path) -> None:
    clock = Clock()
    former = await opened(tmp_path, clock=clock, holder="the former")
    await former.commit((said("a", 0, b"1"),))
    clock.now += THIRTY_SECONDS
    async with a_store(tmp_path, clock=clock) as store:
        with pytest.raises(RealmFenced):
            await former.commit((said("a", 1, b"x"),))
        await store.commit((said("a", 1, b"2"),))
        with pytest.raises(RealmFenced):
            await former.commit((said("a", 2, b"x"),))
        assert await former.revision("a") == 2
        await former.aclose()  # gives nothing back that is not its own
        with pytest.raises(RealmLocked):
            await opened(tmp_path, clock=clock)
        await store.commit((said("a", 2, b"3"),))
    with pytest.raises(StoreClosed):
        await former.commit((said("a", 3, b"x"),))


async def test_who_gives_up_opening_a_realm_does_not_hold_it(tmp_path: Path) -> None:
    clock = Clock()
    task = asyncio.create_task(opened(tmp_path, clock=clock))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with a_store(tmp_path, clock=clock) as store:
        await store.commit((said("a", 0, b"x"),))


@pytest.mark.parametrize(
    "damage", ["DELETE FROM lease", "UPDATE lease SET epoch = 'x', holder = 7, beat = 'y'"]
)
async def test_a_lease_that_cannot_be_read_fences_all_who_held_the_realm(
    damage: str, tmp_path: Path
) -> None:
    clock = Clock()
    former = [await opened(tmp_path, clock=clock)]
    for _ in range(3):
        clock.now += THIRTY_SECONDS
        edit(tmp_path, damage)
        former.append(await opened(tmp_path, clock=clock))
        for n, store in enumerate(former[:-1]):
            with pytest.raises(RealmFenced):
                await store.commit((said(f"s{n}", 0, b"x"),))
    await former[-1].commit((said("a", 0, b"x"),))
    for store in former:
        await store.aclose()


async def test_who_commits_is_not_silent(tmp_path: Path) -> None:
    clock = Clock()
    async with a_store(tmp_path, clock=clock) as store:
        for n in range(5):
            clock.now += THIRTY_SECONDS // 2
            await store.commit((said("a", n, b"x"),))
            with pytest.raises(RealmLocked):
                await opened(tmp_path, clock=clock)


async def test_of_two_who_take_a_realm_turn_by_turn_nothing_is_lost(tmp_path: Path) -> None:
    clock = Clock()
    kept = 0
    stores = [await opened(tmp_path, clock=clock)]
    for attempt in range(100):
        clock.now += THIRTY_SECONDS
        stores.append(await opened(tmp_path, clock=clock))
        for store in stores[-2:]:
            try:
                await store.commit((said("a", kept, b"%d" % attempt),))
            except RealmFenced:
                assert store is not stores[-1]
            else:
                kept += 1
    assert kept == 100
    async with a_reader(tmp_path) as reader:
        found = [int(record.body) for record in await reader.read("a")]
    assert found == list(range(100))
    for store in stores:
        await store.aclose()


# -- what is no realm ---------------------------------------------------------------------------


async def test_a_file_is_no_realm(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(RealmUnreadable):
        await opened(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "text"


async def test_a_database_that_is_none_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "realm.sqlite3").write_text("not a database, but long enough to be one " * 9)
    before = (tmp_path / "realm.sqlite3").read_bytes()
    with pytest.raises(RealmUnreadable):
        await opened(tmp_path)
    assert (tmp_path / "realm.sqlite3").read_bytes() == before


async def test_somebody_else_s_database_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "realm.sqlite3")) as db:
        db.execute("CREATE TABLE theirs (x)")
    before = (tmp_path / "realm.sqlite3").read_bytes()
    with pytest.raises(RealmUnreadable, match="not a realm"):
        await opened(tmp_path)
    assert (tmp_path / "realm.sqlite3").read_bytes() == before


async def test_a_realm_of_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        await fill(store)
    with closing(sqlite3.connect(tmp_path / "realm.sqlite3")) as db:
        db.execute("PRAGMA user_version = 99")
    before = (tmp_path / "realm.sqlite3").read_bytes()
    with pytest.raises(RealmUnreadable, match="format 99"):
        await opened(tmp_path)
    with pytest.raises(RealmUnreadable, match="format 99"):
        await open_file_reader(tmp_path, lane=InlineLane(), lock=None)
    assert (tmp_path / "realm.sqlite3").read_bytes() == before


async def test_two_who_make_a_realm_at_once_make_one(tmp_path: Path) -> None:
    first, second = open_writer(tmp_path), open_writer(tmp_path)
    with closing(first), closing(second):

        def be_late(statement: str) -> None:
            if statement.startswith("BEGIN"):
                second.set_trace_callback(None)
                step_up(first)

        second.set_trace_callback(be_late)
        step_up(second)
        for db in (first, second):
            assert db.execute("PRAGMA user_version").fetchone() == (FORMAT,)


async def test_a_file_that_others_hold_in_the_midst_of_a_write_is_not_called_unreadable(
    tmp_path: Path,
) -> None:
    async with a_store(tmp_path):
        pass
    with closing(open_writer(tmp_path)) as theirs, closing(open_writer(tmp_path)) as ours:
        theirs.execute("BEGIN IMMEDIATE")
        ours.execute("PRAGMA busy_timeout = 0")
        with pytest.raises(RealmLocked), opening(tmp_path):
            ours.execute("BEGIN IMMEDIATE")


async def test_reading_makes_no_realm(tmp_path: Path) -> None:
    with pytest.raises(RealmUnreadable):
        await open_file_reader(tmp_path / "nowhere", lane=InlineLane(), lock=None)
    assert not (tmp_path / "nowhere").exists()


# -- readers and faults -------------------------------------------------------------------------


async def test_a_reader_sees_each_commit_when_it_has_happened(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        await fill(store)
        async with a_reader(tmp_path) as reader:
            assert await reader.read("a") == await store.read("a")
            await store.commit((said("a", 4, b"5"),))
            assert await reader.revision("a") == 5
            assert await reader.blob(IMAGE.id) == IMAGE


async def test_a_full_disk_is_told_and_the_next_commit_works_when_there_is_room(
    tmp_path: Path,
) -> None:
    async with a_store(tmp_path) as store:
        await store.commit((said("a", 0, b"1"),))
        db = store._writer._db
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")
        outcomes = await asyncio.gather(
            store.commit((said("b", 0, b"x" * 100_000),)),
            store.commit((said("c", 0, b"x" * 100_000),)),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [StoreFailed, StoreFailed]
        assert [head.stream for head in await store.heads()] == ["a"]
        db.execute("PRAGMA max_page_count = 1000000")
        await store.commit((said("b", 0, b"x" * 100_000),))
        assert await store.revision("b") == 1


async def test_only_a_log_that_looks_damaged_makes_a_reader_ask_whether_it_is_held(
    tmp_path: Path,
) -> None:
    """To ask takes the lock, and might refuse a writer who comes in that moment."""
    asked: list[Path] = []

    def lock(path: Path) -> None:
        asked.append(path)

    async with a_store(tmp_path) as store:
        await fill(store)
        (tmp_path / "realm.lock").touch()
        reader = await open_file_reader(tmp_path, lane=InlineLane(), lock=lock)
        assert verify(tmp_path, lock=lock).clean
        await reader.aclose()
    assert asked == []


async def test_who_leaves_a_refused_commit_leaves_no_complaint(tmp_path: Path) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
    async with a_store(tmp_path) as store:
        waiting = asyncio.create_task(store.commit((said("a", 7, b"1"),)))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    del waiting
    await asyncio.sleep(0)
    assert complaints == []


async def test_somebody_who_removes_the_lease_fences_whoever_has_it(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        edit(tmp_path, "DELETE FROM lease")
        with pytest.raises(RealmFenced):
            await store.commit((said("a", 0, b"x"),))
    assert query(tmp_path, "SELECT * FROM records") == []
