"""The life of an input as a table, and what the queue and the records say of it on every step."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import pytest

from meerkat_mob.core.events import RunResult
from meerkat_mob.core.inputs import Input, ResponseProgressConvention
from meerkat_mob.runtime import (
    Abandoned,
    CallbackPending,
    Completed,
    CompletedWithoutResult,
    InputPhase,
    InputRecord,
    Outcome,
    RuntimeTerminated,
    decide,
)
from meerkat_mob.runtime.admission import Waiters
from meerkat_mob.runtime.inbox import LEGAL, Inbox
from meerkat_mob.testing.builders import a_clock, a_notice, a_peer_message, a_prompt
from tests.runtime.driven import SESSION, driven, from_peer

DONE: Final = Completed(result=RunResult(text="done", session_id="s"))
APPLIED: Final[tuple[Outcome, ...]] = (DONE, CompletedWithoutResult(), CallbackPending(calls=()))
GONE: Final[tuple[Outcome, ...]] = (Abandoned(reason="reset"), RuntimeTerminated(reason="over"))


class Watched:
    """An inbox, and each change it told of."""

    def __init__(self, *items: Input) -> None:
        self.told: list[InputRecord] = []
        self.inbox = Inbox("s", self.told.append, clock=a_clock(step=1))
        for item in items:
            place = self.inbox.make_room()
            self.inbox.give_up_room()
            policy = decide(item, silent_intents={"mob.peer_added"}, keep_alive=True)
            self.inbox.admit(item, policy, place)

    def record(self, input_id: str = "p") -> InputRecord:
        found = self.inbox.state(input_id)
        assert found is not None
        return found

    def phases(self) -> list[str]:
        return [record.phase.value for record in self.told]


# -- the table ---------------------------------------------------------------------------------

TABLE: Final = """
from       queued  staged  consumed  abandoned
queued     -       yes     yes       yes
staged     yes     -       yes       yes
consumed   -       -       -         -
abandoned  -       -       -         -
"""


def test_the_table_of_an_input_s_life() -> None:
    """Consumed at once is only what ends with its acceptance."""
    (_, *names), *rows = (row.split() for row in TABLE.strip().splitlines())
    assert names == [phase.value for phase in InputPhase]
    for phase, (name, *cells) in zip(LEGAL, rows, strict=True):
        legal = {InputPhase(n) for n, cell in zip(names, cells, strict=True) if cell == "yes"}
        assert phase.value == name
        assert LEGAL[phase] == legal


Step: TypeAlias = Literal["stage", "put back", "apply", "abandon"]
HISTORIES: Final[list[tuple[list[Step], list[str]]]] = [
    ([], ["queued"]),
    (["abandon"], ["queued", "abandoned"]),
    (["stage"], ["queued", "staged"]),
    (["stage", "apply"], ["queued", "staged", "consumed"]),
    (["stage", "abandon"], ["queued", "staged", "abandoned"]),
    (["stage", "put back"], ["queued", "staged", "queued"]),
    (["stage", "put back", "abandon"], ["queued", "staged", "queued", "abandoned"]),
    (["stage", "put back", "stage", "apply"], ["queued", "staged"] * 2 + ["consumed"]),
]


def _do(step: Step, at: Watched, outcome: Outcome = DONE) -> None:
    match step:
        case "stage":
            at.inbox.take("run-1")
        case "put back":
            at.inbox.put_back(("p",), noted=False)
        case "apply":
            at.inbox.end("p", outcome)
        case "abandon":
            at.inbox.end("p", GONE[0])


@pytest.mark.parametrize(("steps", "wanted"), HISTORIES)
def test_each_change_is_told_and_counted_once(steps: list[Step], wanted: list[str]) -> None:
    """INP-1: an attempt is what was staged, and it stays counted."""
    at = Watched(a_prompt("x", "p"))
    for step in steps:
        _do(step, at)
    record = at.record()
    assert at.phases() == wanted
    assert record.attempts == steps.count("stage")
    assert (record.outcome is None) == (record.phase in {InputPhase.QUEUED, InputPhase.STAGED})
    assert at.inbox.runnable == (record.phase is InputPhase.QUEUED)
    assert bool(at.inbox.active()) == (record.outcome is None)
    assert at.inbox.queued() == (("p",) if record.phase is InputPhase.QUEUED else ())
    assert [r.updated_at for r in at.told] == sorted({r.updated_at for r in at.told})
    assert {r.created_at for r in at.told} == {record.created_at}


@pytest.mark.parametrize("end", ["apply", "abandon"])
@pytest.mark.parametrize("then", ["put back", "apply", "abandon"])
def test_nothing_happens_to_what_has_ended(end: Step, then: Step) -> None:
    """INV-2."""
    at = Watched(a_prompt("x", "p"))
    _do("stage", at)
    _do(end, at)
    ended, told = at.record(), len(at.told)
    with pytest.raises(AssertionError, match=f"cannot go from {ended.phase}"):
        _do(then, at)
    assert (at.record(), len(at.told), at.inbox.runnable) == (ended, told, False)


@pytest.mark.parametrize("outcome", [*APPLIED, *GONE])
def test_an_outcome_says_whether_it_was_applied(outcome: Outcome) -> None:
    at = Watched(a_prompt("x", "p"))
    _do("stage", at)
    _do("apply", at, outcome)
    phase = InputPhase.CONSUMED if outcome in APPLIED else InputPhase.ABANDONED
    assert (at.record().phase, at.record().outcome) == (phase, outcome)


# -- the queue ---------------------------------------------------------------------------------


def test_what_is_put_back_has_the_place_it_had() -> None:
    """W6: before what came behind it, in its own lane and order."""
    at = Watched(*(a_peer_message("x", f"m{n}") for n in (1, 2)), a_prompt("x", "p1"))
    assert at.inbox.take("run-1").ids == ("m1", "m2")
    late = Watched(*(r.item for r in at.inbox.active()), a_peer_message("x", "m3"))
    assert late.inbox.take("run-1").ids == ("m1", "m2")
    assert late.inbox.take("run-2").ids == ("p1",)
    late.inbox.put_back(("p1",), noted=False)
    late.inbox.put_back(("m2", "m1"), noted=False)
    assert [r.item.header.id for r in late.inbox.active()] == ["m1", "m2", "p1", "m3"]
    assert [late.inbox.take(f"run-{n}").ids for n in (3, 4, 5)] == [("m1", "m2"), ("p1",), ("m3",)]
    assert [late.record(name).attempts for name in ("m1", "p1", "m3")] == [2, 2, 1]


def test_reports_of_progress_are_not_merged_and_none_replaces_another() -> None:
    """W7: nothing that was said is dropped."""
    partial = ResponseProgressConvention(request_id="r", phase="partial_result")
    reports = [from_peer(f"r{n}", partial, f"{n} of 3") for n in (1, 2, 3)]
    at = Watched(*reports, a_notice("x", "n"), a_prompt("x", "p"))
    assert not Watched(*reports).inbox.runnable
    batch = at.inbox.take("run-1")
    assert sorted(batch.ids) == ["n", "p", "r1", "r2", "r3"]
    assert [i for i in batch.ids if i.startswith("r")] == ["r1", "r2", "r3"]
    assert batch.ids[-1] == "p"


def test_an_end_that_nobody_waits_for_is_told_to_nobody() -> None:
    at = Watched(a_prompt("x", "p"))
    _do("abandon", at)
    Waiters().tell(at.record())


# -- two sessions ------------------------------------------------------------------------------


async def test_two_sessions_have_nothing_in_common() -> None:
    """The same id and the same key are another input in another session."""
    async with driven("nothing kept") as one:
        await one.adapter.register_session("other")
        for session_id in (SESSION, "other"):
            await one.adapter.accept_input(session_id, a_prompt("x", "in-1", key="k"))
        await one.adapter.reset_runtime("other")
        other = one.adapter.input_state("other", "in-1")
        assert other is not None
        assert other.outcome == Abandoned(reason="reset")
        await one.adapter.stop_runtime_executor("other")
        assert one.phase("in-1") is not InputPhase.ABANDONED
