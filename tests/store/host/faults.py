"""A process whose disk counts, or fails.

Run as a program: ``count``; or what it does while the disk fails (``commit``, ``open``, ``read``),
``once`` or ``for a while``, at which kind of call, and with which code of SQLite's.

It says in JSON what came of it. It is a process of its own because what it puts under SQLite stays.
"""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from meerkat_mob._target import now_ms
from meerkat_mob.errors import StoreError, StoreFailed
from meerkat_mob.store.file import FileStore, open_file_store, verify, wal
from meerkat_mob.store.file.flock import flock
from meerkat_mob.store.file.threads import ThreadLane
from tests.store.host.sqlite_vfs import OK, Disk
from tests.store.kit import bodies_of, said


async def opened(folder: Path) -> FileStore:
    return await open_file_store(
        folder, clock=now_ms, holder="a failing disk", lane=ThreadLane, lock=flock
    )


async def count(disk: Disk, folder: Path) -> dict[str, int]:
    """Syncs of twenty commits one by one, and of a hundred at once."""
    store = await opened(folder)
    start = disk.syncs
    for n in range(20):
        await store.commit((said("one", n, b"x"),))
    alone = disk.syncs - start
    start = disk.syncs
    await asyncio.gather(*(store.commit((said(f"s{n}", 0, b"x"),)) for n in range(100)))
    together = disk.syncs - start
    await store.aclose()
    return {"alone": alone, "together": together}


class Failing:
    """The n-th call of a kind fails, and for a while all behind it, until there is room again."""

    def __init__(self, disk: Disk, *, kind: str, code: int, at: int, once: bool) -> None:
        self._kind, self._code, self._at, self._once = kind, code, at, once
        self._disk, self._calls = disk, 0
        disk.before = disk.before_reading = self._asked

    def _asked(self, kind: str) -> int:
        self._calls += kind == self._kind
        fails = kind == self._kind and self._calls >= self._at
        return self._code if fails and not (self._once and self._calls > self._at) else OK

    def end(self) -> bool:
        """There is room again. Whether it was reached."""
        self._disk.before = self._disk.before_reading = lambda _: OK
        return self._calls >= self._at


async def commit(folder: Path, failing: Callable[[], Failing]) -> bool | None:
    """A commit that was refused is not there; one that was told is. None: it never failed."""
    store = await opened(folder)
    kept = [b"before"]
    await store.commit((said("a", 0, b"before"),))
    fault = failing()
    for n in range(4):
        body = b"%d" % n * 5000
        try:
            await store.commit((said("a", len(kept), body),))
        except StoreFailed:
            continue
        kept.append(body)
    reached = fault.end()
    whole = await bodies_of(store, "a") == kept
    await store.commit((said("a", len(kept), b"after"),))
    kept.append(b"after")
    with tempfile.TemporaryDirectory() as place:  # as if it were killed now
        image = Path(place, "realm")
        shutil.copytree(folder, image, ignore=shutil.ignore_patterns("*-shm"))
        whole &= not wal.scan(image).damaged
    await store.aclose()
    return (whole and await _holds(folder, kept)) if reached else None


async def open_(folder: Path, failing: Callable[[], Failing]) -> bool | None:
    """It is opened, or it is told why not; then it can be opened, and all of it is there."""
    store = await opened(folder)
    kept = [b"%d" % n * 5000 for n in range(4)]
    await store.commit((said("a", 0, *kept),))
    with tempfile.TemporaryDirectory() as place:
        image = Path(place, "realm")
        shutil.copytree(folder, image, ignore=shutil.ignore_patterns("*-shm"))
        await store.aclose()
        fault = failing()
        told = True
        try:
            store = await opened(image)
        except StoreError:
            pass
        else:
            with suppress(StoreFailed):
                told = await bodies_of(store, "a") == kept
            await store.aclose()
        reached = fault.end()
        return (told and await _holds(image, kept)) if reached else None


async def read(folder: Path, failing: Callable[[], Failing]) -> bool | None:
    """What cannot be read is an error of the disk and no damage, and the next read works."""
    store = await opened(folder)
    kept = [b"%d" % n * 50_000 for n in range(4)]
    await store.commit((said("a", 0, *kept),))
    await store.aclose()
    store = await opened(folder)
    fault = failing()
    told = True
    with suppress(StoreFailed):
        told = await bodies_of(store, "a") == kept
    reached = fault.end()
    told &= await bodies_of(store, "a") == kept
    await store.aclose()
    return told if reached else None


async def _holds(folder: Path, kept: list[bytes]) -> bool:
    store = await opened(folder)
    found = await bodies_of(store, "a")
    await store.aclose()
    return found == kept and verify(folder, lock=flock).clean


SCENES = {"commit": commit, "open": open_, "read": read}


async def fail(disk: Disk, place: Path, *, what: str, once: bool, kind: str, code: int) -> object:
    """Each call of a kind fails, in a realm of its own."""
    wrong: list[int] = []
    for at in range(1, 200):
        failing = partial(Failing, disk, kind=kind, code=code, at=at, once=once)
        outcome = await SCENES[what](place / str(at), failing)
        if outcome is None:
            return {"tried": at - 1, "wrong": wrong}
        if not outcome:
            wrong.append(at)
    return {"tried": 200, "wrong": wrong}


def main() -> None:
    """See the module."""
    disk = Disk().install()
    what, *rest = sys.argv[1:]
    with tempfile.TemporaryDirectory() as place:
        told: object
        if what == "count":
            told = asyncio.run(count(disk, Path(place)))
        else:
            how, kind, code = rest
            scene = fail(
                disk, Path(place), what=what, once=how == "once", kind=kind, code=int(code)
            )
            told = asyncio.run(scene)
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
