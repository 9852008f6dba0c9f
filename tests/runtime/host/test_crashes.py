"""No acknowledged input is ever lost or run twice, wherever the process is killed.

Workers (see ``worker.py``) say through a pipe what a sender was told of each input. They are killed
with SIGKILL at every moment of every commit (asked for, kept, told), also while they recover, and
at random instants. The realm opened again must hold every accepted input, give it one run, and know
its key; what was told as completed never runs again. This is a sample; with MEERKAT_CRASHES=1000 in
the environment it is every moment, and so many instants.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from meerkat_mob.core.messages import UserMessage, text_of_message
from meerkat_mob.runtime.facts import STAGED, InputsStaged
from meerkat_mob.runtime.inbox import ATTEMPTS, InputPhase
from meerkat_mob.runtime.outside import KeptInbox, KeptInput, read_inbox, read_receipts
from meerkat_mob.sessions.facts import APPLIED, RUN_BEGAN, RUN_ENDED, Applied, RunBegan, RunEnded
from meerkat_mob.sessions.fold import STREAM, Fold, summary_from
from meerkat_mob.sessions.receipts import ReceiptCheck
from meerkat_mob.store import Record
from meerkat_mob.store.file import InlineLane, open_file_reader, verify
from meerkat_mob.store.file.flock import flock
from tests.runtime.host.worker import (
    ACCEPTED,
    COMPLETED,
    GIVEN_UP,
    SESSIONS,
    code_of,
    id_of,
    place_of,
    places_in,
    steers,
)
from tests.sessions.host.talk import name_of
from tests.store.host.nursery import Life, a_nursery

WORKER = "tests.runtime.host.worker"
INSTANTS = int(os.environ.get("MEERKAT_CRASHES", "8"))
STEP = 1 if "MEERKAT_CRASHES" in os.environ else 37
RECOVERING = 37
"""The worker that recovers is killed within so many moments."""


class Kept(msgspec.Struct, frozen=True):
    """What the files tell of one session."""

    inbox: KeptInbox
    checks: tuple[ReceiptCheck, ...]
    records: tuple[Record, ...]


class Told:
    """What senders were told, by all workers of a realm."""

    def __init__(self) -> None:
        self.of: dict[int, int] = {}

    def add(self, life: Life) -> None:
        for code, what in life.kept.items():
            before = self.of.get(code, ACCEPTED)
            assert before == ACCEPTED or what in (ACCEPTED, before), "an end is told for good"
            self.of[code] = max(before, what)

    def count(self, what: int) -> int:
        return sum(one >= what for one in self.of.values())


# -- what must hold ----------------------------------------------------------------------------


def check(folder: Path, told: Told, *, drained: bool = False) -> Counter[InputPhase]:
    """All that senders were told is so, and nothing is that was not asked for.

    In which phases the inputs are. ``drained``: all of them have ended.
    """
    report = verify(folder, lock=flock, folds={STREAM: summary_from})
    assert report.clean, report.findings
    phases = Counter[InputPhase]()
    for session, kept in asyncio.run(_read(folder)).items():
        for one in kept.inbox.inputs:
            phases[one.state] += 1
        _check_session(session, kept, told.of)
    assert phases.total() >= len(told.of)
    assert not drained or not phases[InputPhase.QUEUED]
    return phases


async def _read(folder: Path) -> dict[int, Kept]:
    reader = await open_file_reader(folder, lane=InlineLane(), lock=flock)
    found = dict[int, Kept]()
    for session in range(SESSIONS):
        name = name_of(session)
        if records := await reader.read(STREAM + name, limit=100_000):
            inbox = await read_inbox(reader, name, ended=True)
            receipts = await read_receipts(reader, name)
            assert (inbox.damage, receipts.damage) == (None, None)
            found[session] = Kept(inbox, receipts.checks, records)
    await reader.aclose()
    return found


def _check_session(session: int, kept: Kept, told: Mapping[int, int]) -> None:
    assert all(check.agrees for check in kept.checks), kept.checks
    inputs = {one.input_id: one for one in kept.inbox.inputs}
    assert set(inputs) == {id_of(session, n) for n in range(len(inputs))}, "a key is taken once"
    assert {code for code in told if code // 1000 == session} <= {
        code_of(session, n) for n in range(len(inputs))
    }, "accepted is kept"
    receipts = Counter(i for c in kept.checks for i in c.receipt.contributing_input_ids)
    said = _said(session, kept.records)
    for number in range(len(inputs)):
        one, times = inputs[id_of(session, number)], said[place_of(session, number)]
        _check_input(one, receipts[one.input_id], times, told.get(code_of(session, number)))
    assert not set(receipts) - set(inputs)
    _check_never_again(kept.records)


def _check_input(one: KeptInput, receipts: int, said: int, told: int | None) -> None:
    """One input: the receipts that name it, and how often the model was told of it."""
    match one.state:
        case InputPhase.CONSUMED:
            assert (receipts, said) == (1, 1), one
        case InputPhase.ABANDONED:
            assert (receipts, one.reason) == (0, "max_attempts_exhausted"), one
            assert said <= 1
            assert one.attempts >= ATTEMPTS, one
        case _:
            assert receipts == 0, one
            assert said <= 1
    assert told != COMPLETED or one.state is InputPhase.CONSUMED
    assert told != GIVEN_UP or one.state is InputPhase.ABANDONED


def _said(session: int, records: Sequence[Record]) -> Counter[str]:
    """How often each input stands in the transcript; those of the queue lane in their order."""
    fold = Fold(name_of(session))
    fold.add(tuple(records))
    places = [
        place
        for message in fold.state().transcript.view()
        if isinstance(message, UserMessage)
        for place in places_in(text_of_message(message))
    ]
    numbers = [int(place.strip("<>").split(".")[1]) for place in places]
    queued = [number for number in numbers if not steers(number)]
    assert queued == sorted(queued), "what waits in the queue runs in the order it came"
    return Counter(places)


def _check_never_again(records: Sequence[Record]) -> None:
    """No run begins with an input that a receipt names, after that receipt (INV-5)."""
    applied = set[str]()
    for record in records:
        if record.kind in (STAGED, RUN_BEGAN):
            assert not applied.intersection(_begun(record)), record
        elif record.kind in (APPLIED, RUN_ENDED):
            applied.update(_applied(record))


def _begun(record: Record) -> tuple[str, ...]:
    if record.kind == STAGED:
        return msgspec.json.decode(record.body, type=InputsStaged).input_ids
    return msgspec.json.decode(record.body, type=RunBegan).input_ids


def _applied(record: Record) -> tuple[str, ...]:
    if record.kind == APPLIED:
        return msgspec.json.decode(record.body, type=Applied).receipt.contributing_input_ids
    receipt = msgspec.json.decode(record.body, type=RunEnded).receipt
    return receipt.contributing_input_ids if receipt else ()


# -- the matrix --------------------------------------------------------------------------------


def test_killed_at_every_moment_of_a_commit_every_accepted_input_runs_once() -> None:
    kills, accepted, completed, waited, at = 0, 0, 0, 0, 0
    with a_nursery(WORKER) as nursery, TemporaryDirectory() as place:
        for at in itertools.count(1, STEP):
            folder, told = Path(place, f"at-{at}"), Told()
            life = nursery.live(folder, "killed", at)
            told.add(life)
            waited += check(folder, told)[InputPhase.QUEUED]
            if life.writes is not None:  # it lived to its end: there was no such moment
                break
            accepted, completed = accepted + told.count(ACCEPTED), completed + told.count(COMPLETED)
            again = nursery.live(folder, "killed", 1 + at % RECOVERING)
            assert again.opened, "a killed holder is replaced at once"
            told.add(again)
            check(folder, told)
            kills += 1 + (again.writes is None)
            last = nursery.live(folder)
            assert last.writes is not None, "all inputs come to their end"
            told.add(last)
            assert not check(folder, told, drained=True)[InputPhase.ABANDONED]
    sys.stdout.write(
        f"{kills} kills, at every {STEP}. of {at} moments; told before the first of each realm: "
        f"{accepted} accepted, {completed} completed; {waited} inputs waited or ran\n"
    )
    assert at > 150
    assert accepted > completed > 0
    assert waited > 0


def test_killed_at_random_instants_every_accepted_input_runs_once() -> None:
    dice = random.Random(f"{INSTANTS}")
    kills, accepted, completed, ends = 0, 0, 0, Counter[InputPhase]()
    with a_nursery(WORKER) as nursery, TemporaryDirectory() as place:
        calm = nursery.live(Path(place, "calm"))
        span = calm.last_ack - calm.first_ack
        for realm in itertools.count():  # a realm dies many times, and does not grow for ever
            folder, told = Path(place, f"realm-{realm}"), Told()
            for _ in range(6):
                life = nursery.live(folder, kill_after=dice.uniform(0, 2 * span))
                assert life.opened
                told.add(life)
                check(folder, told)
                kills += life.writes is None  # one that ended before its instant does not count
            accepted, completed = accepted + told.count(ACCEPTED), completed + told.count(COMPLETED)
            last = nursery.live(folder)
            assert last.writes is not None, "all inputs come to their end"
            told.add(last)
            ends += check(folder, told, drained=True)
            if kills >= INSTANTS:
                break
    assert ends[InputPhase.CONSUMED] > 0
    sys.stdout.write(
        f"{kills} kills at random instants; told by then: {accepted} accepted, {completed} ended; "
        f"at last {ends[InputPhase.CONSUMED]} ran, {ends[InputPhase.ABANDONED]} were given up\n"
    )
