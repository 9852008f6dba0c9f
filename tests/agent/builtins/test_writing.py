"""Several files at once: what somebody else does meanwhile, and what is left when it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from meerkat_mob.agent.builtins.root import FileFound, Root
from meerkat_mob.agent.builtins.writing import Change, WriteFailed, write_all
from meerkat_mob.errors import ToolFailed
from tests.agent.builtins.kit import everything_in, files_of, plant

SEEN = FileFound(data=b"as it was seen\n", mode=0o644)
FRESH = Change(path="new/deep/a", before=None, after=b"a\n")


def a_root(base: Path) -> Path:
    plant(base, {"b": b"as it is now\n", "c": SEEN.data})
    for name in "bc":
        (base / name).chmod(0o644)
    return base


@pytest.mark.parametrize(
    "late",
    [
        Change(path="b", before=SEEN, after=b"x\n"),
        Change(path="b", before=SEEN, after=None),
        Change(path="b", before=None, after=b"x\n"),
        Change(path="gone", before=SEEN, after=b"x\n"),
        Change(path="c", before=FileFound(data=SEEN.data, mode=0o600), after=b"x\n"),
    ],
)
def test_what_somebody_else_changed_meanwhile_is_not_written_over(
    tmp_path: Path, late: Change
) -> None:
    """And what came before it is taken back, with the folders that were made for it."""
    root = a_root(tmp_path)
    before = everything_in(root)
    replaced = Change(path="c", before=SEEN, after=b"y\n", mode=0o644)
    earlier = [FRESH] if late.path == "c" else [FRESH, replaced]
    failed = write_all(Root(root), [*earlier, late])
    assert failed is not None
    assert (failed.path, type(failed.fault), failed.left) == (late.path, ToolFailed, ())
    assert everything_in(root) == before


def test_a_folder_that_is_in_the_way_of_a_new_file_is_left_alone(tmp_path: Path) -> None:
    root = a_root(tmp_path)
    (root / "d").mkdir()
    before = everything_in(root)
    failed = write_all(Root(root), [FRESH, Change(path="d", before=None, after=b"x\n")])
    assert isinstance(failed, WriteFailed)
    assert everything_in(root) == before


class RootThatStaysBroken(Root):
    """A root whose disk fails for good once a number of looks is used up."""

    def __init__(self, path: Path, *, looks: int) -> None:
        super().__init__(path)
        self._looks = looks

    def _parts_of(self, path: str) -> tuple[str, ...]:
        self._looks -= 1
        if self._looks < 0:
            raise OSError(5, "the disk failed")
        return super()._parts_of(path)


def test_files_that_cannot_be_put_back_are_named(tmp_path: Path) -> None:
    root = a_root(tmp_path)
    changes = [
        Change(path="c", before=SEEN, after=b"y\n", mode=0o644),
        Change(path="d", before=None, after=b"d\n"),
    ]
    # two looks to write beside, two to change the first file; then nothing works any more
    failed = write_all(RootThatStaysBroken(root, looks=4), changes)
    assert failed is not None
    assert (failed.path, failed.left) == ("d", ("c",))
    assert files_of(root)["c"] == b"y\n"


def test_all_changes_are_made(tmp_path: Path) -> None:
    root = a_root(tmp_path)
    gone = Change(path="c", before=SEEN, after=None)
    assert write_all(Root(root), [FRESH, gone]) is None
    assert files_of(root) == {"b": b"as it is now\n", "new/deep/a": b"a\n"}
