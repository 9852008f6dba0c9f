"""The tool ``apply_patch``: several files below a root changed by one text, all of them or none.

The rule: read everything, check everything, then write. The work is done on the loop, on the host
too: its size is bounded, it is the same on every target and under a virtual clock, and as no other
task runs meanwhile, members that share a root never come between each other's look and write.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta

from meerkat_mob.agent.builtins.hunks import Mismatch, apply_hunks
from meerkat_mob.agent.builtins.patch import (
    AddFile,
    DeleteFile,
    Operation,
    PatchFault,
    UpdateFile,
    parse_patch,
)
from meerkat_mob.agent.builtins.provenance import as_builtin, refusal
from meerkat_mob.agent.builtins.root import FileFound, Root
from meerkat_mob.agent.builtins.writing import MAX_FILE, Change, WriteFailed, write_all
from meerkat_mob.agent.functions import tool
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.tools import Tool, ToolErrorCode, ToolOutcome, tool_error, tool_value
from meerkat_mob.errors import ToolFailed

MAX_PATCH: Final = 200_000
"""Characters of the longest patch."""
MAX_TOTAL: Final = 2_000_000
"""Bytes of all files that one patch updates, moves or deletes."""
MAX_FILES: Final = 50
MAX_HUNKS: Final = 200
_TOLD: Final = 10

PatchText = Annotated[str, Meta(description="The patch.", max_length=MAX_PATCH)]

_DESCRIPTION: Final = """\
Change text files: add, update, move and delete, all of it or nothing.

*** Begin Patch
*** Add File: docs/new.txt
+every line begins with a plus
*** Update File: src/app.py
*** Move to: src/main.py
@@ def greet():
 a line that stays
-a line that goes
+a line that comes
*** Delete File: old.txt
*** End Patch

Paths are relative. An update has hunks from top to bottom; '*** Move to:' is optional. Lines that \
stay or go must be in the file exactly, at one place only: give about three lines of context, or \
after '@@' a line of the file above the hunk. '*** End of File' after a hunk says that it is at \
the end. No path may occur twice."""


def apply_patch_tool(root: Path | str) -> Tool:
    """The tool. Its result is JSON: each file with what was done and how many lines came and went.

    Raises ``InvalidParams`` when ``root`` is no folder.
    """
    files = Root(root)

    @tool(name="apply_patch", description=_DESCRIPTION)
    def apply(patch: PatchText) -> ToolOutcome:
        operations, faults = parse_patch(patch)
        if faults := faults or tuple(_beyond_bounds(operations)):
            told = [f"line {fault.line}: {fault.message}" for fault in faults]
            return _refused([("invalid_arguments", text) for text in told])
        return apply_operations(files, operations)

    return as_builtin(apply)


def apply_operations(root: Root, operations: Sequence[Operation]) -> ToolOutcome:
    """Checks all, then makes all changes or none."""
    changes: list[Change] = []
    problems: list[tuple[ToolErrorCode, str]] = []
    for one in operations:
        match _checked(root, one, MAX_TOTAL - sum(len(c.before.data) for c in changes if c.before)):
            case list() as found:
                changes += found
            case problem:
                problems.append(problem)
    if problems:
        return _refused(problems)
    failed = write_all(root, changes)
    if failed is not None:
        return _failed(failed)
    return tool_value({"files": [_told(one) for one in operations]})


def _checked(
    root: Root, one: Operation, allowance: int
) -> list[Change] | tuple[ToolErrorCode, str]:
    """What an operation changes, or the reason why it cannot be."""
    path = one.path
    try:
        if isinstance(one, AddFile):
            text = "".join(f"{line}\n" for line in one.lines)
            return [_new(root, path, text.encode(), None)]
        before = root.read(path, limit=MAX_FILE)
        if len(before.data) > allowance:
            raise ToolFailed(f"the files of a patch have {MAX_TOTAL} bytes at most: take several")
        text = _text_of(before)
        if isinstance(one, DeleteFile):
            return [Change(path=path, before=before, after=None)]
        after = _updated(text, one)
        if one.move_to is None:
            return [Change(path=path, before=before, after=after, mode=before.mode)]
        path = one.move_to
        moved = _new(root, path, after, before.mode)
        return [moved, Change(path=one.path, before=before, after=None)]
    except (OSError, ToolFailed) as fault:
        return refusal(path, fault)


def _new(root: Root, path: str, data: bytes, mode: int | None) -> Change:
    if root.find(path, limit=MAX_FILE) is not None:
        raise ToolFailed("there is such a file already: update it, or delete it in a patch before")
    return Change(path=path, before=None, after=data, mode=mode)


def _text_of(file: FileFound) -> str:
    if not file.mode & 0o200:
        raise ToolFailed("the file is read-only")
    if b"\0" in file.data:
        raise ToolFailed("this is a binary file, and patches are for text")
    try:
        return file.data.decode()
    except UnicodeDecodeError as fault:
        raise ToolFailed(f"this is no UTF-8 text: see byte {fault.start}") from None


def _updated(text: str, one: UpdateFile) -> bytes:
    after = apply_hunks(text, one.hunks)
    if isinstance(after, Mismatch):
        line = one.hunks[after.hunk - 1].line
        raise ToolFailed(f"hunk {after.hunk} (line {line} of the patch): {after.message}")
    data = after.encode()
    if len(data) > MAX_FILE:
        raise ToolFailed(f"the file would be larger than {MAX_FILE} bytes")
    return data


def _beyond_bounds(operations: Sequence[Operation]) -> Iterator[PatchFault]:
    if len(operations) > MAX_FILES:
        too_many = operations[MAX_FILES]
        yield PatchFault(line=too_many.line, message=f"a patch has {MAX_FILES} files at most")
    hunks = [hunk for one in operations if isinstance(one, UpdateFile) for hunk in one.hunks]
    if len(hunks) > MAX_HUNKS:
        line = hunks[MAX_HUNKS].line
        yield PatchFault(line=line, message=f"a patch has {MAX_HUNKS} hunks at most")


# -- what to say -------------------------------------------------------------------------------


def _told(one: Operation) -> Json:
    match one:
        case AddFile(path=path, lines=lines):
            return {"path": path, "change": "added", "lines_added": len(lines)}
        case DeleteFile(path=path):
            return {"path": path, "change": "deleted"}
        case UpdateFile(path=path, hunks=hunks, move_to=move_to):
            signs = [sign for hunk in hunks for sign, _ in hunk.changes]
            said: dict[str, Json] = {"path": path, "change": "updated"}
            if move_to is not None:
                said |= {"change": "moved", "to": move_to}
            return said | {"lines_added": signs.count("+"), "lines_removed": signs.count("-")}


def _refused(problems: Sequence[tuple[ToolErrorCode, str]]) -> ToolOutcome:
    denied = any(code == "access_denied" for code, _ in problems)
    told = [text for _, text in problems[:_TOLD]]
    if len(problems) > _TOLD:
        told.append(f"and {len(problems) - _TOLD} more")
    told.append("Nothing was changed.")
    return tool_error("access_denied" if denied else problems[0][0], "\n".join(told))


def _failed(failed: WriteFailed) -> ToolOutcome:
    code, told = refusal(failed.path, failed.fault)
    if not failed.left:
        return _refused([(code, told)])
    left = ", ".join(failed.left)
    return tool_error(code, f"{told}\nThese could not be put back, look at them: {left}")
