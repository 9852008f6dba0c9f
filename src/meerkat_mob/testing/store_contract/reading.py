"""Rules of reading: what was given comes back, in order, from any record on."""

from __future__ import annotations

from meerkat_mob.core.blobs import Blob, blob_id
from meerkat_mob.errors import StaleRevision
from meerkat_mob.store.chain import GENESIS, follows
from meerkat_mob.store.protocol import Append, NewRecord
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.store_contract.maker import OpenStore, append, bodies


async def a_stream_begins_without_records(open_store: OpenStore) -> None:
    """Reading what nobody wrote is no error."""
    async with open_store() as store:
        same(await store.revision("a"), 0, "the revision of an unknown stream")
        same(await store.read("a"), (), "its records")


async def a_record_comes_back_as_it_was_given(open_store: OpenStore) -> None:
    """Any bytes; kind and format version too."""
    given = (b"", b"\x00\xff" * 9, b"x" * 200_000)
    async with open_store() as store:
        records = tuple(NewRecord(kind=f"kind-{n}", body=b, v=n + 1) for n, b in enumerate(given))
        await store.commit((Append(stream="a", expected=0, records=records),))
        kept = await store.read("a")
        same([(r.kind, r.body, r.v) for r in kept], [(r.kind, r.body, r.v) for r in records])


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


async def each_record_is_tied_to_the_one_before(open_store: OpenStore) -> None:
    """By a chain over everything it holds, the keys it took among it; every home has the same."""
    async with open_store() as store:
        await store.commit((append("a", 0, b"1", b"2", unique=("k", "l")), append("b", 0, b"1")))
        await store.commit((append("a", 2, b"3"),))
        previous = GENESIS
        for record in await store.read("a"):
            holds(follows(previous, record), f"the chain up to {record.seq}")
            previous = record.chain
        keys = [record.keys for record in await store.read("a")]
        same(keys, [("k", "l"), (), ()], "who has the keys")
        (other,) = await store.read("b")
        holds(other.chain != (await store.read("a"))[0].chain, "streams have chains of their own")


async def a_blob_is_kept_with_its_commit_under_its_content(open_store: OpenStore) -> None:
    """Once, however often it is given; not at all if the commit is refused."""
    image = Blob(media_type="image/png", data="iVBORw0KGgo=")
    other = Blob(media_type="image/gif", data="R0lGODdh")
    async with open_store() as store:
        same(await store.blob(image.id), None, "a blob nobody gave")
        with refuses(StaleRevision):
            await store.commit((append("a", 1, b"x"),), blobs=(image,))
        same(await store.blob(image.id), None, "the blob of a refused commit")
        await store.commit((append("a", 0, b"1"),), blobs=(image, image))
        await store.commit((), blobs=(image, other))
        found = [await store.blob(blob_id(b.media_type, b.data)) for b in (image, other)]
        same(found, [image, other], "the blobs")


async def paging_reads_every_record_once(open_store: OpenStore) -> None:
    """Whatever the size of the page."""
    async with open_store() as store:
        await store.commit((append("a", 0, *(b"%d" % n for n in range(100))),))
        for size in (1, 7, 99, 100, 1000):
            found: list[bytes] = []
            while page := await store.read("a", after=len(found), limit=size):
                found += bodies(page)
            same(found, [b"%d" % n for n in range(100)], f"pages of {size}")
