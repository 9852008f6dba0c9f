"""Two indexes with one meaning: the same hits, in the same order, with the same scores."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.agent.memory import RankedIndex
from meerkat_mob.agent.memory.fts5 import FILE, Fts5Index, is_available
from meerkat_mob.agent.memory.words import words
from meerkat_mob.store.lanes import InlineLane
from tests.agent.memory.kit import INDEXES, NewIndex, an_index, found, said

HOSTILE = ['"', "a OR", "NEAR(a b)", "words: a", "a*", "-a", "^a", "{a}", "' ; DROP TABLE entry"]


@pytest.mark.parametrize("kind", INDEXES)
async def test_the_best_comes_first_and_of_equals_the_newest(
    kind: NewIndex, tmp_path: Path
) -> None:
    index = an_index(kind, tmp_path)
    texts = ("the disk is full", "a full moon", "disk and disk", "a full moon!", "nothing")
    await index.put("s", 4, said(*texts))
    assert await found(index, "disk") == ["disk and disk", "the disk is full"]
    assert await found(index, "moon") == ["a full moon!", "a full moon"]
    assert await found(index, "The disk, please!") == ["the disk is full", "disk and disk"]
    assert await found(index, "moon", limit=1) == ["a full moon!"]
    assert await found(index, "sun") == []
    await index.aclose()


@pytest.mark.parametrize("kind", INDEXES)
async def test_words_are_found_without_case_and_accents(kind: NewIndex, tmp_path: Path) -> None:
    index = an_index(kind, tmp_path)
    await index.put("s", 1, said("Ça coûte 3,50 €", "STRASSE", "日本の東京", "snake_case_name"))
    assert await found(index, "cout") == []
    assert await found(index, "COUTE") == ["Ça coûte 3,50 €"]
    assert await found(index, "straße") == ["STRASSE"]
    assert await found(index, "京") == ["日本の東京"]
    assert await found(index, "case") == ["snake_case_name"]
    await index.aclose()


@pytest.mark.parametrize("kind", INDEXES)
async def test_one_session_never_finds_another_s(kind: NewIndex, tmp_path: Path) -> None:
    index = an_index(kind, tmp_path)
    await index.put("a", 1, said("secret of a"))
    await index.put("b", 2, said("secret of b"))
    assert await found(index, "secret", "a") == ["secret of a"]
    assert await found(index, "secret", "c") == []
    assert [await index.mark(name) for name in "abc"] == [1, 2, 0]
    await index.forget("a")
    assert await found(index, "secret", "a") == []
    assert await found(index, "secret", "b") == ["secret of b"]
    assert await index.mark("a") == 0
    await index.aclose()


@pytest.mark.parametrize("kind", INDEXES)
async def test_what_is_put_again_takes_the_place_of_what_was(
    kind: NewIndex, tmp_path: Path
) -> None:
    index = an_index(kind, tmp_path)
    await index.put("s", 1, said("one"))
    await index.put("s", 2, said("one", "one more"))
    assert await found(index, "one") == ["one", "one more"]
    await index.put("s", 3, said())
    assert await found(index, "one") == []
    assert await index.mark("s") == 3
    await index.aclose()


@pytest.mark.parametrize("kind", INDEXES)
@pytest.mark.parametrize("query", HOSTILE)
async def test_a_query_is_words_and_nothing_else(
    kind: NewIndex, tmp_path: Path, query: str
) -> None:
    index = an_index(kind, tmp_path)
    await index.put("s", 1, said("a or b", "near"))
    expected = [text for text in ("near", "a or b") if set(words(query)) & set(words(text))]
    assert sorted(await found(index, query)) == sorted(expected)
    await index.aclose()


if is_available():
    letters = st.text("abcäß日_ 1é\u0301", max_size=12)
    corpora = st.dictionaries(st.sampled_from("xyz"), st.lists(letters, max_size=8), max_size=3)

    @given(corpora, corpora, st.lists(letters, min_size=1, max_size=4), st.integers(1, 9))
    async def test_both_find_the_same_with_the_same_scores(
        first: dict[str, list[str]], then: dict[str, list[str]], queries: list[str], limit: int
    ) -> None:
        with tempfile.TemporaryDirectory() as folder:
            one, other = RankedIndex(), Fts5Index(Path(folder), lane=InlineLane)
            for mark, corpus in enumerate((first, then), 1):
                for session, texts in corpus.items():
                    for index in (one, other):
                        await index.put(session, mark, said(*texts))
            for query in queries:
                for session in "xyz":
                    ours = await one.search(session, query, limit)
                    theirs = await other.search(session, query, limit)
                    assert [hit.number for hit in ours] == [hit.number for hit in theirs]
                    assert [hit.entry for hit in ours] == [hit.entry for hit in theirs]
                    scores = [hit.score for hit in theirs]
                    assert [hit.score for hit in ours] == pytest.approx(scores, rel=1e-9)
            await other.aclose()

    async def test_an_index_that_is_opened_again_has_what_it_had(tmp_path: Path) -> None:
        index = Fts5Index(tmp_path, lane=InlineLane)
        await index.put("s", 7, said("kept"))
        await index.aclose()
        again = Fts5Index(tmp_path, lane=InlineLane)
        assert (await again.mark("s"), await found(again, "kept")) == (7, ["kept"])
        await again.aclose()

    @pytest.mark.parametrize("damage", [b"no database", b""])
    async def test_a_file_that_is_no_index_is_made_anew(tmp_path: Path, damage: bytes) -> None:
        (tmp_path / FILE).write_bytes(damage)
        index = Fts5Index(tmp_path, lane=InlineLane)
        assert await index.mark("s") == 0
        await index.put("s", 1, said("new"))
        assert await found(index, "new") == ["new"]
        await index.aclose()

    async def test_a_file_of_another_version_is_made_anew(tmp_path: Path) -> None:
        with sqlite3.connect(tmp_path / FILE) as db:
            db.execute("CREATE TABLE mark (x)")
            db.execute("PRAGMA user_version = 99")
        db.close()
        index = Fts5Index(tmp_path, lane=InlineLane)
        assert await index.mark("s") == 0
        await index.aclose()

    async def test_nothing_is_made_of_what_is_only_forgotten(tmp_path: Path) -> None:
        index = Fts5Index(tmp_path, lane=InlineLane)
        await index.forget("s")
        await index.aclose()
        assert not [*tmp_path.iterdir()]


async def test_ten_thousand_entries_are_searched_by_their_words() -> None:
    index = RankedIndex()
    await index.put(
        "s", 1, said(*[f"line {n} of the log, host web-{n % 7}" for n in range(10_000)])
    )
    assert await found(index, "9999") == ["line 9999 of the log, host web-3"]
    assert len(await found(index, "log", limit=20)) == 20
