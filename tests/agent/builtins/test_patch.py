"""The text of a patch: what it says, and every fault of it with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.agent.builtins.patch import AddFile, DeleteFile, Hunk, UpdateFile, parse_patch
from tests.agent.builtins.kit import a_patch

WHOLE = """\
*** Begin Patch
*** Add File: docs/new.txt
+one
+
++two
*** Update File: ./src//app.py
*** Move to: src/main.py
@@ class App:
@@     def run(self):
 stays

-goes
+comes
@@
+last
*** End of File
*** Delete File: old name.txt
*** End Patch
"""
READ = (
    AddFile(line=2, path="docs/new.txt", lines=("one", "", "+two")),
    UpdateFile(
        line=6,
        path="src/app.py",
        move_to="src/main.py",
        hunks=(
            Hunk(
                line=8,
                after=("class App:", "def run(self):"),
                changes=((" ", "stays"), (" ", ""), ("-", "goes"), ("+", "comes")),
            ),
            Hunk(line=14, changes=(("+", "last"),), at_end=True),
        ),
    ),
    DeleteFile(line=17, path="old name.txt"),
)


def faults_of(*lines: str) -> list[tuple[int, str]]:
    return [(fault.line, fault.message) for fault in parse_patch(a_patch(*lines))[1]]


def test_a_patch_is_read_into_its_operations() -> None:
    assert parse_patch(WHOLE) == (READ, ())


def test_line_endings_and_blank_lines_around_it_say_nothing() -> None:
    assert parse_patch(WHOLE.replace("\n", "\r\n")) == (READ, ())
    assert parse_patch(WHOLE.removesuffix("\n") + " \n\n") == (READ, ())
    operations, faults = parse_patch("\n\n" + WHOLE)
    assert (len(operations), faults) == (3, ())


def test_a_hunk_may_stand_first_without_a_heading() -> None:
    operations, faults = parse_patch(a_patch("*** Update File: a", "-b", "+c"))
    hunk = Hunk(line=3, changes=(("-", "b"), ("+", "c")))
    assert (operations, faults) == ((UpdateFile(line=2, path="a", hunks=(hunk,)),), ())


def test_an_empty_file_can_be_added_and_a_file_moved_as_it_is() -> None:
    operations, faults = parse_patch(
        a_patch("*** Add File: a", "*** Update File: b", "*** Move to: c")
    )
    assert faults == ()
    assert operations == (
        AddFile(line=2, path="a", lines=()),
        UpdateFile(line=3, path="b", move_to="c"),
    )


@pytest.mark.parametrize("text", ["", "\n\n", "*** End Patch", "--- a\n+++ b\n", "*** begin patch"])
def test_a_text_that_does_not_begin_as_a_patch_is_one_fault(text: str) -> None:
    operations, (fault,) = parse_patch(text)
    assert operations == ()
    assert "*** Begin Patch" in fault.message


def test_the_end_must_be_there_with_nothing_after_it() -> None:
    _, (fault,) = parse_patch("*** Begin Patch\n*** Delete File: a")
    assert (fault.line, "*** End Patch" in fault.message) == (3, True)
    _, (fault,) = parse_patch("*** Begin Patch\n*** Delete File: a\n*** End Patch\nso there")
    assert (fault.line, "nothing comes after" in fault.message) == (4, True)


@pytest.mark.parametrize(
    ("lines", "line", "words"),
    [
        ([], 1, "no operation"),
        (["*** Add File: "], 2, "path is missing"),
        (["*** Update File: .", "-b"], 2, "path is missing"),
        (["*** Delete File: a", "-b"], 3, "'-b' is not expected"),
        (["*** Add File: a", "b"], 3, "'b' is not expected"),
        (["*** Rename File: a"], 2, "'*** Update File:'"),
        (["*** Update File: a"], 2, "has hunks, or moves"),
        (["*** Update File: a", ""], 2, "has hunks, or moves"),
        (["*** Update File: a", "@@", " b"], 3, "no line that begins with '+' or '-'"),
        (["*** Update File: a", "@@ b"], 3, "no line that begins with '+' or '-'"),
        (["*** Update File: a", "@@", "+b"], 3, "nothing says where"),
        (["*** Update File: a", "@@ -1,2 +1,2 @@", "-b"], 3, "line numbers mean nothing"),
        (["*** Update File: a", "@ b", "-b"], 3, "write '@@'"),
        (["*** Update File: a", "-b", "c"], 4, "'c' is not expected"),
        (["*** Update File: a", "-b", "*** Move to: c"], 4, "is not expected"),
        (["*** Delete File: a", "*** Delete File: ./a"], 3, "twice: see the operation in line 2"),
        (["*** Update File: a", "*** Move to: a"], 2, "touched twice"),
        (["*** Delete File: a", "*** Add File: a/b"], 3, "a/b lies below a, which line 2 has"),
    ],
)
def test_each_fault_is_told_with_its_line(lines: list[str], line: int, words: str) -> None:
    told = faults_of(*lines)
    assert [at for at, message in told if words in message] == [line], told


def test_all_faults_are_told_at_once() -> None:
    told = faults_of("what?", "*** Update File: a", "@@", " b", "*** Nothing", "*** Delete File: ")
    assert [line for line, _ in told] == [2, 4, 6, 7]


@given(text=st.text() | st.lists(st.sampled_from(WHOLE.splitlines())).map("\n".join))
def test_no_text_breaks_the_reading_and_faults_are_in_the_text(text: str) -> None:
    operations, faults = parse_patch(text)
    assert operations or faults
    assert all(1 <= fault.line <= text.count("\n") + 2 for fault in faults)
