"""Rules of lasting: what was kept is there when the place is opened again."""

from __future__ import annotations

from meerkat_mob.core.blobs import Blob
from meerkat_mob.errors import DuplicateKey, StaleRevision
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.store_contract.maker import OpenStore, append, bodies


async def a_place_opened_again_holds_what_was_kept(open_store: OpenStore) -> None:
    """Records, heads, keys and blobs, and goes on from there."""
    image = Blob(media_type="image/png", data="iVBORw0KGgo=")
    async with open_store() as store:
        first = (append("a", 0, b"1", b"2", unique=("k",), head=b"one"), append("b", 0, b"1"))
        await store.commit(first, blobs=(image,))
        told = (await store.read("a"), await store.heads(), await store.blob(image.id))
    async with open_store() as store:
        found = (await store.read("a"), await store.heads(), await store.blob(image.id))
        same(found, told, "what is found again")
        with refuses(StaleRevision):
            await store.commit((append("a", 0, b"x"),))
        with refuses(DuplicateKey) as refusal:
            await store.commit((append("b", 1, b"x", unique=("k",)),))
        same((refusal.error.stream, refusal.error.seq), ("a", 1), "who has the key")
        (third,) = await store.commit((append("a", 2, b"3"),))
        holds(third.at >= told[0][-1].at, "time does not go back")


async def a_place_grows_over_many_openings(open_store: OpenStore) -> None:
    """Each adds its own and finds all of the others'."""
    for n in range(5):
        async with open_store() as store:
            same(bodies(await store.read("a")), [b"%d" % m for m in range(n)], "what is there")
            await store.commit((append("a", n, b"%d" % n), append(f"b-{n}", 0, b"x" * 10_000)))
    async with open_store() as store:
        same(len(await store.heads()), 6, "the number of streams")


async def a_long_stream_stays_whole(open_store: OpenStore) -> None:
    """Two thousand records in commits of twenty, read in pages."""
    async with open_store() as store:
        for n in range(0, 2000, 20):
            batch = (b"%d" % m * 50 for m in range(n, n + 20))
            await store.commit((append("a", n, *batch, head=b"%d" % n),))
    async with open_store() as store:
        found: list[bytes] = []
        while page := await store.read("a", after=len(found), limit=300):
            found += bodies(page)
        same(found, [b"%d" % n * 50 for n in range(2000)], "the records")


async def closing_twice_is_fine(open_store: OpenStore) -> None:
    """``aclose`` is idempotent."""
    async with open_store() as store:
        await store.aclose()
        await store.aclose()
