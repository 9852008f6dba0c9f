"""Nothing outside a root is read or written, whatever a path says and wherever a link points."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob._target import IN_BROWSER
from meerkat_mob.agent.builtins.apply_patch import apply_operations, apply_patch_tool
from meerkat_mob.agent.builtins.patch import parse_patch
from meerkat_mob.agent.builtins.root import BY_DESCRIPTOR, Root
from meerkat_mob.agent.builtins.view_image import view_image_tool
from meerkat_mob.errors import ToolFailed
from tests.agent.builtins.kit import (
    PIXEL,
    a_patch,
    call_of,
    everything_in,
    files_of,
    plant,
    refusal_of,
)

SECRET = PIXEL + b"secret"
OUTSIDE = "<outside>"
LINKS = ["up", "over", "file", "image", "dangling", "loop", "inner"]
NAMES = ["a", "sub", "new", "text", "shot.png", "secret", "secret.png", "~", "C:"]
PARTS = st.sampled_from([*LINKS, *NAMES, "..", ".", "", "..\\..", "\0", ".. ", OUTSIDE]) | st.text(
    max_size=3
)
STARTS = st.sampled_from(["", "", "", "/", "./", "../", "//", OUTSIDE + "/"])


@st.composite
def some_paths(draw: st.DrawFn) -> str:
    return draw(STARTS) + "/".join(draw(st.lists(PARTS, max_size=5)))


PATHS = some_paths()
BOTH_WAYS = pytest.mark.parametrize("by_descriptor", sorted({BY_DESCRIPTOR, False}))


def a_place(base: Path) -> tuple[Path, Path]:
    """A root full of links, and what is beside it."""
    outside = plant(
        base / "outside", {"secret": b"secret\n", "secret.png": SECRET, "sub/a": b"s\n"}
    )
    root = plant(base / "root", {"text": b"one\n", "shot.png": PIXEL, "sub/a": b"two\n"})
    (root / "up").symlink_to("..")
    (root / "over").symlink_to(outside)
    (root / "sub" / "over").symlink_to("../../outside")
    (root / "file").symlink_to(outside / "secret")
    (root / "image").symlink_to(outside / "secret.png")
    (root / "dangling").symlink_to(outside / "new")
    (root / "loop").symlink_to("loop")
    (root / "inner").symlink_to("sub")
    return root, outside


def links_of(root: Path) -> dict[str, object]:
    return {name: seen for name, seen in everything_in(root).items() if isinstance(seen, str)}


@BOTH_WAYS
@given(data=st.data())
def test_no_path_makes_a_write_outside(by_descriptor: bool, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, outside = a_place(Path(folder))
        before, links = everything_in(outside), links_of(root)
        one, two = (data.draw(PATHS).replace(OUTSIDE, str(outside)) for _ in range(2))
        patches = (
            ["*** Add File: " + one, "+new"],
            ["*** Delete File: " + one],
            ["*** Update File: " + one, "-secret", "+new"],
            ["*** Update File: " + one, "*** Move to: " + two],
            ["*** Update File: text", "*** Move to: " + one],
        )
        operations, faults = parse_patch(a_patch(*data.draw(st.sampled_from(patches))))
        if not faults:
            apply_operations(Root(root, by_descriptor=by_descriptor), operations)
        assert everything_in(outside) == before
        assert links_of(root) == links
        assert sorted(path.name for path in Path(folder).iterdir()) == ["outside", "root"]


@BOTH_WAYS
@given(data=st.data())
def test_no_path_makes_a_read_outside(by_descriptor: bool, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, outside = a_place(Path(folder))
        path = data.draw(PATHS).replace(OUTSIDE, str(outside))
        try:
            found = Root(root, by_descriptor=by_descriptor).read(path, limit=1000)
        except (OSError, ToolFailed):
            return
        assert found.data in files_of(root).values()


@given(path=PATHS)
async def test_no_path_is_a_fault_of_a_tool(path: str) -> None:
    """Whatever a path says, the model gets a result or one of these refusals."""
    with tempfile.TemporaryDirectory() as folder:
        root, outside = a_place(Path(folder))
        path = path.replace(OUTSIDE, str(outside))
        for outcome in (
            await call_of(view_image_tool(root), path=path),
            await call_of(apply_patch_tool(root), patch=a_patch(f"*** Add File: {path}", "+x")),
        ):
            codes = {"access_denied", "tool_error", "invalid_arguments"}
            assert not outcome.is_error or refusal_of(outcome)[0] in codes


@BOTH_WAYS
@pytest.mark.parametrize(
    "path",
    ["up/outside/secret", "over/secret", "sub/over/secret", "file", "dangling", "loop", "inner/a"],
)
def test_every_link_is_refused_by_name(tmp_path: Path, by_descriptor: bool, path: str) -> None:
    """One that points inside too: that it does today says nothing of tomorrow."""
    root, _ = a_place(tmp_path)
    files = Root(root, by_descriptor=by_descriptor)
    with pytest.raises(PermissionError, match="symbolic link"):
        files.read(path, limit=1000)
    refused = pytest.raises((PermissionError, FileExistsError))
    with refused, files.folder_of(path, []) as (folder, name):
        folder.create(name, b"", None)
        files.find(path, limit=1000)


def test_a_link_that_came_after_the_look_is_not_followed_either(tmp_path: Path) -> None:
    """The system is told so: the step itself fails, whatever was there a moment before."""
    root, _ = a_place(tmp_path)
    with Root(root).folder(()) as folder:
        for step in (lambda: folder.enter("over"), lambda: folder.read("file", 1000)):
            with pytest.raises(OSError, match=r"Not a directory|ymbolic link"):
                step()


@BOTH_WAYS
def test_a_root_that_is_a_link_is_followed_wherever_it_points_now(
    tmp_path: Path, by_descriptor: bool
) -> None:
    plant(tmp_path, {"one/a": b"1\n", "two/a": b"2\n"})
    link = tmp_path / "root"
    link.symlink_to("one")
    files = Root(link, by_descriptor=by_descriptor)
    assert files.read("a", limit=10).data == b"1\n"
    link.unlink()
    link.symlink_to("two")
    assert files.read("a", limit=10).data == b"2\n"


def test_where_windows_rules_hold_names_with_a_meaning_are_refused(tmp_path: Path) -> None:
    plant(tmp_path, {"a": b"1"})
    for path in ("C:a", "a:stream", "a.", "a ", ".. /x", "sub/nul."):
        with pytest.raises(PermissionError):
            Root(tmp_path, by_descriptor=False).find(path, limit=10)


def test_folders_are_opened_one_from_the_other_wherever_the_suite_runs() -> None:
    assert BY_DESCRIPTOR


def test_a_folder_that_is_swapped_for_a_link_meanwhile_leads_nowhere(tmp_path: Path) -> None:
    """A page has nobody who could: it runs one thing at a time, and we never wait in between."""
    root, outside = a_place(tmp_path)
    before = everything_in(outside)
    with Root(root).folder(("sub",)) as folder:
        (root / "sub").rename(root / "elsewhere")
        (root / "sub").symlink_to(outside / "sub")
        folder.create("planted", b"", None)
        assert IN_BROWSER or folder.read("a", 10).data == b"two\n"
    assert IN_BROWSER or everything_in(outside) == before
