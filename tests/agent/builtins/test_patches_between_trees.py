"""Any two trees: the patch between them makes one of the other; a broken one changes nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import cast

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.agent.builtins.apply_patch import apply_operations, apply_patch_tool
from meerkat_mob.agent.builtins.patch import parse_patch
from meerkat_mob.agent.builtins.root import Root
from tests.agent.builtins.kit import (
    Tree,
    call_of,
    everything_in,
    files_of,
    patch_between,
    plant,
)

PATHS = ("a", "b", "with space.txt", "dir/c", "dir/d", "dir/sub/e", "ä/ö", "-f", "*** g", "@@")
LINES = st.sampled_from(
    [
        "",
        " ",
        "x",
        "y",
        "+x",
        "-y",
        " z",
        "\t",
        "*** End Patch",
        "@@ x",
        "@@",
        "\x0c",
        "a\rb",
        "\u2028",
    ]
) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0\ufeff"), max_size=5)


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """What a patch keeps of a file."""

    newline: str = "\n"
    at_end: bool = True

    def bytes_of(self, lines: list[str]) -> bytes:
        text = self.newline.join(lines) + (self.newline if lines and self.at_end else "")
        return text.encode()

    def seen_in(self, data: bytes) -> Style:
        """What a patch can know of it: without line ends there is no style."""
        newline = "\r\n" if b"\r\n" in data else "\n"
        return Style(newline=newline, at_end=self.at_end or not data)


STYLES = st.builds(Style, newline=st.sampled_from(["\n", "\r\n"]), at_end=st.booleans())


@st.composite
def edits(draw: st.DrawFn, lines: list[str]) -> list[str]:
    """Those lines with a few of them gone and a few come."""
    edited = list(lines)
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(edited)))
        edited[place : place + draw(st.integers(0, 2))] = draw(st.lists(LINES, max_size=2))
    return edited


@st.composite
def two_trees(draw: st.DrawFn) -> tuple[Tree, Tree]:
    """The second has some of the first's files as they were, changed, under a new name, or not."""
    old: dict[str, bytes] = {}
    new: dict[str, bytes] = {}
    paths = draw(st.permutations(PATHS))
    for path in paths[:6]:
        style, lines = draw(STYLES), draw(st.lists(LINES, max_size=12))
        if not style.at_end and lines and not lines[-1]:
            lines.append("end")  # an empty last line without an end is no line
        match draw(st.sampled_from(["add", "delete", "keep", "move", "edit", "edit", "replace"])):
            case "add":
                new[path] = Style().bytes_of(lines)
                continue
            case "keep":
                new[path] = style.bytes_of(lines)
            case "move" if len(new) < 3:
                new[f"{path}-moved"] = style.bytes_of(lines)
            case "edit" | "replace" as how:
                after = draw(edits(lines) if how == "edit" else st.lists(LINES, max_size=12))
                style = style.seen_in(style.bytes_of(lines))
                if not style.at_end and after and not after[-1]:
                    after.append("end")
                new[path] = style.bytes_of(after)
            case _:
                pass
        old[path] = style.bytes_of(lines)
    return old, new


@given(trees=two_trees())
async def test_the_patch_between_two_trees_makes_the_second_of_the_first(
    trees: tuple[Tree, Tree],
) -> None:
    old, new = trees
    if old == new:
        return
    with tempfile.TemporaryDirectory() as folder:
        root = plant(Path(folder), old)
        outcome = await call_of(apply_patch_tool(root), patch=patch_between(old, new))
        assert not outcome.is_error, outcome.content
        assert files_of(root) == new


@given(trees=two_trees(), data=st.data())
async def test_a_patch_changes_everything_it_says_or_nothing(
    trees: tuple[Tree, Tree], data: st.DataObject
) -> None:
    """One with a line lost, doubled or put elsewhere: if it fails, every byte is as it was."""
    old, new = trees
    lines = patch_between(old, new).split("\n")
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(lines) - 1))
        line = lines.pop(place)
        for _ in range(data.draw(st.integers(0, 2))):
            lines.insert(data.draw(st.integers(0, len(lines))), line)
        if not lines:
            return
    with tempfile.TemporaryDirectory() as folder:
        root = plant(Path(folder), old)
        before = everything_in(root)
        outcome = await call_of(apply_patch_tool(root), patch="\n".join(lines))
        if outcome.is_error:
            assert everything_in(root) == before
        assert not list(root.rglob(".patch-*"))


class RootThatFails(Root):
    """A root whose disk fails once, at the nth look into a folder."""

    def __init__(self, path: Path, *, at: int) -> None:
        super().__init__(path)
        self.calls, self._at = 0, at

    def _parts_of(self, path: str) -> tuple[str, ...]:
        self.calls += 1
        if self.calls == self._at:
            raise OSError(5, "the disk failed")
        return super()._parts_of(path)


@given(trees=two_trees(), data=st.data())
def test_a_disk_that_fails_at_any_moment_leaves_all_or_nothing(
    trees: tuple[Tree, Tree], data: st.DataObject
) -> None:
    old, new = trees
    operations, faults = parse_patch(patch_between(old, new))
    if not operations or faults:
        return
    with tempfile.TemporaryDirectory() as folder:
        counted = RootThatFails(plant(Path(folder), old), at=0)
        assert not apply_operations(counted, operations).is_error
    with tempfile.TemporaryDirectory() as folder:
        root = plant(Path(folder), old)
        before = everything_in(root)
        moment = data.draw(st.integers(1, counted.calls))
        outcome = apply_operations(RootThatFails(root, at=moment), operations)
        body = msgspec.json.decode(cast("str", outcome.content), type=dict[str, str])
        assert (body["error"], "the disk failed" in body["message"]) == ("execution_failed", True)
        assert everything_in(root) == before
