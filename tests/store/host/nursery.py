"""Workers that are killed, and what they said until then.

A worker says on a pipe how many calls of which session were acknowledged, as soon as they are.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[3]


class Life(NamedTuple):
    """What a worker said of itself."""

    kept: dict[int, int]
    opened: bool
    writes: int | None
    first_ack: float
    last_ack: float
    killed: float


class Nursery:
    """A process that forks workers, and the pipe on which they speak."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._into, self._out = self._pipes(process)
        self._left = b""

    @staticmethod
    def _pipes(process: "subprocess.Popen[bytes]") -> tuple[IO[bytes], IO[bytes]]:
        assert process.stdin is not None
        assert process.stdout is not None
        return process.stdin, process.stdout

    def live(self, folder: Path, how: str = "free", at: int = 0, kill_after: float = -1) -> Life:
        """One worker, from birth to death; killed so many seconds after its first word."""
        self._into.write(f"{folder}\t{how}\t{at}\n".encode())
        self._into.flush()
        kept: dict[int, int] = {}
        writes: int | None = None
        opened, child, first, last, killed = False, 0, 0.0, 0.0, 0.0
        while True:
            limit = None if kill_after < 0 or not first else first + kill_after - time.monotonic()
            line = self._line(limit)
            if line is None:
                with suppress(ProcessLookupError):  # it had just come to its end
                    os.kill(child, signal.SIGKILL)
                killed, kill_after = time.monotonic(), -1
                continue
            match line.split():
                case ["born", number]:
                    child = int(number)
                case ["open"]:
                    opened = True
                case ["kept", number, seq]:
                    last = time.monotonic()
                    first = first or last
                    kept[int(number)] = int(seq)
                case ["wrote", number]:
                    writes = int(number)
                case ["dead"]:
                    return Life(kept, opened, writes, first, last, killed)
                case _:
                    pytest.fail(f"the worker said {line!r}")

    def _line(self, limit: float | None) -> str | None:
        """The next line; None if it does not come in time."""
        while b"\n" not in self._left:
            wait = 30.0 if limit is None else max(limit, 0.0)
            if not select.select([self._out], [], [], wait)[0]:
                assert limit is not None, "the worker is silent"
                return None
            read = os.read(self._out.fileno(), 65536)
            assert read, "the nursery ended"
            self._left += read
        line, _, self._left = self._left.partition(b"\n")
        return line.decode()


@contextmanager
def a_nursery(module: str) -> Generator[Nursery, None, None]:
    """A program that forks a worker for each line it reads, and says when one is dead."""
    command = [sys.executable, "-m", module]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield Nursery(process)
        finally:
            process.stdin.close() if process.stdin else None
            process.wait(30)
