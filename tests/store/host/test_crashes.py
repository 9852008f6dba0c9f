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
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from meerkat_mob.store.file import InlineLane, open_file_reader, verify
from meerkat_mob.store.file.flock import flock
from tests.store.host.nursery import a_nursery
from tests.store.host.worker import SESSIONS, body

WORKER = "tests.store.host.worker"
INSTANTS = int(os.environ.get("MEERKAT_CRASHES", "25"))
STEP = 1 if "MEERKAT_CRASHES" in os.environ else 4


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
    with a_nursery(WORKER) as nursery, TemporaryDirectory() as place:
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
    with a_nursery(WORKER) as nursery, TemporaryDirectory() as place:
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
