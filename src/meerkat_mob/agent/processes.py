"""What programs that we start have of us, and how they end: with everything that they started."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SYSTEMROOT")
"""What a program has of our environment. Keys are not among it."""

TERM: Final = 15
KILL: Final = 9


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """A program's environment: ``INHERITED``, and what it was given."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | dict(given)


def end_group(transport: asyncio.SubprocessTransport, signal: int = KILL) -> None:
    """Ends a program that leads a process group, and the group."""
    with suppress(ProcessLookupError, PermissionError):  # nobody is left of it
        os.killpg(transport.get_pid(), signal)
