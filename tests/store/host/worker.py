"""Processes that write to a realm until they are killed.

Run as a program it forks a worker for each line it reads: folder, how to die, at which write. The
worker says on the pipe which commits were acknowledged, as soon as they are; when it is dead
the parent says so. A worker's commit writes to two streams, takes a key and sets both heads.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Final

from meerkat_mob._target import now_ms, process_name
from meerkat_mob.errors import StoreError
from meerkat_mob.store import Append, NewRecord
from meerkat_mob.store.file import FileStore, open_file_store
from meerkat_mob.store.file.flock import flock
from meerkat_mob.store.file.threads import ThreadLane
from tests.store.host.sqlite_vfs import OK, TORN, Disk

SESSIONS: Final = 8
COMMITS: Final = 5
"""Of each session, in one life of a worker."""


def body(stream: str, seq: int) -> bytes:
    """What a record holds: known to whoever looks for it later."""
    return f"{stream} {seq} ".encode() * (1 + seq * 37 % 50)


def append(stream: str, expected: int) -> Append:
    """The next record of a stream."""
    seq = expected + 1
    record = NewRecord(kind="said", body=body(stream, seq))
    return Append(
        stream=stream,
        expected=expected,
        records=(record,),
        unique=(f"{stream}#{seq}",),
        head=b"%d" % seq,
    )


async def session(store: FileStore, number: int) -> None:
    """Commits one record after another, and says so."""
    told, twin = f"told-{number}", f"twin-{number}"
    done = await store.revision(told)
    for seq in range(done, done + COMMITS):
        await store.commit((append(told, seq), append(twin, seq)))
        os.write(1, f"kept {number} {seq + 1}\n".encode())


async def work(folder: Path) -> None:
    """All sessions at once."""
    store = await open_file_store(
        folder, clock=now_ms, holder=process_name(), lane=ThreadLane, lock=flock
    )
    os.write(1, b"open\n")
    await asyncio.gather(*(session(store, number) for number in range(SESSIONS)))
    await store.aclose()


def live(folder: Path, how: str, at: int) -> None:
    """A worker's whole life; ``how`` it dies is at a write, in the midst of one, or not at all."""
    disk = Disk()

    def before(_: str) -> int:
        if disk.writes != at:
            return OK
        if how == "torn":
            return TORN
        os.kill(os.getpid(), signal.SIGKILL)
        return OK

    if how != "free":
        disk.before = before
    disk.install()
    try:
        asyncio.run(work(folder))
    except StoreError as error:
        os.write(1, f"refused {error.code}\n".encode())
    os.write(1, f"wrote {disk.writes}\n".encode())
    os._exit(0)


def main() -> None:
    """Forks a worker for each line."""
    for line in sys.stdin:
        folder, how, at = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            live(Path(folder), how, int(at))
        os.write(1, f"born {child}\n".encode())
        os.waitpid(child, 0)
        os.write(1, b"dead\n")


if __name__ == "__main__":
    main()
