"""Stands between SQLite and the disk: counts what it writes and syncs, and can make it fail.

SQLite lets a program put its own layer under it. Ours passes everything on to the system's, asking
a function before each write and sync, and another one before each read. It becomes the process's
default, so nothing above it knows. Installed once in a process, and never removed.
"""

import _sqlite3
import ctypes
import os
import signal
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p
from typing import Any

OK, IOERR_READ, IOERR_WRITE, IOERR_FSYNC, FULL = 0, 266, 778, 1034, 13
TORN = -1
"""An answer of ours: half of it is written, and then the process is killed."""

OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
READ = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
SYNC = CFUNCTYPE(c_int, c_void_p, c_int)


class Vfs(Structure):
    """The beginning of ``sqlite3_vfs``; the rest is copied as it is."""

    _fields_ = (
        ("version", c_int),
        ("file_size", c_int),
        ("longest_path", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", OPEN),
        ("rest", c_void_p * 15),
    )


class Methods(Structure):
    """``sqlite3_io_methods``."""

    _fields_ = (
        ("version", c_int),
        ("close", c_void_p),
        ("read", READ),
        ("write", WRITE),
        ("truncate", c_void_p),
        ("sync", SYNC),
        ("rest", c_void_p * 13),
    )


class Disk:
    """What SQLite did, and what it is answered: set what is asked before to have a say."""

    def __init__(self) -> None:
        self.writes = self.syncs = 0
        self.before: Callable[[str], int] = lambda _: OK
        self.before_reading: Callable[[str], int] = lambda _: OK
        self._kept: list[Any] = []  # what SQLite holds pointers to must stay

    def install(self) -> "Disk":
        """Makes this the default layer of the process."""
        library = ctypes.CDLL(_sqlite3.__file__)
        library.sqlite3_vfs_find.restype = POINTER(Vfs)
        original = library.sqlite3_vfs_find(None)
        ours = Vfs()
        ctypes.memmove(ctypes.byref(ours), original, ctypes.sizeof(Vfs))
        ours.name = b"asking"
        open_original = original.contents.open

        def opened(vfs: int, name: int, file: int, flags: int, out: int) -> int:
            code: int = open_original(vfs, name, file, flags, out)
            if code == OK:
                self._wrap(file)
            return code

        ours.open = OPEN(opened)
        self._kept += [ours, original]
        library.sqlite3_vfs_register(ctypes.byref(ours), 1)
        return self

    def _wrap(self, file: int) -> None:
        pointer = ctypes.cast(file, POINTER(POINTER(Methods)))
        if not ctypes.cast(file, POINTER(c_void_p))[0]:
            return
        original = pointer.contents.contents
        ours = Methods()
        ctypes.memmove(ctypes.byref(ours), ctypes.byref(original), ctypes.sizeof(Methods))
        read, write, sync = original.read, original.write, original.sync

        def was_read(at: int, into: int, count: int, offset: int) -> int:
            return self.before_reading("read") or int(read(at, into, count, offset))

        def written(at: int, data: int, count: int, offset: int) -> int:
            self.writes += 1
            answer = self.before("write")
            if answer == TORN:
                write(at, data, count // 2, offset)
                os.kill(os.getpid(), signal.SIGKILL)
            return answer or int(write(at, data, count, offset))

        def synced(at: int, flags: int) -> int:
            self.syncs += 1
            return self.before("sync") or int(sync(at, flags))

        ours.read, ours.write, ours.sync = READ(was_read), WRITE(written), SYNC(synced)
        self._kept.append(ours)
        ctypes.cast(file, POINTER(c_void_p))[0] = ctypes.addressof(ours)
