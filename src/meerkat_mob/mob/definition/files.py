"""Where the files of a definition come from: a folder, or a mapping in memory.

Paths are relative, with forward slashes. What is confined never leaves its folder: not by ``..``,
not by an absolute path, not by a link.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Protocol

import msgspec


class UnsafePath(Exception):
    """A path that leaves its folder. Never leaves this package: it becomes a finding."""


class Files(Protocol):
    """Reads files by their path inside a pack or beside a team file."""

    def read(self, path: str) -> bytes:
        """The bytes of a file. Raises ``OSError`` if there are none, ``UnsafePath`` if barred."""
        ...

    def shown(self, path: str) -> str:
        """The place a person would look at."""
        ...


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder of the file system; ``confined`` for packs."""

    root: Path
    confined: bool

    def read(self, path: str) -> bytes:
        """See ``Files``."""
        if not self.confined:
            return (self.root / path).read_bytes()
        place = self.root / inside(path)
        if not place.resolve().is_relative_to(self.root.resolve()):
            raise UnsafePath(f"{path!r} is a link that leads out of the pack")
        return place.read_bytes()

    def shown(self, path: str) -> str:
        """See ``Files``."""
        return str(self.root / path)


class InMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Files that were read before: an archive, or what a page was given. Always confined."""

    files: Mapping[str, bytes]

    def read(self, path: str) -> bytes:
        """See ``Files``."""
        place = inside(path)
        if place not in self.files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), place)
        return self.files[place]

    def shown(self, path: str) -> str:
        """See ``Files``."""
        return path


def inside(path: str) -> str:
    """The path in its plain form. Raises ``UnsafePath`` when it does not stay inside."""
    plain = PurePosixPath(path.replace("\\", "/"))
    if plain.is_absolute() or PureWindowsPath(path).anchor:
        raise UnsafePath(f"{path!r} is absolute: files of a pack are named from its folder")
    if ".." in plain.parts:
        raise UnsafePath(f"{path!r} leaves the pack: files of a pack are inside its folder")
    return str(plain)
