"""What this interpreter can do. The only module that asks.

Everything else receives what it needs as an argument. We choose by policy and never by
``try: import``: inside Pyodide ``socket``, ``subprocess`` and ``threading`` import fine and then
fail, or pretend to work.
"""

from __future__ import annotations

import os
import platform
import secrets
import sys
import time
from typing import Final

IN_BROWSER: Final[bool] = sys.platform == "emscripten"
"""True inside Pyodide, in a tab or under Node: no threads, processes, sockets or durable files."""

OS_LOCKS: Final[bool] = sys.platform not in {"emscripten", "win32"}
"""True where a lock that the system holds on a file tells whether its holder lives."""

PROCESS_GROUPS: Final[bool] = sys.platform not in {"emscripten", "win32"}
"""True where processes can be started, and ended with everything that they started."""


def process_name() -> str:
    """This process, as a person would look for it."""
    return f"process {os.getpid()} on {platform.node() or 'this machine'}"


def now_ms() -> int:
    """Wall-clock milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


def entropy(count: int) -> bytes:
    """``count`` random bytes, fit for ids."""
    return secrets.token_bytes(count)
