"""Rules of heads: what a list and a first look answer from, without reading a stream."""

from __future__ import annotations

from meerkat_mob.errors import DuplicateKey, InvalidParams, StaleRevision
from meerkat_mob.testing.expect import refuses, same
from meerkat_mob.testing.store_contract.maker import OpenStore, append


async def a_head_says_where_its_stream_stands(open_store: OpenStore) -> None:
    """Number, time and chain of the last record; a stream without records has none."""
    async with open_store() as store:
        same(await store.head("a"), None, "the head of an unknown stream")
        await store.commit((append("a", 0, b"1"),))
        last = (await store.commit((append("a", 1, b"2", b"3"),)))[-1]
        head = await store.head("a")
        if head is None:
            raise AssertionError("the stream has no head")
        told = (head.stream, head.revision, head.at, head.chain, head.summary, head.damaged)
        same(told, ("a", 3, last.at, last.chain, b"", False), "the head")


async def a_summary_stays_until_the_next_one(open_store: OpenStore) -> None:
    """Appends without one leave it; one may come without a record; empty is a summary too."""
    async with open_store() as store:
        for expected, given, wanted in (
            (0, append("a", 0, b"1", head=b"one"), b"one"),
            (1, append("a", 1, b"2"), b"one"),
            (2, append("a", 2, head=b"\x00two"), b"\x00two"),
            (2, append("a", 2, b"3", head=b""), b""),
        ):
            await store.commit((given,))
            head = await store.head("a")
            same(head and head.summary, wanted, f"the summary behind record {expected}")
        same(await store.revision("a"), 3, "the revision")


async def a_summary_is_kept_with_its_commit_or_not_at_all(open_store: OpenStore) -> None:
    """It is no way around the rules of a commit."""
    async with open_store() as store:
        await store.commit((append("a", 0, b"1", unique=("k",), head=b"one"),))
        with refuses(StaleRevision):
            await store.commit((append("a", 1, b"x", head=b"x"), append("b", 1, b"x")))
        with refuses(StaleRevision):
            await store.commit((append("a", 2, head=b"x"),))
        with refuses(DuplicateKey):
            await store.commit((append("a", 1, b"x", unique=("k",), head=b"x"),))
        with refuses(InvalidParams):
            await store.commit((append("b", 0, head=b"x"),))
        head = await store.head("a")
        same((head and head.summary, await store.head("b")), (b"one", None), "what is kept")


async def heads_are_listed_by_name(open_store: OpenStore) -> None:
    """Those with the prefix, in order, in pages; a prefix is not a pattern."""
    names = ["a%", "aZ", "a_", "a_1", "a\u00e4", "a\uffff", "a\U0001f600", "b", ""]
    async with open_store() as store:
        same(await store.heads(), (), "the heads of an empty store")
        await store.commit([append(n, 0, n.encode(), head=n.encode()) for n in reversed(names)])
        for prefix in ("", "a", "a_", "a%", "a\uffff", "\U0010ffff", "c"):
            wanted = sorted(n for n in names if n.startswith(prefix))
            found = [head.stream for head in await store.heads(prefix)]
            same(found, wanted, f"the streams with {prefix!r}")
            paged: list[str] = []
            while page := await store.heads(prefix, after=paged[-1] if paged else None, limit=2):
                paged += [head.stream for head in page]
            same(paged, wanted, f"the pages of those with {prefix!r}")
        same([h.summary for h in await store.heads("b")], [b"b"], "a summary in the list")
        same([await store.heads(limit=limit) for limit in (0, -1)], [(), ()], "an empty page")


async def a_list_of_many_is_paged_through_once(open_store: OpenStore) -> None:
    """A thousand streams, as they stand."""
    async with open_store() as store:
        names = [f"session:{n:04}" for n in range(1000)]
        await store.commit([append(name, 0, b"1", head=b"{}") for name in names])
        await store.commit((append("session:0500", 1, b"2", head=b"two"),))
        found = list(await store.heads("session:", limit=300))
        while page := await store.heads("session:", after=found[-1].stream, limit=300):
            found += page
        same([head.stream for head in found], names, "the streams")
        same((found[500].revision, found[500].summary), (2, b"two"), "one of them")
