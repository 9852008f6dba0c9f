"""The lock of POSIX systems: held by an open file, gone with its process whatever ends it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path


def flock(path: Path) -> Callable[[], None] | None:
    """See ``OsLock``. The file is made if need be and stays: removing it would let two in."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:  # who may only read can still see whether somebody holds it
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise

    def release() -> None:
        os.close(descriptor)

    return release
