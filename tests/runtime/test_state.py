"""The states of a runtime, as a table of what may happen in which (spec sessions 5.6)."""

import pytest

from meerkat_mob.runtime.state import ACCEPTS, ENDED, FROM, LASTING, Move, RuntimeState

IDLE, ATTACHED, RUNNING = RuntimeState.IDLE, RuntimeState.ATTACHED, RuntimeState.RUNNING
RETIRED, STOPPED = RuntimeState.RETIRED, RuntimeState.STOPPED


def test_input_is_taken_by_who_rests_or_runs_and_by_nobody_else() -> None:
    assert {IDLE, ATTACHED, RUNNING} == ACCEPTS


@pytest.mark.parametrize(
    ("move", "allowed"),
    [
        (Move.ATTACH, {IDLE, ATTACHED}),
        (Move.BEGIN_RUN, {IDLE, ATTACHED, RETIRED}),
        (Move.RETIRE, {IDLE, ATTACHED, RUNNING}),
        (Move.RESET, {IDLE, ATTACHED, RETIRED}),
        (Move.RECYCLE, {IDLE, ATTACHED, RETIRED}),
        (Move.STOP, {IDLE, ATTACHED, RUNNING, RETIRED}),
        (Move.DESTROY, {IDLE, ATTACHED, RUNNING, RETIRED, STOPPED}),
    ],
)
def test_each_move_has_the_states_it_may_happen_in(move: Move, allowed: set[RuntimeState]) -> None:
    assert FROM[move] == allowed


def test_every_move_has_a_row() -> None:
    assert set(FROM) == set(Move)


def test_who_has_ended_takes_nothing_and_stays_so_over_a_restart() -> None:
    assert not ENDED & ACCEPTS
    assert ENDED < LASTING
    assert not LASTING & ACCEPTS
