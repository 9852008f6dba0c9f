"""The store as a host runs it: in threads, under the system's lock, beside other processes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

import pytest

from meerkat_mob._target import process_name
from meerkat_mob.errors import InvalidParams, RealmFenced, RealmLocked
from meerkat_mob.store import MemoryStore, Store
from meerkat_mob.store.checks import LARGEST
from meerkat_mob.store.file import (
    FileStore,
    InlineLane,
    open_file_reader,
    open_file_store,
    verify,
)
from meerkat_mob.store.file.flock import flock
from meerkat_mob.store.file.threads import ThreadLane
from meerkat_mob.store.lanes import ask
from meerkat_mob.testing.builders import a_clock
from meerkat_mob.testing.store_contract import RULES, StoreRule
from tests.store.host.sqlite_vfs import FULL, IOERR_FSYNC, IOERR_READ, IOERR_WRITE
from tests.store.kit import bodies_of, said

ROOT = Path(__file__).resolve().parents[3]


async def opened(folder: Path) -> FileStore:
    return await open_file_store(
        folder, clock=a_clock(step=1), holder=process_name(), lane=ThreadLane, lock=flock
    )


def name_of(rule: Callable[..., object]) -> str:
    return rule.__name__


@pytest.mark.native_only
@pytest.mark.parametrize("rule", RULES, ids=name_of)
async def test_the_store_in_threads_keeps_the_rule(rule: StoreRule, tmp_path: Path) -> None:
    @asynccontextmanager
    async def open_store() -> AsyncGenerator[Store, None]:
        store = await opened(tmp_path)
        yield store
        await store.aclose()

    await rule(open_store)


@pytest.mark.native_only
async def test_a_hundred_committers_share_a_few_transactions(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    statements: list[str] = []
    store._writer._db.set_trace_callback(statements.append)
    for n in range(5):
        await asyncio.gather(*(store.commit((said(f"s{m}", n, b"x"),)) for m in range(100)))
    assert len(statements) > 0
    assert statements.count("COMMIT") <= 50
    await store.aclose()


@pytest.mark.native_only
async def test_no_thread_is_left_behind(tmp_path: Path) -> None:
    before = threading.active_count()
    store = await opened(tmp_path)
    with pytest.raises(RealmLocked):
        await opened(tmp_path)
    await store.aclose()
    assert threading.active_count() == before


@pytest.mark.native_only
async def test_whoever_is_cancelled_leaves_no_thread_behind(tmp_path: Path) -> None:
    before = threading.active_count()
    store = await opened(tmp_path)
    reader = await open_file_reader(tmp_path, lane=ThreadLane("r"), lock=flock)
    for given_up in (
        open_file_reader(tmp_path, lane=ThreadLane("r"), lock=flock),
        reader.aclose(),
        store.aclose(),
        opened(tmp_path / "other"),
    ):
        task = asyncio.ensure_future(given_up)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert threading.active_count() == before
    for folder in (tmp_path, tmp_path / "other"):
        await (await opened(folder)).aclose()


@pytest.mark.native_only
async def test_who_closes_at_the_same_time_waits_for_the_end(tmp_path: Path) -> None:
    await (await opened(tmp_path)).aclose()
    before = threading.active_count()
    reader = await open_file_reader(tmp_path, lane=ThreadLane("r"), lock=flock)
    first = asyncio.create_task(reader.aclose())
    await asyncio.sleep(0)
    await reader.aclose()
    assert threading.active_count() == before
    await first


@pytest.mark.native_only
async def test_a_record_that_no_file_could_keep_is_refused_everywhere(tmp_path: Path) -> None:
    vast = bytes(LARGEST + 1)
    store = await opened(tmp_path)
    for home in (store, MemoryStore(clock=a_clock())):
        for refused in (said("a", 0, vast), said("a", 0, b"x", head=vast)):
            with pytest.raises(InvalidParams):
                await home.commit((refused,))
    await store.aclose()


@pytest.mark.native_only
async def test_an_idle_lane_has_a_cadence() -> None:
    lane, beaten = ThreadLane("idle"), threading.Event()
    await ask(lane, lambda: None)  # from now on it waits, and not for a time
    lane.when_idle(0.001, beaten.set)
    await asyncio.to_thread(beaten.wait, 30)
    assert beaten.is_set()
    lane.close()


@pytest.mark.native_only
async def test_what_is_asked_of_a_lane_and_raises_is_raised_where_it_was_asked() -> None:
    lane = ThreadLane("asked")
    with pytest.raises(ZeroDivisionError):
        await ask(lane, lambda: 1 / 0)
    assert await ask(lane, lambda: 7) == 7
    lane.close()


# -- the disk ------------------------------------------------------------------------------------


def run(module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", f"tests.store.host.{module}", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


def test_one_sync_serves_all_who_wait() -> None:
    """Counted below SQLite. A commit alone has one of its own; a checkpoint has two more."""
    syncs = json.loads(run("faults", "count"))
    assert 20 <= syncs["alone"] <= 25
    assert 1 <= syncs["together"] <= 10


FAULTS = {
    "a full disk": ("write", FULL),
    "a write": ("write", IOERR_WRITE),
    "a sync": ("sync", IOERR_FSYNC),
    "a read": ("read", IOERR_READ),
}


@pytest.mark.parametrize(
    ("what", "how", "fault"),
    [
        *(("commit", how, f) for how in ("once", "for a while") for f in list(FAULTS)[:3]),
        *(("open", "once", f) for f in FAULTS),
        ("read", "once", "a read"),
    ],
)
def test_whichever_call_fails_it_is_told_and_the_next_one_works(
    what: str, how: str, fault: str
) -> None:
    kind, code = FAULTS[fault]
    told = json.loads(run("faults", what, how, kind, str(code)))
    assert told["wrong"] == []
    assert told["tried"] >= 4


# -- other processes -----------------------------------------------------------------------------


class Holder:
    """Another process that has a realm."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.pid = process.pid
        self._process = process

    def say(self) -> str:
        """Its next word."""
        return _there(self._process.stdout).readline().strip()

    def commit(self) -> None:
        """Asks it for a commit."""
        into = _there(self._process.stdin)
        into.write("commit\n")
        into.flush()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def _there(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


@contextmanager
def a_holder(folder: Path) -> Generator[Holder, None, None]:
    command = [sys.executable, "-m", "tests.store.host.holder", str(folder)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Holder(process)
        finally:
            process.kill()


@pytest.mark.native_only
async def test_a_living_holder_is_named_and_a_killed_one_replaced_at_once(tmp_path: Path) -> None:
    with a_holder(tmp_path) as holder:
        assert holder.say() == "open"
        holder.commit()
        assert holder.say() == "kept"
        with pytest.raises(RealmLocked) as refusal:
            await opened(tmp_path)
        assert f"process {holder.pid} on " in refusal.value.holder
        os.kill(holder.pid, signal.SIGSTOP)
        with pytest.raises(RealmLocked):
            await opened(tmp_path)
        holder.kill()
        store = await opened(tmp_path)
        assert await store.revision("a") == 1
        await store.aclose()


@pytest.mark.native_only
async def test_a_holder_that_has_not_said_its_name_yet_is_a_holder(tmp_path: Path) -> None:
    release = flock(tmp_path / "realm.lock")
    assert release is not None
    for name in (None, "realm.sqlite3"):  # it is making it just now
        if name:
            (tmp_path / name).touch()
        with pytest.raises(RealmLocked, match="not said its name"):
            await opened(tmp_path)
    release()


def test_of_200_interleaved_attempts_nothing_is_lost_and_nothing_interleaves(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "tests.store.host.contender", str(tmp_path)]
    both = [
        subprocess.Popen([*command, name], cwd=ROOT, stdout=subprocess.PIPE) for name in ("a", "b")
    ]
    told = [json.loads(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert all(len(t["kept"]) + t["refused"] == 100 for t in told)
    bodies = [body.decode() for body in asyncio.run(_bodies(tmp_path))]
    words = [first.removesuffix("-first") for first in bodies[::2]]
    assert bodies == [f"{word}-{part}" for word in words for part in ("first", "second")]
    for name, one in zip("ab", told, strict=True):
        assert [word for word in words if word.startswith(name)] == one["kept"]
    assert verify(tmp_path, lock=flock).clean


async def _bodies(folder: Path) -> list[bytes]:
    reader = await open_file_reader(folder, lane=InlineLane(), lock=flock)
    try:
        return await bodies_of(reader, "a")
    finally:
        await reader.aclose()


@pytest.mark.native_only
async def test_a_stopped_process_that_wakes_up_late_writes_nothing(tmp_path: Path) -> None:
    """Where the lock says nothing, as when somebody removed its file, the epoch still does."""
    with a_holder(tmp_path) as holder:
        assert holder.say() == "open"
        os.kill(holder.pid, signal.SIGSTOP)
        (tmp_path / "realm.lock").unlink()
        store = await opened(tmp_path)
        await store.commit((said("a", 0, b"ours"),))
        holder.commit()
        os.kill(holder.pid, signal.SIGCONT)
        assert holder.say() == RealmFenced.code
        assert [record.body for record in await store.read("a")] == [b"ours"]
        await store.aclose()
    assert verify(tmp_path, lock=flock).clean


@pytest.mark.native_only
async def test_others_read_while_a_process_writes(tmp_path: Path) -> None:
    with a_holder(tmp_path) as holder:
        assert holder.say() == "open"
        reader = await open_file_reader(tmp_path, lane=InlineLane(), lock=flock)
        for n in range(5):
            holder.commit()
            assert holder.say() == "kept"
            assert await reader.revision("a") == n + 1
        assert verify(tmp_path, lock=flock).clean
        await reader.aclose()
