"""Every released format of the store stays readable, and can be written on."""

import shutil
from pathlib import Path

import msgspec
import pytest

from meerkat_mob.store.file import verify
from meerkat_mob.store.file.schema import FORMAT
from tests.store.kit import a_reader, a_store, query, said
from tests.store.make_corpus import CORPUS, Facts, facts_of, write

FORMATS = sorted(folder.name for folder in CORPUS.glob("format-*"))


def facts_in(folder: Path) -> Facts:
    return msgspec.json.decode((folder / "facts.json").read_bytes(), type=Facts)


def test_every_format_has_its_realm() -> None:
    assert [f"format-{number}" for number in range(1, FORMAT + 1)] == FORMATS


@pytest.mark.parametrize("name", FORMATS)
async def test_a_realm_of_each_format_reads_as_it_was_written(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    shutil.copytree(CORPUS / name, folder)
    assert verify(folder, lock=None).clean
    async with a_reader(folder) as reader:
        assert await facts_of(reader) == facts_in(folder)


@pytest.mark.parametrize("name", FORMATS)
async def test_a_realm_of_each_format_can_be_written_on(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    shutil.copytree(CORPUS / name, folder)
    async with a_store(folder) as store:
        assert await facts_of(store) == facts_in(folder)
        await store.commit((said("session:1", 3, b"more", unique=("e",)),))
    assert verify(folder, lock=None).clean
    assert query(folder, "PRAGMA user_version") == [(FORMAT,)]


async def test_the_same_commits_make_the_same_facts_today(tmp_path: Path) -> None:
    """Hashes and all: what is written is part of the format."""
    async with a_store(tmp_path) as store:
        await write(store)
        assert await facts_of(store) == facts_in(CORPUS / f"format-{FORMAT}")
