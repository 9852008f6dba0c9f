"""Writes the realm of the newest format into the corpus. Run once, when a format is new."""

import asyncio
from pathlib import Path

import msgspec

from meerkat_mob.store import Blob, Head, Record
from meerkat_mob.store.file import FileReader, FileStore
from meerkat_mob.store.file.schema import FORMAT
from meerkat_mob.store.protocol import Append, NewRecord
from tests.store.kit import IMAGE, a_store

CORPUS = Path(__file__).parent / "corpus"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a realm of the corpus holds."""

    records: tuple[Record, ...]
    heads: tuple[Head, ...]
    blobs: tuple[Blob, ...]


async def write(store: FileStore) -> None:
    """Something of everything that a realm can hold."""
    long = NewRecord(kind="message", body=b"long " * 1800, v=3)
    empty = NewRecord(kind="", body=b"", v=0)
    odd = NewRecord(kind="k\u00e4nn \U0001f43e", body=bytes(range(256)))
    await store.commit(
        (
            Append(stream="session:1", expected=0, records=(long, empty), head=b'{"n":2}'),
            Append(stream="mob:\u00e4", expected=0, records=(odd,), unique=("a", "b\0c")),
        ),
        blobs=(IMAGE,),
    )
    await store.commit((Append(stream="session:1", expected=2, records=(), head=b"\xff"),))
    await store.commit((Append(stream="session:1", expected=2, records=(odd,), unique=("d",)),))


async def facts_of(store: FileReader) -> Facts:
    """All of it."""
    heads = await store.heads()
    records = [record for head in heads for record in await store.read(head.stream)]
    blob = await store.blob(IMAGE.id)
    return Facts(records=tuple(records), heads=heads, blobs=(blob,) if blob else ())


async def make(folder: Path) -> bytes:
    """A realm in a folder that was not there, and its facts."""
    async with a_store(folder) as store:
        await write(store)
        return msgspec.json.format(msgspec.json.encode(await facts_of(store)), indent=1)


def main() -> None:
    """Refuses to write over what is there: a released format never changes."""
    folder = CORPUS / f"format-{FORMAT}"
    folder.mkdir(parents=True)
    facts = asyncio.run(make(folder))
    (folder / "facts.json").write_bytes(facts + b"\n")


if __name__ == "__main__":
    main()
