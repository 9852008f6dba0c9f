"""Files below one folder, and nothing outside of it.

The rule: a path is walked from the root, one folder at a time, and no symbolic link is followed
below the root, wherever it points. Only the root itself may be named by a link.

Where the system opens files relative to an open folder (POSIX, Pyodide), each step is taken from
the folder that the step before has opened, so somebody who swaps folders for links meanwhile
gains nothing. Elsewhere (Windows) each part is looked at first, and a swap between the look and
the step is not seen. A file that has a second name outside (a hard link) can be read; it is not
written through, because a changed file is a new one that takes the old one's name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Final, Literal, TypeAlias

import msgspec

from meerkat_mob.errors import InvalidParams, ToolFailed

Kind: TypeAlias = Literal["missing", "file", "folder", "link", "special"]

BY_DESCRIPTOR: Final = hasattr(os, "O_NOFOLLOW") and (
    {os.open, os.stat, os.mkdir, os.rmdir, os.unlink, os.rename} <= os.supports_dir_fd
)
"""Whether this system opens files relative to an open folder."""

_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_READ: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _NO_LINK  # a pipe must not hold us up
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK


class FileFound(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A file as it was read: its bytes and its permission bits."""

    data: bytes
    mode: int


class Folder:
    """One folder on the way: an open descriptor, or where there is none of use, its path."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self._path, self._descriptor = path, descriptor

    def kind(self, name: str) -> Kind:
        """What is there, links not followed."""
        place, folder = self._at(name)
        try:
            found = os.stat(place, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return "missing"
        junction: int = getattr(found, "st_reparse_tag", 0)  # what Windows has besides links
        if stat.S_ISLNK(found.st_mode) or junction:
            return "link"
        if stat.S_ISDIR(found.st_mode):
            return "folder"
        return "file" if stat.S_ISREG(found.st_mode) else "special"

    def enter(self, name: str) -> Folder:
        """The folder of that name, which is there and is no link."""
        if self._descriptor is None:
            return Folder(self._path / name, None)
        inner = os.open(name, _FOLDER | _NO_LINK, dir_fd=self._descriptor)
        return Folder(self._path / name, inner)

    def read(self, name: str, limit: int) -> FileFound:
        """The file. Raises ``ToolFailed`` when it is longer than ``limit`` bytes."""
        place, folder = self._at(name)
        with os.fdopen(os.open(place, _READ, dir_fd=folder), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ToolFailed("this is not a file")
            data = file.read(limit + 1) if found.st_size <= limit else None
        if data is None or len(data) > limit:
            raise ToolFailed(f"the file is larger than {limit} bytes")
        return FileFound(data=data, mode=stat.S_IMODE(found.st_mode) & 0o777)

    def create(self, name: str, data: bytes, mode: int | None) -> None:
        """A file that was not there; without a mode it gets that of any new file."""
        place, folder = self._at(name)
        with os.fdopen(os.open(place, _CREATE, 0o666, dir_fd=folder), "wb") as file:
            if mode is not None and os.chmod in os.supports_fd:
                os.chmod(file.fileno(), mode)  # noqa: PTH101 - the open file, not its name
            file.write(data)

    def rename(self, name: str, to: str) -> None:
        """Gives a file another name here, at once, also when a file has that name."""
        (old, folder), (new, _) = self._at(name), self._at(to)
        os.replace(old, new, src_dir_fd=folder, dst_dir_fd=folder)

    def remove(self, name: str) -> None:
        """Removes a file."""
        place, folder = self._at(name)
        os.unlink(place, dir_fd=folder)

    def make_folder(self, name: str) -> None:
        """A folder that was not there."""
        place, folder = self._at(name)
        os.mkdir(place, dir_fd=folder)

    def remove_folder(self, name: str) -> None:
        """Removes an empty folder."""
        place, folder = self._at(name)
        os.rmdir(place, dir_fd=folder)

    def close(self) -> None:
        """Lets go of the descriptor."""
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _at(self, name: str) -> tuple[str, int | None]:
        if self._descriptor is None:
            return str(self._path / name), None
        return name, self._descriptor


class Root:
    """A folder, and the only way to what is below it.

    Paths are relative to it, with ``/`` between their parts. What would lead outside, and every
    link, raises ``PermissionError``; what else is not as it should be raises ``ToolFailed``, and
    what the system refuses ``OSError``. A root that is itself a link is followed at each call.
    """

    def __init__(self, path: Path | str, *, by_descriptor: bool = BY_DESCRIPTOR) -> None:
        self._path = Path(path).absolute()  # a later change of the working folder changes nothing
        self._by_descriptor = by_descriptor
        if not self._path.is_dir():
            raise InvalidParams(
                what=f"{str(path)!r} is no folder", path="root", hint="name one that is there"
            )

    def find(self, path: str, *, limit: int) -> FileFound | None:
        """The file, or None when there is none; a folder on the way may be missing too."""
        try:
            with self.folder_of(path) as (folder, name):
                if self._insist_on_file(folder, name) == "missing":
                    return None
                return folder.read(name, limit)
        except FileNotFoundError:
            return None

    def read(self, path: str, *, limit: int) -> FileFound:
        """The file. Raises ``ToolFailed`` when there is none."""
        found = self.find(path, limit=limit)
        if found is None:
            raise ToolFailed("there is no such file")
        return found

    @contextmanager
    def folder_of(
        self, path: str, made: list[tuple[str, ...]] | None = None
    ) -> Generator[tuple[Folder, str]]:
        """The folder that a path's last name is in, and that name.

        With ``made``, folders on the way that are missing are made and noted there.
        """
        parts = self._parts_of(path)
        with self.folder(parts[:-1], made) as folder:
            yield folder, parts[-1]

    @contextmanager
    def folder(
        self, parts: Sequence[str], made: list[tuple[str, ...]] | None = None
    ) -> Generator[Folder]:
        """The folder at the end of these parts; see ``folder_of``."""
        here = Folder(self._path, os.open(self._path, _FOLDER) if self._by_descriptor else None)
        try:
            for place, part in enumerate(parts):
                if _kind_of_step(here, part) == "missing" and made is not None:
                    here.make_folder(part)
                    made.append(tuple(parts[: place + 1]))
                inner = here.enter(part)
                here.close()
                here = inner
            yield here
        finally:
            here.close()

    def remove_folders(self, made: Sequence[tuple[str, ...]]) -> None:
        """Takes back folders that were made, the last one first; one that is in use stays."""
        for parts in reversed(made):
            with suppress(OSError), self.folder(parts[:-1]) as folder:
                folder.remove_folder(parts[-1])

    def _parts_of(self, path: str) -> tuple[str, ...]:
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or set(path) & {"\\", "\0"}:
            raise PermissionError("paths are relative to the root, with '/', and never leave it")
        if not self._by_descriptor and any(_has_meaning(part) for part in pure.parts):
            raise PermissionError("such a name has a meaning of its own on this system")
        if not pure.parts:
            raise ToolFailed("this names no file")
        return pure.parts

    def _insist_on_file(self, folder: Folder, name: str) -> Kind:
        kind = folder.kind(name)
        if kind == "link":
            raise PermissionError("this is a symbolic link, and no link is followed here")
        if kind in {"folder", "special"}:
            raise ToolFailed("this is a folder" if kind == "folder" else "this is not a file")
        return kind


def _kind_of_step(folder: Folder, part: str) -> Kind:
    kind = folder.kind(part)
    if kind == "link":
        raise PermissionError(f"{part!r} is a symbolic link, and no link is followed here")
    if kind in {"file", "special"}:
        raise ToolFailed(f"{part!r} is not a folder")
    return kind


def _has_meaning(part: str) -> bool:
    """Drives, streams, and endings that Windows cuts off, which would make another name of it."""
    return ":" in part or part[-1] in ". "
