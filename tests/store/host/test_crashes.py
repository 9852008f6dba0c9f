"""Nothing that was acknowledged is ever lost, wherever the process is killed.

Workers (see ``worker.py``) say through a pipe which commits were acknowledged. They are killed at
every write they make, in the midst of every write, and at random instants between their first and
their last acknowledgement. The realm opened again must hold every acknowledged fact, whole,
once and in order. This is a sample; with MEERKAT_CRASHES=1000 in the environment it is
every write, and so many instants.
"""

import asyncio
import itertools
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, NamedTuple

import pytest

from meerkat_mob.store.file import InlineLane, open_file_reader, verify
from meerkat_mob.store.file.flock import flock
from tests.store.host.worker import SESSIONS, body

ROOT = Path(__file__).resolve().parents[3]
INSTANTS = int(os.environ.get("MEERKAT_CRASHES", "25"))
STEP = 1 if "MEERKAT_CRASHES" in os.environ else 4


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
def a_nursery() -> Generator[Nursery, None, None]:
    command = [sys.executable, "-m", "tests.store.host.worker"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield Nursery(process)
        finally:
            process.stdin.close() if process.stdin else None
            process.wait(30)


async def _check(folder: Path, kept: dict[int, int]) -> None:
    """Every acknowledged fact is there, whole, once and in order; and both of a commit or none."""
    report = verify(folder, lock=flock)
    assert report.clean, report.findings
    reader = await open_file_reader(folder, lane=InlineLane(), lock=flock)
    for number in range(SESSIONS):
        told, twin = f"told-{number}", f"twin-{number}"
        records = await reader.read(told)
        assert len(records) >= kept.get(number, 0)
        assert [r.body for r in records] == [body(told, n + 1) for n in range(len(records))]
        assert await reader.revision(twin) == len(records)
        head = await reader.head(told)
        assert (head.summary if head else b"0") == b"%d" % len(records)
    await reader.aclose()


def check(folder: Path, kept: dict[int, int]) -> None:
    asyncio.run(_check(folder, kept))


@pytest.mark.parametrize("how", ["killed", "torn"])
def test_killed_at_every_write_nothing_acknowledged_is_lost(how: str) -> None:
    with a_nursery() as nursery, TemporaryDirectory() as place:
        whole = nursery.live(Path(place, "whole"), "counted")
        assert whole.writes is not None
        acknowledged, at = Counter[int](), 0
        for at in itertools.count(1, STEP):
            folder = Path(place, f"at-{at}")
            life = nursery.live(folder, how, at)
            if life.writes is not None:  # it lived to its end: there was no such write
                break
            acknowledged[sum(life.kept.values())] += 1
            again = nursery.live(folder)
            assert again.opened, "a killed holder is replaced at once"
            check(folder, life.kept | again.kept)
        told = f"{how} at every {STEP}. of {at} writes; acknowledged by then:"
        sys.stdout.write(f"{told} {sorted(acknowledged)}\n")
        assert at > 60
        assert len(acknowledged) > 3


def test_killed_at_random_instants_nothing_acknowledged_is_lost() -> None:
    dice = random.Random(f"{INSTANTS}")
    histogram: Counter[int] = Counter()
    with a_nursery() as nursery, TemporaryDirectory() as place:
        calm = nursery.live(Path(place, "calm"))
        span = calm.last_ack - calm.first_ack
        folder, kept = Path(place, "realm"), dict[int, int]()
        for instant in itertools.count():  # a worker that ended before its instant does not count
            if histogram.total() == INSTANTS:
                break
            if instant % 20 == 0:  # a realm dies many times, and does not grow for ever
                folder, kept = Path(place, f"realm-{instant}"), {}
            life = nursery.live(folder, kill_after=dice.uniform(0, span))
            assert life.opened
            kept |= life.kept
            check(folder, kept)
            if life.writes is None:
                histogram[int(10 * (life.killed - life.first_ack) / span)] += 1
    bars = "\n".join(f"  {n * 10:>3} % {'#' * histogram[n]}" for n in sorted(histogram))
    told = "kills, by the time since the first acknowledgement; 100 % is that of a calm run's last"
    sys.stdout.write(f"{histogram.total()} {told}\n{bars}\n")
