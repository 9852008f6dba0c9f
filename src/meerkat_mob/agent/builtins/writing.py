"""Several files changed at once: all of them, or none.

The rule: nothing that was there is touched before everything new is written beside it. Then each
file changes in one step, by a rename; when a step fails, those before it are taken back. Only the
end of the process between two steps can leave a part of a patch. Nothing is synced to the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec

from meerkat_mob import _target
from meerkat_mob.agent.builtins.root import FileFound, Root
from meerkat_mob.errors import ToolFailed

MAX_FILE: Final = 1_000_000
"""Bytes of the largest file that is changed."""


class Change(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a file was and what it will be; None where it is not there.

    ``mode`` are the permission bits it will have; None means those of any new file.
    """

    path: str
    before: FileFound | None
    after: bytes | None
    mode: int | None = None


class WriteFailed(msgspec.Struct, frozen=True, kw_only=True):
    """Which change failed and why, and the files that could not be put back."""

    path: str
    fault: OSError | ToolFailed
    left: tuple[str, ...] = ()


def write_all(root: Root, changes: Sequence[Change]) -> WriteFailed | None:
    """Makes all changes, or none and says which failed."""
    made: list[tuple[str, ...]] = []
    staged: dict[str, str] = {}
    done: list[Change] = []
    path, complete = "", False
    try:
        for change in changes:
            path = change.path
            if change.after is not None:
                _stage(root, change, staged, made)
        for change in changes:
            path = change.path
            _insist_on_before(root, change)
            _make(root, change, staged)
            done.append(change)
        complete = True
    except (OSError, ToolFailed) as fault:
        return WriteFailed(path=path, fault=fault, left=_take_back(root, done))
    finally:
        if not complete:
            _discard(root, staged)
            root.remove_folders(made)
    return None


def _stage(root: Root, change: Change, staged: dict[str, str], made: list[tuple[str, ...]]) -> None:
    name = f".patch-{_target.entropy(8).hex()}"
    with root.folder_of(change.path, made) as (folder, _):
        staged[change.path] = name
        folder.create(name, change.after or b"", change.mode)


def _insist_on_before(root: Root, change: Change) -> None:
    """Somebody else may have written since we looked."""
    if root.find(change.path, limit=MAX_FILE) != change.before:
        raise ToolFailed("it was changed by somebody else just now: look at it and try again")


def _make(root: Root, change: Change, staged: dict[str, str]) -> None:
    with root.folder_of(change.path) as (folder, name):
        if change.after is None:
            folder.remove(name)
        else:
            folder.rename(staged[change.path], name)
            del staged[change.path]


def _take_back(root: Root, done: Sequence[Change]) -> tuple[str, ...]:
    """Puts back what was there; the paths where that failed."""
    left: list[str] = []
    for change in reversed(done):
        before, staged = change.before, dict[str, str]()
        mode = None if before is None else before.mode
        back = msgspec.structs.replace(change, after=before and before.data, mode=mode)
        try:
            if before is not None:
                _stage(root, back, staged, [])
            _make(root, back, staged)
        except (OSError, ToolFailed):
            left.append(change.path)
            _discard(root, staged)
    return tuple(left)


def _discard(root: Root, staged: dict[str, str]) -> None:
    for path, name in staged.items():
        with suppress(OSError, ToolFailed), root.folder_of(path) as (folder, _):
            folder.remove(name)
