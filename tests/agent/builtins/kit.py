"""Trees of files, patches made from two of them, and calls of a tool with their results read."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, cast

import msgspec

from meerkat_mob.agent import ToolSet
from meerkat_mob.core.arguments import encode_arguments
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.tools import Tool, ToolCall, ToolOutcome

Tree: TypeAlias = Mapping[str, bytes]

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc000000301010018dd8db00000000049454e44ae426082"
)
"""A whole PNG image."""


# -- calls -------------------------------------------------------------------------------------


async def call_of(made: Tool, **args: Json) -> ToolOutcome:
    name = made.definition.name
    asked = ToolCall(id="call-1", name=name, args=encode_arguments(args))
    return await ToolSet([made]).dispatch(asked)


def value_of(outcome: ToolOutcome) -> dict[str, Json]:
    assert not outcome.is_error, outcome.content
    return msgspec.json.decode(str(outcome.content), type=dict[str, Json])


def refusal_of(outcome: ToolOutcome) -> tuple[str, str]:
    """Its code and its message."""
    assert outcome.is_error, outcome.content
    body = msgspec.json.decode(str(outcome.content), type=dict[str, str])
    return body["error"], body["message"]


# -- trees -------------------------------------------------------------------------------------


def plant(root: Path, tree: Tree) -> Path:
    for path, data in tree.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def files_of(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def everything_in(root: Path) -> dict[str, object]:
    """Each name below: bytes and mode of a file, target of a link, nothing of a folder."""

    def seen(path: Path) -> object:
        if path.is_symlink():
            return str(path.readlink())
        return (path.read_bytes(), path.stat().st_mode) if path.is_file() else None

    return {path.relative_to(root).as_posix(): seen(path) for path in _below(root)}


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _below(path)


# -- patches -----------------------------------------------------------------------------------


def a_patch(*lines: str) -> str:
    return "\n".join(("*** Begin Patch", *lines, "*** End Patch"))


def patch_between(old: Tree, new: Tree) -> str:
    """A patch that makes one tree of another; a file under a new name with the same bytes moves."""
    operations: list[str] = []
    gone: dict[bytes, list[str]] = {}
    for path, data in old.items():
        if path not in new:
            gone.setdefault(data, []).append(path)
    moved = {
        path: gone[data].pop() for path, data in new.items() if path not in old and gone.get(data)
    }
    for path, data in new.items():
        if path in moved:
            operations += [f"*** Update File: {moved[path]}", f"*** Move to: {path}"]
        elif path not in old:
            operations += [f"*** Add File: {path}", *(f"+{line}" for line in lines_of(data))]
        elif old[path] != data:
            hunks = hunks_between(lines_of(old[path]), lines_of(data))
            operations += [f"*** Update File: {path}", *hunks]
    for path in old:
        if path not in new and path not in moved.values():
            operations.append(f"*** Delete File: {path}")
    return a_patch(*operations)


def lines_of(data: bytes) -> list[str]:
    parts = data.decode().split("\n")
    last = parts.pop()
    return [line.removesuffix("\r") for line in parts] + ([last] if last else [])


def hunks_between(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """With three lines of context, or with the whole file where that would not be unique."""
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    told: list[str] = []
    cursor = 0
    for group in matcher.get_grouped_opcodes(3):
        begin, end = group[0][1], group[-1][2]
        if _times(old[begin:end], old[cursor:]) != 1:
            return _hunk(old, new, matcher.get_opcodes())
        told += _hunk(old, new, group)
        cursor = end
    return told


def _times(part: Sequence[str], whole: Sequence[str]) -> int:
    if not part:
        return 0
    places = range(len(whole) - len(part) + 1)
    return sum(list(whole[place : place + len(part)]) == list(part) for place in places)


def _hunk(
    old: Sequence[str], new: Sequence[str], steps: Sequence[tuple[str, int, int, int, int]]
) -> list[str]:
    told = ["@@"]
    for step, i, j, k, m in steps:
        if step == "equal":
            told += [f" {line}" for line in old[i:j]]
        else:
            told += [f"-{line}" for line in old[i:j]] + [f"+{line}" for line in new[k:m]]
    return told if old else [*told, "*** End of File"]


def changes_of(outcome: ToolOutcome) -> list[dict[str, Json]]:
    return cast("list[dict[str, Json]]", value_of(outcome)["files"])
