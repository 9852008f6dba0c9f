"""What every store keeps (design, "The store"), as functions that take a maker of one.

A home is right when all of ``RULES`` pass on it. A maker opens a fresh, empty store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeAlias

from meerkat_mob.errors import DuplicateKey, InvalidParams, StaleRevision
from meerkat_mob.store.protocol import Append, NewRecord, Record, Store
from meerkat_mob.testing.expect import holds, refuses, rules_of, same

OpenStore: TypeAlias = Callable[[], AbstractAsyncContextManager[Store]]
StoreRule: TypeAlias = Callable[[OpenStore], Awaitable[None]]


def append(stream: str, expected: int, *bodies: bytes, unique: tuple[str, ...] = ()) -> Append:
    """An append of one record for each body."""
    records = tuple(NewRecord(kind="said", body=body) for body in bodies)
    return Append(stream=stream, expected=expected, records=records, unique=unique)


def bodies(records: tuple[Record, ...]) -> list[bytes]:
    """What the records hold."""
    return [record.body for record in records]


async def a_stream_begins_without_records(open_store: OpenStore) -> None:
    """Reading what nobody wrote is no error."""
    async with open_store() as store:
        same(await store.revision("a"), 0, "the revision of an unknown stream")
        same(await store.read("a"), (), "its records")


async def records_are_numbered_from_one_without_gaps(open_store: OpenStore) -> None:
    """Over several commits, and the same whether returned or read."""
    async with open_store() as store:
        first = await store.commit((append("a", 0, b"1", b"2"),))
        second = await store.commit((append("a", 2, b"3"),))
        same([r.seq for r in first + second], [1, 2, 3], "the numbers")
        same(await store.read("a"), first + second, "the records read")
        same(await store.revision("a"), 3, "the revision")


async def a_record_comes_back_as_it_was_given(open_store: OpenStore) -> None:
    """Any bytes; kind and format version too."""
    given = (b"", b"\x00\xff" * 9, b"x" * 200_000)
    async with open_store() as store:
        records = tuple(NewRecord(kind=f"kind-{n}", body=b, v=n + 1) for n, b in enumerate(given))
        await store.commit((Append(stream="a", expected=0, records=records),))
        kept = await store.read("a")
        same([(r.kind, r.body, r.v) for r in kept], [(r.kind, r.body, r.v) for r in records])


async def one_commit_has_one_time(open_store: OpenStore) -> None:
    """Over all its streams, and never before an earlier commit's."""
    async with open_store() as store:
        first = await store.commit((append("a", 0, b"1"), append("b", 0, b"2", b"3")))
        later = await store.commit((append("a", 1, b"4"),))
        same(len({r.at for r in first}), 1, "the number of times in one commit")
        holds(first[0].at <= later[0].at, "time does not go back")


async def a_stale_writer_changes_nothing(open_store: OpenStore) -> None:
    """Whether it has seen too little or claims to have seen too much."""
    async with open_store() as store:
        await store.commit((append("a", 0, b"1"),))
        for expected in (0, 2):
            with refuses(StaleRevision) as refusal:
                await store.commit((append("a", expected, b"x"),))
            stale = refusal.error
            same((stale.stream, stale.expected, stale.actual), ("a", expected, 1), "the refusal")
        same(bodies(await store.read("a")), [b"1"], "what is kept")


async def a_commit_is_all_or_nothing_over_streams(open_store: OpenStore) -> None:
    """A refused part leaves the parts before and after it unwritten."""
    async with open_store() as store:
        await store.commit((append("b", 0, b"1"),))
        with refuses(StaleRevision):
            await store.commit(
                (append("a", 0, b"x", unique=("k",)), append("b", 0, b"x"), append("c", 0, b"x"))
            )
        same([await store.revision(s) for s in "abc"], [0, 1, 0], "the revisions")
        await store.commit((append("a", 0, b"2", unique=("k",)),))


async def one_commit_may_append_to_a_stream_twice(open_store: OpenStore) -> None:
    """The second append expects what the first one made."""
    async with open_store() as store:
        await store.commit((append("a", 0, b"1"), append("a", 1, b"2")))
        with refuses(StaleRevision):
            await store.commit((append("a", 2, b"x"), append("a", 2, b"x")))
        same(bodies(await store.read("a")), [b"1", b"2"], "what is kept")


async def a_key_is_taken_once_in_the_whole_store(open_store: OpenStore) -> None:
    """The refusal names the record that has it; nothing of the refused commit is kept."""
    async with open_store() as store:
        await store.commit((append("a", 0, b"1"),))
        await store.commit((append("a", 1, b"2", b"3", unique=("k",)),))
        with refuses(DuplicateKey) as refusal:
            await store.commit((append("c", 0, b"x"), append("b", 0, b"x", unique=("new", "k"))))
        taken = refusal.error
        same((taken.key, taken.stream, taken.seq), ("k", "a", 2), "who has the key")
        same([await store.revision(s) for s in "bc"], [0, 0], "the revisions")
        await store.commit((append("b", 0, b"4", unique=("new",)),))


async def a_key_is_taken_once_in_one_commit(open_store: OpenStore) -> None:
    """Two claims inside one commit refuse each other."""
    async with open_store() as store:
        with refuses(DuplicateKey):
            await store.commit(
                (append("a", 0, b"x", unique=("k",)), append("b", 0, b"x", unique=("k",)))
            )
        with refuses(DuplicateKey):
            await store.commit((append("a", 0, b"x", unique=("k", "k")),))
        same([await store.revision(s) for s in "ab"], [0, 0], "the revisions")


async def a_key_needs_a_record(open_store: OpenStore) -> None:
    """It belongs to the first record of its append."""
    async with open_store() as store:
        with refuses(InvalidParams):
            await store.commit((append("a", 0, unique=("k",)),))
        await store.commit((append("a", 0, b"1", unique=("k",)),))


async def an_append_without_records_is_a_condition(open_store: OpenStore) -> None:
    """It writes nothing and still refuses a stream that has moved on."""
    async with open_store() as store:
        same(await store.commit(()), (), "an empty commit")
        same(await store.commit((append("a", 0),)), (), "a commit without records")
        await store.commit((append("a", 0, b"1"),))
        with refuses(StaleRevision):
            await store.commit((append("a", 0), append("b", 0, b"x")))
        same(await store.revision("b"), 0, "the other stream's revision")


async def of_writers_who_saw_the_same_one_wins(open_store: OpenStore) -> None:
    """Two commits at once on one revision: one is kept, the other told."""
    async with open_store() as store:
        tried = await asyncio.gather(
            *(store.commit((append("a", 0, b"%d" % n),)) for n in range(4)),
            return_exceptions=True,
        )
        same(sum(isinstance(t, StaleRevision) for t in tried), 3, "refused commits")
        same(await store.revision("a"), 1, "the revision")


async def reading_goes_on_from_any_record(open_store: OpenStore) -> None:
    """Pages by ``after`` and ``limit``; beyond the end there is nothing."""
    async with open_store() as store:
        await store.commit((append("a", 0, b"1", b"2", b"3", b"4"),))
        for after, limit, wanted in (
            (0, 2, [b"1", b"2"]),
            (2, 2, [b"3", b"4"]),
            (3, 9, [b"4"]),
            (4, 9, []),
            (99, 9, []),
            (-5, 1, [b"1"]),
            (0, 0, []),
            (0, -1, []),
        ):
            found = bodies(await store.read("a", after=after, limit=limit))
            same(found, wanted, f"after {after}, at most {limit}")


async def streams_are_told_apart_by_their_exact_name(open_store: OpenStore) -> None:
    """Whatever is in it: a name is never a path, a pattern or a prefix."""
    names = ("a", "A", "a/b", "../a", "a%", "a_", "", " a", "ä", "a\u0308", "mob:1", "mob:10")
    async with open_store() as store:
        await store.commit(tuple(append(name, 0, name.encode()) for name in names))
        for name in names:
            same(bodies(await store.read(name)), [name.encode()], f"stream {name!r}")


async def closing_twice_is_fine(open_store: OpenStore) -> None:
    """``aclose`` is idempotent."""
    async with open_store() as store:
        await store.aclose()
        await store.aclose()


RULES: Final[tuple[StoreRule, ...]] = rules_of(__name__)
