"""The tool that patches files: what it changes, what it says, what it refuses."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from meerkat_mob._target import IN_BROWSER
from meerkat_mob.agent.builtins.apply_patch import (
    MAX_FILES,
    MAX_HUNKS,
    MAX_PATCH,
    MAX_TOTAL,
    apply_patch_tool,
)
from meerkat_mob.agent.builtins.writing import MAX_FILE
from meerkat_mob.core.tools import ToolOutcome
from meerkat_mob.llm import call
from tests.agent.builtins.kit import (
    a_patch,
    call_of,
    changes_of,
    everything_in,
    files_of,
    plant,
    refusal_of,
)
from tests.agent.kit import a_bench

TREE = {
    "fine.txt": b"-\n",
    "a.txt": b"one\ntwo\nthree\n",
    "src/b.txt": b"x\r\ny",
    "gone.txt": b"bye\n",
}
STORY = a_patch(
    "*** Update File: a.txt",
    "@@",
    " one",
    "-two",
    "+2",
    "*** Update File: src/b.txt",
    "*** Move to: lib/deep/b.txt",
    " x",
    "-y",
    "+z",
    "*** Add File: new/c.txt",
    "+hello",
    "*** Delete File: gone.txt",
)


async def patched(root: Path, patch: str) -> ToolOutcome:
    return await call_of(apply_patch_tool(root), patch=patch)


async def refused(root: Path, patch: str) -> tuple[str, str]:
    """The refusal of a patch that has changed nothing."""
    before = everything_in(root)
    told = refusal_of(await patched(root, patch))
    assert everything_in(root) == before
    assert told[1].endswith("Nothing was changed.")
    return told


async def test_one_patch_adds_updates_moves_and_deletes(tmp_path: Path) -> None:
    outcome = await patched(plant(tmp_path, TREE), STORY)
    assert changes_of(outcome) == [
        {"path": "a.txt", "change": "updated", "lines_added": 1, "lines_removed": 1},
        {
            "path": "src/b.txt",
            "change": "moved",
            "to": "lib/deep/b.txt",
            "lines_added": 1,
            "lines_removed": 1,
        },
        {"path": "new/c.txt", "change": "added", "lines_added": 1},
        {"path": "gone.txt", "change": "deleted"},
    ]
    assert files_of(tmp_path) == {
        "fine.txt": b"-\n",
        "a.txt": b"one\n2\nthree\n",
        "lib/deep/b.txt": b"x\r\nz",
        "new/c.txt": b"hello\n",
    }


async def test_a_model_calls_it_and_reads_what_was_done(tmp_path: Path) -> None:
    bench = a_bench(
        [call("apply_patch", patch=STORY), "Done."], apply_patch_tool(plant(tmp_path, TREE))
    )
    await bench.agent.run("Tidy up.")
    assert [result.is_error for result in bench.results] == [False]


async def test_a_file_keeps_its_permissions_and_a_new_one_has_the_usual(tmp_path: Path) -> None:
    plant(tmp_path, {"run.sh": b"echo 1\n", "usual": b""})
    (tmp_path / "run.sh").chmod(0o750)
    await patched(
        tmp_path,
        a_patch(
            "*** Update File: run.sh", "*** Move to: go.sh", "-echo 1", "+echo 2", "*** Add File: b"
        ),
    )
    modes = {
        name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("go.sh", "b", "usual")
    }
    assert modes["go.sh"] == 0o750
    assert modes["b"] == modes["usual"]


async def test_another_name_of_a_file_keeps_the_old_text(tmp_path: Path) -> None:
    """A changed file is a new one: nothing is written through a hard link that leads outside."""
    root = plant(tmp_path / "root", {"a": b"old\n"})
    (root / "a").rename(tmp_path / "outside")
    if IN_BROWSER:  # whose file system has no hard links
        plant(root, {"a": b"old\n"})
    else:
        (root / "a").hardlink_to(tmp_path / "outside")
    await patched(root, a_patch("*** Update File: a", "-old", "+new"))
    assert ((tmp_path / "outside").read_bytes(), (root / "a").read_bytes()) == (b"old\n", b"new\n")


@pytest.mark.parametrize(
    ("lines", "code", "words"),
    [
        (["*** Add File: a.txt", "+x"], "tool_error", "a.txt: there is such a file already"),
        (["*** Add File: src", "+x"], "tool_error", "src: this is a folder"),
        (["*** Add File: a.txt/x", "+x"], "tool_error", "a.txt/x: 'a.txt' is not a folder"),
        (["*** Delete File: b.txt"], "tool_error", "b.txt: there is no such file"),
        (["*** Delete File: src"], "tool_error", "src: this is a folder"),
        (["*** Update File: src/c", "-x"], "tool_error", "src/c: there is no such file"),
        (["*** Update File: n/o", "-x"], "tool_error", "n/o: there is no such file"),
        (["*** Update File: a.txt", "-tow"], "tool_error", "a.txt: hunk 1 (line 3 of the patch): "),
        (
            ["*** Update File: a.txt", "*** Move to: gone.txt"],
            "tool_error",
            "gone.txt: there is such a file already",
        ),
        (["*** Add File: /a", "+x"], "access_denied", "/a: paths are relative to the root"),
        (["*** Add File: ../a", "+x"], "access_denied", "../a: paths are relative to the root"),
        (["*** Add File: src/../a", "+x"], "access_denied", "paths are relative to the root"),
        (["*** Add File: src\\a", "+x"], "access_denied", "paths are relative to the root"),
        (["*** Update File: a.txt", "*** Move to: ../a"], "access_denied", "../a: paths are"),
        (["*** Add File: x", "what"], "invalid_arguments", "line 8: 'what' is not expected"),
    ],
)
async def test_what_cannot_be_is_told_and_nothing_of_the_patch_is_done(
    tmp_path: Path, lines: list[str], code: str, words: str
) -> None:
    fine = ["*** Add File: fine/one.txt", "+x", "*** Update File: fine.txt", "--", "++"]
    told = await refused(plant(tmp_path, TREE), a_patch(*lines))
    if code != "invalid_arguments":
        assert (told[0], words in told[1]) == (code, True), told
    told = await refused(tmp_path, a_patch(*fine, *lines))
    assert (told[0], words.partition("line")[0] in told[1]) == (code, True), told


async def test_all_problems_are_told_at_once_up_to_ten(tmp_path: Path) -> None:
    plant(tmp_path, TREE)
    missing = [f"*** Delete File: missing-{n}" for n in range(12)]
    code, message = await refused(tmp_path, a_patch("*** Delete File: gone.txt", *missing))
    assert code == "tool_error"
    assert message.count("there is no such file") == 10
    assert "\nand 2 more\n" in message
    code, message = await refused(tmp_path, a_patch(*missing[:1], "*** Delete File: ../x"))
    assert (code, message.count("\n")) == ("access_denied", 2)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"one\n\0\n", "binary"),
        (b"one\n\xff\xfe\n", "no UTF-8 text: see byte 4"),
        (b"one\n".ljust(MAX_FILE + 1), f"larger than {MAX_FILE} bytes"),
    ],
)
async def test_only_text_of_a_fair_size_is_patched(tmp_path: Path, data: bytes, words: str) -> None:
    plant(tmp_path, {"a": data})
    for lines in (["*** Update File: a", " one", "+x"], ["*** Delete File: a"]):
        code, message = await refused(tmp_path, a_patch(*lines))
        assert (code, words in message) == ("tool_error", True)


async def test_a_read_only_file_stays_as_it_is(tmp_path: Path) -> None:
    plant(tmp_path, {"a": b"one\n"})
    (tmp_path / "a").chmod(0o444)
    code, message = await refused(tmp_path, a_patch("*** Update File: a", "-one"))
    assert (code, "read-only" in message) == ("tool_error", True)


async def test_a_patch_has_bounds(tmp_path: Path) -> None:
    line = b"%07d\n"
    half = b"".join(line % n for n in range(MAX_TOTAL // 16))
    plant(tmp_path, {"a": half, "b": half, "c": b"0000001\n"})
    files = [f"*** Add File: f{n}" for n in range(MAX_FILES + 1)]
    hunks = [text for n in range(MAX_HUNKS + 1) for text in ("@@", f"-{n:07}")]
    grown = ["*** Update File: a", " 0000001", *["+" + "x" * 999] * 150]
    for lines, code, words in (
        (files, "invalid_arguments", f"{MAX_FILES} files at most"),
        (["*** Update File: a", *hunks], "invalid_arguments", f"{MAX_HUNKS} hunks at most"),
        (grown, "tool_error", f"larger than {MAX_FILE} bytes"),
        ([f"*** Delete File: {n}" for n in "abc"], "tool_error", f"{MAX_TOTAL} bytes at most"),
    ):
        told = await refused(tmp_path, a_patch(*lines))
        assert (told[0], words in told[1]) == (code, True), told
    assert not (await patched(tmp_path, a_patch(*files[:-1]))).is_error
    most = a_patch("*** Update File: a", *hunks[:-2])
    assert not (await patched(tmp_path, most)).is_error


async def test_a_patch_that_is_too_long_is_refused_unread(tmp_path: Path) -> None:
    outcome = await patched(tmp_path, a_patch("*** Add File: a", "+" + "x" * MAX_PATCH))
    code, message = refusal_of(outcome)
    assert (code, str(MAX_PATCH) in message) == ("invalid_arguments", True)
    assert everything_in(tmp_path) == {}
