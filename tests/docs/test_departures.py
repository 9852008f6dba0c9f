"""docs/departures.md against the tests: every line of the interface's source went somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "departures.md"
TESTS = sorted((ROOT / "tests" / "mob").rglob("test_session_service*.py"))
LINES = 333
"""How many lines the Rust source of ``MobSessionService`` has."""

ROW = re.compile(r"^\| (\d+)-(\d+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
DEFINED = re.compile(r"^\| (S-\d+) \|", re.MULTILINE)
TEST = re.compile(
    r"^(?:async )?def (test_\w+)\(.*?\n    \"\"\"(.*?)\"\"\"", re.MULTILINE | re.DOTALL
)
CITED = re.compile(r"(?<!\w)(\d+)-(\d+)|Line (\d+)")


class Row(msgspec.Struct, frozen=True):
    """Lines of the source, and where they went."""

    first: int
    last: int
    where: str

    @property
    def tests(self) -> list[str]:
        return re.findall(r"`(test_\w+)`", self.where)

    @property
    def departures(self) -> list[str]:
        return re.findall(r"S-\d+", self.where)


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def rows() -> list[Row]:
    return [Row(int(m[1]), int(m[2]), m[4]) for m in ROW.finditer(page())]


def cases() -> dict[str, str]:
    """Every test of the interface, with what its docstring says."""
    return {m[1]: m[2] for file in TESTS for m in TEST.finditer(file.read_text(encoding="utf-8"))}


def cited(docstring: str) -> list[tuple[int, int]]:
    return [
        (int(m[3]), int(m[3])) if m[3] else (int(m[1]), int(m[2]))
        for m in CITED.finditer(docstring)
    ]


def test_every_line_went_to_a_test_or_to_a_departure() -> None:
    place = 1
    for row in rows():
        assert row.first == place
        assert row.tests or row.departures or row.where == "no behaviour", row
        place = row.last + 1
    assert place == LINES + 1


def test_every_departure_that_is_named_is_explained_and_the_other_way_round() -> None:
    explained = DEFINED.findall(page())
    assert explained == [f"S-{n}" for n in range(1, len(explained) + 1)]
    assert {name for row in rows() for name in row.departures} == set(explained)


def test_every_test_that_is_named_exists_and_cites_the_lines_it_is_named_for() -> None:
    there = cases()
    for row in rows():
        for name in row.tests:
            assert name in there, name
            ranges = cited(there[name])
            assert any(a <= row.last and row.first <= b for a, b in ranges), (name, row)


def test_every_test_of_the_interface_is_named_for_each_line_it_cites() -> None:
    for name, docstring in cases().items():
        for a, b in cited(docstring):
            named = [name in r.tests for r in rows() if a <= r.last and r.first <= b]
            assert named, (name, a, b)
            assert all(named), (name, a, b)


def test_a_table_has_a_word_in_each_cell() -> None:
    empty = [line for line in page().splitlines() if re.search(r"\|\s*\|", line)]
    assert empty == []
