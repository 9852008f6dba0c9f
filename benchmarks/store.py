"""What keeping a fact costs, as ratios to a bare SQLite commit measured in the same run.

The floor is one transaction on the same disk: WAL, ``synchronous=FULL``, the bytes of a turn (two
messages of a kilobyte and a summary) as one row. Floor and store take turns: disks have moods.

    python benchmarks/store.py [commits]
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median

import msgspec

from meerkat_mob._target import now_ms
from meerkat_mob.store import Append, MemoryStore, NewRecord, Store
from meerkat_mob.store.file import open_file_store
from meerkat_mob.store.file.flock import flock
from meerkat_mob.store.file.threads import ThreadLane

HEAD = b"s" * 200
TOGETHER = 100


class Said(msgspec.Struct):
    """A message, as large as the benchmark says."""

    role: str
    content: str


USER, ASSISTANT = (
    msgspec.json.encode(Said(role=role, content=letter * 1024))
    for role, letter in (("user", "u"), ("assistant", "a"))
)
TURN = USER + ASSISTANT + HEAD


def turn(stream: str, n: int) -> Append:
    """The commit of the ``n``-th turn, from 0."""
    records = tuple(NewRecord(kind="message", body=body) for body in (USER, ASSISTANT))
    return Append(stream=stream, expected=2 * n, records=records, head=HEAD)


def bare(folder: Path) -> sqlite3.Connection:
    """A database with one table and nothing else."""
    db = sqlite3.connect(folder / "bare.sqlite3", isolation_level=None)
    for pragma in ("page_size = 8192", "journal_mode = WAL", "synchronous = FULL"):
        db.execute(f"PRAGMA {pragma}")
    db.execute("CREATE TABLE facts (id INTEGER PRIMARY KEY, body BLOB)")
    return db


def bare_commit(db: sqlite3.Connection) -> None:
    """The floor."""
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO facts (body) VALUES (?)", (TURN,))
    db.execute("COMMIT")


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


async def one_turn(store: Store, stream: str, n: int) -> float:
    """Seconds of one commit, waited for."""
    began = time.perf_counter()
    await store.commit((turn(stream, n),))
    return time.perf_counter() - began


async def all_turns(store: Store, n: int) -> float:
    """Seconds for each of many sessions that commit at once."""
    began = time.perf_counter()
    await asyncio.gather(*(store.commit((turn(f"many-{m}", n),)) for m in range(TOGETHER)))
    return (time.perf_counter() - began) / TOGETHER


async def commits(folder: Path, count: int) -> None:
    """One session, and a hundred at once."""
    store = await open_file_store(
        folder / "realm", clock=now_ms, holder="the benchmark", lane=ThreadLane, lock=flock
    )
    floor: list[float] = []
    alone: list[float] = []
    together: list[float] = []
    with closing(bare(folder)) as db:
        for n in range(count):
            floor.append(timed(lambda: bare_commit(db)))
            alone.append(await one_turn(store, "one", n))
            if n % 10 == 0:
                together.append(await all_turns(store, n // 10))
    await store.aclose()
    one = median(floor)
    print(f"a bare commit             {one * 1e6:7.0f} us: ratio 1")
    print(
        f"a commit, one session     {median(alone) * 1e6:7.0f} us: ratio {median(alone) / one:.2f}"
    )
    many = median(together)
    print(f"a commit, {TOGETHER} at once     {many * 1e6:7.0f} us: ratio {many / one:.2f}")
    tenth = max(count // 10, 1)
    print(f"late over early           {median(alone[-tenth:]) / median(alone[:tenth]):10.2f}")


async def in_memory(count: int) -> None:
    """The same without a disk."""
    store = MemoryStore(clock=now_ms)
    spent = [await one_turn(store, "one", n) for n in range(count)]
    print(f"a commit in memory        {median(spent) * 1e6:7.1f} us")


async def size_and_reading(folder: Path) -> None:
    """What 400 turns weigh when the realm is closed, and what reading 1,000 costs."""
    realm = folder / "weighed"
    store = await open_file_store(
        realm, clock=now_ms, holder="the benchmark", lane=ThreadLane, lock=flock
    )
    await store.commit([turn("one", n) for n in range(400)])
    await store.aclose()
    weight = (realm / "realm.sqlite3").stat().st_size
    print(f"bytes for 400 turns       {weight:7,}: {weight / (400 * 2 * 1024):.2f} of the payload")

    store = await open_file_store(
        realm, clock=now_ms, holder="the benchmark", lane=ThreadLane, lock=flock
    )
    await store.commit([turn("one", n) for n in range(400, 1000)])
    rows: list[float] = []
    bodies: list[float] = []
    verified: list[float] = []
    with closing(sqlite3.connect(realm / "realm.sqlite3")) as db:
        for _ in range(50):
            rows.append(timed(lambda: select_and_decode(db, "seq, kind, v, at, keys, chain, body")))
            bodies.append(timed(lambda: select_and_decode(db, "seq, body")))
            verified.append(await read_and_decode(store))
    await store.aclose()
    floor, barest, ours = median(rows), median(bodies), median(verified)
    print(f"SELECT and decode 1,000   {floor * 1e3:7.1f} ms: ratio 1")
    print(f"the bodies alone          {barest * 1e3:7.1f} ms: ratio {barest / floor:.2f}")
    told = f"ratio {ours / floor:.2f}; to the bodies alone {ours / barest:.2f}"
    print(f"read verified and decode  {ours * 1e3:7.1f} ms: {told}")


def select_and_decode(db: sqlite3.Connection, columns: str) -> list[Said]:
    """The floor of reading: the same rows, nothing looked at, and their messages kept."""
    sql = f"SELECT {columns} FROM records WHERE stream = 'one' ORDER BY seq"
    return [msgspec.json.decode(row[-1], type=Said) for row in db.execute(sql)]


async def read_and_decode(store: Store) -> float:
    """Seconds."""
    began = time.perf_counter()
    found: list[Said] = []
    while page := await store.read("one", after=len(found)):
        found += [msgspec.json.decode(record.body, type=Said) for record in page]
    return time.perf_counter() - began


async def many(folder: Path) -> None:
    """A list of 10,000 streams, and a history of 10,000 records, each page by page."""
    store = await open_file_store(
        folder / "many", clock=now_ms, holder="the benchmark", lane=ThreadLane, lock=flock
    )
    await store.commit([turn(f"session:{n:05}", 0) for n in range(10_000)])
    await store.commit([turn("one", n) for n in range(5_000)])
    for limit in (100, 1000):
        began, after, pages = time.perf_counter(), "", 0
        while page := await store.heads("session:", after=after, limit=limit):
            after, pages = page[-1].stream, pages + 1
        spent = time.perf_counter() - began
        told = f"{spent / pages * 1e6:.0f} us for a page of {limit}"
        print(f"heads of 10,000 streams   {spent * 1e3:7.1f} ms: {told}")
    tracemalloc.start()
    seq = 0
    while records := await store.read("one", after=seq):
        seq = records[-1].seq
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"10,000 records in pages   {most / 2**20:7.1f} MiB of memory at most")
    await store.aclose()


def main() -> None:
    """Print the ratios."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(commits(Path(place), count))
        asyncio.run(in_memory(count))
        asyncio.run(size_and_reading(Path(place)))
        asyncio.run(many(Path(place)))


if __name__ == "__main__":
    main()
