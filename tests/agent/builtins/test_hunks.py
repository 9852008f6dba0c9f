"""Hunks in a text: where they go, what stays as it was, and why one has no place."""

from __future__ import annotations

import pytest

from meerkat_mob.agent.builtins.hunks import Mismatch, apply_hunks
from meerkat_mob.agent.builtins.patch import UpdateFile, parse_patch
from tests.agent.builtins.kit import a_patch

NUMBERS = "".join(f"{n}\n" for n in range(1, 8))
TWO_CLASSES = """\
class A:
    def run(self):
        return 1

class B:
    def run(self):
        return 1
"""


def applied(text: str, *hunks: str) -> str | Mismatch:
    operations, faults = parse_patch(a_patch("*** Update File: a", *hunks))
    assert faults == ()
    (one,) = operations
    assert isinstance(one, UpdateFile)
    return apply_hunks(text, one.hunks)


def told(text: str, *hunks: str) -> str:
    found = applied(text, *hunks)
    assert isinstance(found, Mismatch)
    return f"{found.hunk}: {found.message}"


# -- where it goes -----------------------------------------------------------------------------


def test_hunks_go_where_their_lines_are() -> None:
    after = applied(NUMBERS, "@@", " 1", "-2", "+two", "+zwei", "@@", "-6", " 7", "+8")
    assert after == "1\ntwo\nzwei\n3\n4\n5\n7\n8\n"


def test_a_heading_says_below_which_line() -> None:
    after = applied(TWO_CLASSES, "@@ class B:", "-        return 1", "+        return 2")
    assert after == TWO_CLASSES.removesuffix("1\n") + "2\n"


def test_headings_nest() -> None:
    text = TWO_CLASSES.replace("run", "walk", 1)
    after = applied(
        text, "@@ class A:", "@@ def walk(self):", "-        return 1", "+        return 2"
    )
    assert after == text.replace("return 1", "return 2", 1)


def test_the_heading_may_be_the_first_line_of_its_hunk() -> None:
    assert applied(NUMBERS, "@@ 3", " 3", "+3.5") == NUMBERS.replace("3\n", "3\n3.5\n")


def test_a_hunk_that_only_adds_goes_below_its_heading_or_to_the_end() -> None:
    assert applied(NUMBERS, "@@ 3", "+3.5") == NUMBERS.replace("3\n", "3\n3.5\n")
    assert applied(NUMBERS, "+8", "*** End of File") == NUMBERS + "8\n"
    assert applied("", "+8", "*** End of File") == "8\n"


def test_the_end_of_the_file_makes_a_place_certain() -> None:
    assert applied("x\ny\nx\n", "-x", "+z", "*** End of File") == "x\ny\nz\n"
    assert "it matches in line 1, but it belongs below line 1" in told(
        "x\ny\n", "-x", "*** End of File"
    )


def test_two_hunks_may_be_the_same_one_below_the_other_only_with_headings() -> None:
    change = ("-        return 1", "+        return 2")
    after = applied(TWO_CLASSES, "@@ class A:", *change, "@@ class B:", *change)
    assert after == TWO_CLASSES.replace("return 1", "return 2")


# -- what stays as it was ----------------------------------------------------------------------


def test_a_missing_newline_at_the_end_stays_missing() -> None:
    assert applied("a\nb", "-b", "+c", "+d") == "a\nc\nd"
    assert applied("a\nb", " a", "-b") == "a"
    assert applied("a\nb", " b", "+c") == "a\nb\nc"
    assert applied("a\nb", "-a") == "b"
    assert applied("a", "-a") == ""


def test_a_new_line_has_the_ending_of_the_line_above_it() -> None:
    assert applied("a\r\nb\r\nc", "-b", "+x", " c", "+y") == "a\r\nx\r\nc\r\ny"
    assert applied("a\r\nb\nc\r\n", " b", "+x", " c", "+y") == "a\r\nb\nx\nc\r\ny\r\n"
    assert applied("a\r\nb\r\n", "+x", " a") == "x\r\na\r\nb\r\n"


def test_a_byte_order_mark_stays() -> None:
    assert applied("\ufeffa\nb\n", "-a", "+c") == "\ufeffc\nb\n"


def test_only_line_feeds_end_lines() -> None:
    text = "a\x0bb\u2028c\rd\n\x0c\ne\n"
    assert applied(text, " a\x0bb\u2028c\rd", "-\x0c", "+f") == "a\x0bb\u2028c\rd\nf\ne\n"


# -- why there is no place ---------------------------------------------------------------------


def test_a_hunk_that_does_not_match_is_told_with_the_nearest_place() -> None:
    said = told(NUMBERS, "@@", " 1", "-2", "+two", "@@", " 4", "-fife", "-6")
    assert said.startswith("2: it does not match; the nearest place is line 4: line 5 is '5', and")
    assert said.endswith("the patch has 'fife'")


def test_white_space_counts_and_is_shown() -> None:
    said = told("    deep = 1\nx\n", "-  deep = 1", " x")
    assert "line 1 is '    deep = 1', and the patch has '  deep = 1'" in said


def test_a_misspelt_line_alone_is_still_found() -> None:
    assert "line 2 is 'the quick fox'" in told("a\nthe quick fox\nb\n", "-teh quick fox")


def test_a_hunk_that_goes_on_below_the_end_is_told_so() -> None:
    assert "nearest place is line 7, and the file ends after line 7" in told(NUMBERS, " 7", "-8")


def test_a_hunk_that_is_like_nothing_is_told_so() -> None:
    assert "nothing in the file is like it" in told(NUMBERS, "-something else entirely")
    assert "nothing in the file is like it" in told("", "-")


def test_a_hunk_with_two_places_is_refused() -> None:
    assert "it matches in lines 3, 7" in told(TWO_CLASSES, "-        return 1")


def test_a_heading_with_two_places_or_none_is_refused() -> None:
    change = ("-        return 1", "+        return 2")
    assert "'def run(self):' stands in lines 2, 6" in told(
        TWO_CLASSES, "@@ def run(self):", *change
    )
    assert "line 1 is 'class A:'" in told(TWO_CLASSES, "@@ clas A:", *change)


@pytest.mark.parametrize(
    "hunks",
    [
        ["@@", " 4", "-5", "@@", " 1", "-2"],  # upside down
        ["@@", " 1", "-2", " 3", "@@", " 3", "-4"],  # overlapping
        ["@@ 6", "-2"],  # above its heading
    ],
)
def test_hunks_go_from_top_to_bottom(hunks: list[str]) -> None:
    assert "hunks go from top to bottom" in told(NUMBERS, *hunks)


def test_a_long_line_is_cut_in_what_is_told() -> None:
    assert len(told(f"{'x' * 50_000}\n", f"-{'x' * 49_999}y")) < 500
