"""No acknowledged call is ever lost, wherever the process is killed.

Workers (see ``worker.py``) say through a pipe which calls were acknowledged. They are killed at
every moment of every commit (asked for, kept, told), and at random instants between their first and
their last acknowledgement. The realm opened again must hold every acknowledged turn whole, once and
in order, and its sessions go on. This is a sample; with MEERKAT_CRASHES=1000 in the environment it
is every moment, and so many instants.
"""

import asyncio
import itertools
import os
import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import UNSET

from meerkat_mob.core.messages import ToolResults
from meerkat_mob.core.repair import OUTCOME_UNKNOWN
from meerkat_mob.sessions.facts import RUN_ENDED, RunEnded
from meerkat_mob.sessions.fold import STREAM, Fold, summary_from
from meerkat_mob.sessions.state import SessionState
from meerkat_mob.store import Record
from meerkat_mob.store.file import InlineLane, open_file_reader, verify
from meerkat_mob.store.file.flock import flock
from tests.sessions.host.talk import (
    ARCHIVED_AT,
    SESSIONS,
    aside,
    expected,
    forms_of,
    has_aside,
    has_note,
    has_receipt,
    name_of,
    run_of,
    turns_of,
)
from tests.store.host.nursery import a_nursery

WORKER = "tests.sessions.host.worker"
INSTANTS = int(os.environ.get("MEERKAT_CRASHES", "15"))
STEP = 1 if "MEERKAT_CRASHES" in os.environ else 23


def check(folder: Path, kept: dict[int, int]) -> int:
    """Every acknowledged call has happened, and nothing that was not asked for.

    How many turns are halfway: their prompt and their tool's call are kept, their end is not.
    """
    report = verify(folder, lock=flock, folds={STREAM: summary_from})
    assert report.clean, report.findings
    return sum(
        _check_session(number, records, kept.get(number, 0))
        for number, records in asyncio.run(_streams(folder)).items()
        if records or number in kept
    )


async def _streams(folder: Path) -> dict[int, tuple[Record, ...]]:
    reader = await open_file_reader(folder, lane=InlineLane(), lock=flock)
    streams = {n: await reader.read(STREAM + name_of(n), limit=10_000) for n in range(SESSIONS)}
    await reader.aclose()
    return streams


def _check_session(number: int, records: Sequence[Record], count: int) -> bool:
    state, runs = _told(number, records)
    forms = forms_of(state.transcript.view())
    whole = list(itertools.islice(expected(number), len(forms)))
    assert forms == whole, "once, and in order"
    assert not forms or forms[-1][0] != "user", "a turn is never kept without its answer"
    _check_results(number, state)
    over, begun = divmod(count, 2)
    assert turns_of(forms) >= over
    system = state.transcript.system_prompt or ""
    for turn in range(over + begun):
        if turn == ARCHIVED_AT.get(number):
            assert state.archived
        elif has_note(turn):
            assert f"note {turn}" in state.context.seen
        elif has_aside(turn):
            assert system.count(aside(number, turn)) == 1
        if has_receipt(turn) and turn < over:
            assert runs[run_of(number, turn)] == 1
    return bool(forms) and forms[-1][0] != "answer"


def _told(number: int, records: Sequence[Record]) -> tuple[SessionState, Counter[str]]:
    """What a stream says, and whose receipts are in it: each names the transcript of its time."""
    fold, runs = Fold(name_of(number)), Counter[str]()
    for record in records:
        fold.add((record,))
        if record.kind != RUN_ENDED:
            continue
        receipt = msgspec.json.decode(record.body, type=RunEnded).receipt
        if receipt is not UNSET:
            transcript = fold.state().transcript
            assert receipt.conversation_digest == transcript.digest()
            assert receipt.message_count == len(transcript)
            runs[receipt.run_id] += 1
    return fold.state(), runs


def _check_results(number: int, state: SessionState) -> None:
    for message in state.transcript.view():
        if isinstance(message, ToolResults):
            (result,) = message.results
            echoed = str(result.content).startswith(f'{{"place":"{number}.')
            assert echoed or result.content == OUTCOME_UNKNOWN.content


def test_killed_at_every_moment_of_a_commit_no_acknowledged_call_is_lost() -> None:
    with a_nursery(WORKER) as nursery, TemporaryDirectory() as place:
        acknowledged, at, halfway = Counter[int](), 0, 0
        for at in itertools.count(1, STEP):
            folder = Path(place, f"at-{at}")
            life = nursery.live(folder, "killed", at)
            halfway += check(folder, life.kept)
            if life.writes is not None:  # it lived to its end: there was no such moment
                break
            acknowledged[sum(life.kept.values())] += 1
            again = nursery.live(folder)
            assert again.opened, "a killed holder is replaced at once"
            assert again.writes is not None, "and all its sessions go on"
            assert not check(folder, life.kept | again.kept)
        told = f"killed at every {STEP}. of {at} moments; acknowledged by then:"
        sys.stdout.write(f"{told} {sorted(acknowledged)}\n{halfway} turns were left halfway\n")
        assert at > 150
        assert halfway > 0
        assert len(acknowledged) > 3


def test_killed_at_random_instants_no_acknowledged_call_is_lost() -> None:
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
    bars = "\n".join(
        f"  {n * 10:>3} % {count:>4} {'#' * round(60 * count / max(histogram.values()))}"
        for n, count in sorted(histogram.items())
    )
    told = "kills, by the time since the first acknowledgement; 100 % is that of a calm run's last"
    sys.stdout.write(f"{histogram.total()} {told}\n{bars}\n")
