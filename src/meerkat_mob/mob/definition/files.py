"""Where the files of a definition come from: a folder, or a mapping in memory.

Paths are relative, with forward slashes. What is confined never leaves its folder: not by ``..``,
not by an absolute path, not by a link. Ask ``barred`` before ``read``.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Protocol

import msgspec


class Files(Protocol):
    """Reads files by their path inside a pack or beside a team file."""

    def barred(self, path: str) -> str | None:
        """Why a path must not be read; None when it may."""
        ...

    def read(self, path: str) -> bytes:
        """The bytes of a file. Raises ``OSError`` when there are none."""
        ...

    def shown(self, path: str) -> str:
        """The place a person would look at."""
        ...

    def inside(self, folder: str) -> Files:
        """The files of a folder, by their paths inside it, and confined to it."""
        ...

    def names(self) -> Iterator[str]:
        """The path of every file, in order; none when there is no such folder.

        Names that begin with a dot are left out, and links to folders are not followed.
        """
        ...


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder of the file system; ``confined`` for packs."""

    root: Path
    confined: bool

    def barred(self, path: str) -> str | None:
        """See ``Files``."""
        if not self.confined:
            return None
        if why := _leaving(path):
            return why
        try:
            leads_to = (self.root / _plain(path)).resolve()
            if leads_to.is_relative_to(self.root.resolve()):
                return None
        except (OSError, RuntimeError, ValueError):  # links in a circle, a null character
            return f"{path!r} leads nowhere"
        return f"{path!r} is a link that leads out of its folder"

    def read(self, path: str) -> bytes:
        """See ``Files``."""
        return (self.root / (_plain(path) if self.confined else path)).read_bytes()

    def shown(self, path: str) -> str:
        """See ``Files``."""
        return str(self.root / path)

    def inside(self, folder: str) -> Folder:
        """See ``Files``."""
        return Folder(root=self.root / (_plain(folder) if self.confined else folder), confined=True)

    def names(self) -> Iterator[str]:
        """See ``Files``."""
        for here, folders, files in os.walk(self.root):
            links = [name for name in folders if Path(here, name).is_symlink()]
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted((*files, *links)):
                if not name.startswith("."):
                    yield Path(here, name).relative_to(self.root).as_posix()


class InMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Files that were read before: an archive, or what a page was given. Always confined.

    ``place`` is put in front of a path that is shown.
    """

    files: Mapping[str, bytes]
    place: str = ""

    def barred(self, path: str) -> str | None:
        """See ``Files``."""
        return _leaving(path)

    def read(self, path: str) -> bytes:
        """See ``Files``."""
        content = self.files.get(str(_plain(path)))
        if content is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return content

    def shown(self, path: str) -> str:
        """See ``Files``."""
        return f"{self.place}{path}"

    def inside(self, folder: str) -> InMemory:
        """See ``Files``."""
        top = _plain(folder)
        below = {p: c for p, c in self.files.items() if PurePosixPath(p).is_relative_to(top)}
        return InMemory(
            files={str(PurePosixPath(p).relative_to(top)): c for p, c in below.items()},
            place=f"{self.place}{top}/",
        )

    def names(self) -> Iterator[str]:
        """See ``Files``."""
        for path in sorted(self.files):
            if not any(part.startswith(".") for part in PurePosixPath(path).parts):
                yield path


def _plain(path: str) -> PurePosixPath:
    return PurePosixPath(path.replace("\\", "/"))


def _leaving(path: str) -> str | None:
    """Why the words of a path lead out of its folder."""
    if "\0" in path:
        return f"{path!r} is no path"
    if _plain(path).is_absolute() or PureWindowsPath(path).anchor:
        return f"{path!r} is absolute: files of a pack are named from its folder"
    if ".." in _plain(path).parts:
        return f"{path!r} leaves the pack: its files are inside its folder"
    return None
