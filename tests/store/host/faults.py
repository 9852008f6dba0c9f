"""A process whose disk counts, or fails. Run as a program: ``count``, or ``fail KIND CODE``.

It says in JSON what came of it. It is a process of its own because what it puts under SQLite stays.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from meerkat_mob._target import now_ms
from meerkat_mob.errors import StoreError
from meerkat_mob.store.file import FileStore, open_file_store, verify
from meerkat_mob.store.file.flock import flock
from meerkat_mob.store.file.threads import ThreadLane
from tests.store.host.sqlite_vfs import OK, Disk
from tests.store.kit import said


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


async def fail_at(disk: Disk, folder: Path, *, kind: str, code: int, at: int) -> tuple[bool, bool]:
    """One call of a kind fails, the others do not. Whether it was reached, and what is left holds.

    A commit that was refused must not be there; one that was told must.
    """
    store = await opened(folder)
    await store.commit((said("a", 0, b"before"),))
    calls = 0

    def before(asked: str) -> int:
        nonlocal calls
        calls += asked == kind
        return code if asked == kind and calls == at else OK

    disk.before = before
    kept = ["before"]
    for n in range(4):
        try:
            await store.commit((said("a", len(kept), b"%d" % n * 5000),))
        except StoreError:
            holds = [r.body[:1] for r in await store.read("a")] == [k.encode()[:1] for k in kept]
            if not holds:
                return True, False
        else:
            kept.append(str(n))
    disk.before = lambda _: OK
    await store.commit((said("a", len(kept), b"after"),))
    await store.aclose()
    store = await opened(folder)
    found = [r.body[:1].decode() for r in await store.read("a")]
    await store.aclose()
    whole = found == [k[0] for k in (*kept, "after")]
    return calls >= at, whole and verify(folder, lock=flock).clean


async def fail(disk: Disk, place: Path, kind: str, code: int) -> dict[str, object]:
    """Each call of a kind fails once."""
    wrong: list[int] = []
    for at in range(1, 200):
        reached, holds = await fail_at(disk, place / str(at), kind=kind, code=code, at=at)
        if not reached:
            return {"tried": at - 1, "wrong": wrong}
        if not holds:
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
            told = asyncio.run(fail(disk, Path(place), rest[0], int(rest[1])))
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
