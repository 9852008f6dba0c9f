"""Rules of committing: all or nothing, once, and only on what the writer has seen."""

from __future__ import annotations

import asyncio

from meerkat_mob.errors import DuplicateKey, InvalidParams, StaleRevision
from meerkat_mob.store.protocol import Append, NewRecord, Record
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.store_contract.maker import OpenStore, append, bodies


async def records_are_numbered_from_one_without_gaps(open_store: OpenStore) -> None:
    """Over several commits, and the same whether returned or read."""
    async with open_store() as store:
        first = await store.commit((append("a", 0, b"1", b"2"),))
        second = await store.commit((append("a", 2, b"3"),))
        same([r.seq for r in first + second], [1, 2, 3], "the numbers")
        same(await store.read("a"), first + second, "the records read")
        same(await store.revision("a"), 3, "the revision")


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


async def of_refused_commits_at_once_each_fails_alone(open_store: OpenStore) -> None:
    """Those beside it are kept, whatever they are written together with."""
    async with open_store() as store:
        await store.commit((append("a", 0, b"1", unique=("k",)),))
        tried = await asyncio.gather(
            store.commit((append("b", 0, b"1"), append("c", 0, b"1"))),
            store.commit((append("d", 0, b"x"), append("a", 0, b"x"))),
            store.commit((append("e", 0, b"x", unique=("k",)),)),
            store.commit((append("b", 1, b"2"),)),
            return_exceptions=True,
        )
        kinds = [type(t) for t in tried]
        same(kinds, [tuple, StaleRevision, DuplicateKey, tuple], "what came of them")
        found = [await store.revision(s) for s in "abcde"]
        same(found, [1, 2, 1, 0, 0], "the revisions")


async def many_committers_lose_and_interleave_nothing(open_store: OpenStore) -> None:
    """Forty streams at once, ten commits of two records each."""
    async with open_store() as store:

        async def commit_ten(stream: str) -> None:
            for n in range(0, 20, 2):
                await store.commit((append(stream, n, b"%d" % n, b"%d" % (n + 1)),))

        names = [f"stream-{n}" for n in range(40)]
        await asyncio.gather(*map(commit_ten, names))
        for name in names:
            same(bodies(await store.read(name)), [b"%d" % n for n in range(20)], name)


async def what_was_kept_is_installed_once(open_store: OpenStore) -> None:
    """With the records that the commit returns; a refused commit installs nothing."""
    told: list[tuple[Record, ...]] = []
    async with open_store() as store:
        kept = await store.commit((append("a", 0, b"1", b"2"),), install=told.append)
        with refuses(StaleRevision):
            await store.commit((append("a", 0, b"x"),), install=told.append)
        same(told, [kept], "what was installed")


async def a_committer_cancelled_while_it_waits_installs_the_outcome(open_store: OpenStore) -> None:
    """It leaves with the cancellation, and knows of exactly what the store holds."""
    told: list[tuple[Record, ...]] = []
    async with open_store() as store:
        waiting = asyncio.create_task(store.commit((append("a", 0, b"1"),), install=told.append))
        await asyncio.sleep(0)
        asked = waiting.cancel()
        (outcome,) = await asyncio.gather(waiting, return_exceptions=True)
        same([r for kept in told for r in kept], list(await store.read("a")), "what is known")
        same(await store.revision("a"), 1, "the revision")
        same(isinstance(outcome, asyncio.CancelledError), asked, "whether it was cancelled")


async def a_text_that_cannot_be_written_is_refused(open_store: OpenStore) -> None:
    """Half a surrogate pair is no text, and a format is a number of 31 bits."""
    async with open_store() as store:
        lone = "\ud800"
        refused = (
            append(lone, 0, b"x"),
            append("a", 0, b"x", unique=(lone,)),
            Append(stream="a", expected=0, records=(NewRecord(kind=lone, body=b""),)),
            Append(stream="a", expected=0, records=(NewRecord(kind="k", body=b"", v=-1),)),
            Append(stream="a", expected=0, records=(NewRecord(kind="k", body=b"", v=2**31),)),
        )
        for one in refused:
            with refuses(InvalidParams):
                await store.commit((append("b", 0, b"x"), one))
        same(await store.revision("b"), 0, "the other stream's revision")
