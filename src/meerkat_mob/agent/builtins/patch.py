"""The text of a patch, read into operations on files. Touches no file.

The rule: strict, and every fault is told with its line. What a path means is not decided here,
except that no operation of a patch may touch what another one touches: they have no order.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final, Literal, TypeAlias, cast

import msgspec

_BEGIN: Final = "*** Begin Patch"
_END: Final = "*** End Patch"
_ADD: Final = "*** Add File: "
_DELETE: Final = "*** Delete File: "
_UPDATE: Final = "*** Update File: "
_MOVE: Final = "*** Move to: "
_END_OF_FILE: Final = "*** End of File"

Sign: TypeAlias = Literal[" ", "+", "-"]


class PatchFault(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is wrong in the patch, and in which line of it, from 1."""

    line: int
    message: str


class Hunk(msgspec.Struct, frozen=True, kw_only=True):
    """One change: lines that stay, go and come, and what is known of the place.

    ``after`` are the texts of its ``@@`` lines: each stands in the file, one below the other,
    above the hunk. ``at_end`` is said by ``*** End of File``.
    """

    line: int
    after: tuple[str, ...] = ()
    changes: tuple[tuple[Sign, str], ...]
    at_end: bool = False

    @property
    def wanted(self) -> list[str]:
        """The lines that must be there."""
        return [text for sign, text in self.changes if sign != "+"]


class AddFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is not there yet, with its lines."""

    line: int
    path: str
    lines: tuple[str, ...]


class DeleteFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that goes."""

    line: int
    path: str


class UpdateFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that changes, moves, or both."""

    line: int
    path: str
    hunks: tuple[Hunk, ...] = ()
    move_to: str | None = None


Operation: TypeAlias = AddFile | DeleteFile | UpdateFile


def parse_patch(text: str) -> tuple[tuple[Operation, ...], tuple[PatchFault, ...]]:
    """The operations and every fault; use the operations only when there is no fault.

    Whether the patch's own lines end in LF or CRLF says nothing.
    """
    reading = _Reading(text)
    operations = tuple(reading.operations())
    if not operations and not reading.faults:
        reading.fault(1, "the patch has no operation")
    return operations, (*reading.faults, *_clashes(operations))


class _Reading:
    """The lines of a patch and how far we are."""

    def __init__(self, text: str) -> None:
        self._lines = [line.removesuffix("\r") for line in text.split("\n")]
        self._place = 0
        self.faults: list[PatchFault] = []

    def fault(self, line: int, message: str) -> None:
        self.faults.append(PatchFault(line=line, message=message))

    def operations(self) -> Iterator[Operation]:
        """All of them. A part that cannot be read is told and passed over."""
        self._pass_blank_lines()
        if not self._take(_BEGIN):
            self.fault(self._place + 1, f"a patch begins with {_BEGIN!r}")
            return
        while not self._take(_END):
            number, line = self._place + 1, self._next()
            if line is None:
                self.fault(number, f"a patch ends with {_END!r}")
                return
            if line.startswith(_ADD):
                yield AddFile(line=number, path=self._path(number, line, _ADD), lines=self._added())
            elif line.startswith(_DELETE):
                yield DeleteFile(line=number, path=self._path(number, line, _DELETE))
            elif line.startswith(_UPDATE):
                yield self._update(number, line)
            else:
                known = ", ".join(repr(word.strip()) for word in (_ADD, _DELETE, _UPDATE, _END))
                self.fault(number, f"{_short(line)} is not expected here; there may be: {known}")
                self._pass_to_operation()
        self._pass_blank_lines()
        if self._peek() is not None:
            self.fault(self._place + 1, f"nothing comes after {_END!r}")

    def _update(self, number: int, line: str) -> UpdateFile:
        path, move_to = self._path(number, line, _UPDATE), None
        if (following := self._peek()) is not None and following.startswith(_MOVE):
            self._next()
            move_to = self._path(self._place, following, _MOVE)
        hunks: list[Hunk] = []
        while (begin := self._peek()) is not None and begin[:1] in {"@", " ", "+", "-", ""}:
            if not begin.strip() and self._only_blank_lines_follow():
                break
            hunks.append(self._hunk())
        if not hunks and move_to is None:
            self.fault(number, "an update has hunks, or moves the file")
        return UpdateFile(line=number, path=path, hunks=tuple(hunks), move_to=move_to)

    def _hunk(self) -> Hunk:
        number, after = self._place + 1, list[str]()
        while (line := self._peek()) is not None and line.startswith("@"):
            self._next()
            after += self._heading(line)
        changes: list[tuple[Sign, str]] = []
        while (line := self._peek()) is not None and line[:1] in {" ", "+", "-", ""}:
            self._next()
            changes.append((cast("Sign", line[:1] or " "), line[1:]))
        at_end = self._take(_END_OF_FILE)
        if all(sign == " " for sign, _ in changes):
            self.fault(number, "this hunk has no line that begins with '+' or '-'")
        elif all(sign == "+" for sign, _ in changes) and not after and not at_end:
            self.fault(number, f"nothing says where: add context, '@@ a line', or {_END_OF_FILE!r}")
        return Hunk(line=number, after=tuple(after), changes=tuple(changes), at_end=at_end)

    def _heading(self, line: str) -> list[str]:
        text = line[2:].strip()
        if not line.startswith("@@") or text.startswith("@"):
            self.fault(self._place, "write '@@', or '@@' and a line of the file above the hunk")
        elif text.endswith("@@"):
            self.fault(self._place, "line numbers mean nothing here: write '@@' or '@@ a line'")
        return [text] if text else []

    def _added(self) -> tuple[str, ...]:
        lines: list[str] = []
        while (line := self._peek()) is not None and line.startswith("+"):
            self._next()
            lines.append(line[1:])
        return tuple(lines)

    def _path(self, number: int, line: str, word: str) -> str:
        path = line.removeprefix(word).strip()
        if not PurePosixPath(path).parts:
            self.fault(number, "a path is missing")
        return str(PurePosixPath(path))

    def _peek(self) -> str | None:
        return self._lines[self._place] if self._place < len(self._lines) else None

    def _next(self) -> str | None:
        line = self._peek()
        self._place += 1
        return line

    def _take(self, word: str) -> bool:
        line = self._peek()
        if line is None or line.rstrip() != word:
            return False
        self._place += 1
        return True

    def _pass_blank_lines(self) -> None:
        while (line := self._peek()) is not None and not line.strip():
            self._place += 1

    def _only_blank_lines_follow(self) -> bool:
        """Before the next operation: such lines are no hunk, so they are told of as strangers."""
        for line in self._lines[self._place :]:
            if line.strip():
                return line.startswith("***")
        return True

    def _pass_to_operation(self) -> None:
        while (line := self._peek()) is not None and not line.startswith("*** "):
            self._place += 1


def _clashes(operations: tuple[Operation, ...]) -> Iterator[PatchFault]:
    """A path that is touched twice, and one that lies below another."""
    first: dict[PurePosixPath, int] = {}
    touched: list[tuple[int, PurePosixPath]] = []
    for one in operations:
        paths = [one.path, one.move_to] if isinstance(one, UpdateFile) else [one.path]
        touched += [(one.line, PurePosixPath(path)) for path in paths if path and path != "."]
    for line, path in touched:
        if path in first:
            yield PatchFault(
                line=line,
                message=f"{path} is touched twice: see the operation in line {first[path]}",
            )
        first.setdefault(path, line)
    for line, path in touched:
        for above in path.parents:
            if above in first:
                yield PatchFault(
                    line=line, message=f"{path} lies below {above}, which line {first[above]} has"
                )


def _short(line: str) -> str:
    return repr(line if len(line) <= 80 else f"{line[:80]}…")
