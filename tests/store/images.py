"""The files of a realm, closed or as a kill leaves them, to be laid out and damaged."""

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from meerkat_mob.core.ids import Clock
from meerkat_mob.errors import RealmDamaged, RealmUnreadable, StoreCorrupt
from meerkat_mob.store.file import FileReader, verify
from meerkat_mob.testing.builders import NEW_YEAR_2030, a_clock
from tests.store.kit import a_reader, bodies_of, fill, opened


def later() -> Clock:
    """When whoever held an image is long gone."""
    return a_clock(at=NEW_YEAR_2030 + 3_600_000, step=1)


async def everything(reader: FileReader) -> dict[str, list[bytes]]:
    return {stream: await bodies_of(reader, stream) for stream in "abc"}


class Image(NamedTuple):
    """The bytes of a realm's files, and what they hold."""

    files: dict[str, bytes]
    whole: dict[str, list[bytes]]

    def lay(self, folder: Path) -> dict[str, list[bytes]]:
        """Writes the files, and returns what they hold."""
        folder.mkdir()
        for name, data in self.files.items():
            (folder / name).write_bytes(data)
        return self.whole


def files_in(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if "shm" not in file.name}


IMAGES: dict[bool, Image] = {}


async def an_image(folder: Path, *, log: bool) -> dict[str, list[bytes]]:
    """A realm's files in ``folder``, as a kill would leave them if ``log``; and what they hold."""
    if log not in IMAGES:
        with tempfile.TemporaryDirectory() as place:
            store = await opened(Path(place))
            await fill(store)
            whole = await everything(store)
            if not log:
                await store.aclose()
            files = files_in(Path(place))
            await store.aclose()
        IMAGES[log] = Image(files, whole)
    return IMAGES[log].lay(folder)


async def shows_only_the_truth(folder: Path, whole: dict[str, list[bytes]]) -> None:
    """Whatever is read was committed; what cannot be read is a typed error."""
    with suppress(RealmDamaged, RealmUnreadable):
        async with a_reader(folder) as reader:
            for stream in "abc":
                with suppress(StoreCorrupt):
                    assert await bodies_of(reader, stream) == whole[stream]
        verify(folder, lock=None)
