"""Who may run: every cell of the table, and nothing beside it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.errors import SessionBusy, SessionNotRunning
from meerkat_mob.sessions.admission import TABLE, Admission, Phase, Signal

S = Signal
WAY_TO: dict[Phase, tuple[Signal, ...]] = {
    Phase.IDLE: (),
    Phase.ADMITTED: (S.REQUEST_START_TURN,),
    Phase.RUNNING: (S.REQUEST_START_TURN, S.BEGIN_RUN),
    Phase.COMPLETING: (S.REQUEST_START_TURN, S.BEGIN_RUN, S.RESOLVE_RUN),
    Phase.SHUTTING_DOWN: (S.REQUEST_SHUTDOWN,),
}


def at(phase: Phase) -> Admission:
    admission = Admission("s")
    for signal in WAY_TO[phase]:
        admission.send(signal)
    assert admission.phase is phase
    return admission


def test_every_phase_has_a_row() -> None:
    assert set(TABLE) == set(Phase)


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("phase", Phase)
def test_what_is_not_in_the_table_is_refused_and_changes_nothing(
    phase: Phase, signal: Signal
) -> None:
    admission = at(phase)
    if signal in TABLE[phase]:
        admission.send(signal)
        assert admission.phase is TABLE[phase][signal]
        return
    wanted = SessionBusy if signal is S.REQUEST_START_TURN else SessionNotRunning
    with pytest.raises(wanted):
        admission.send(signal)
    assert admission.phase is phase


@pytest.mark.parametrize("phase", Phase)
def test_a_session_is_active_from_admission_to_the_end_of_the_run(phase: Phase) -> None:
    active = {Phase.ADMITTED, Phase.RUNNING, Phase.COMPLETING}
    assert at(phase).is_active == (phase in active)


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.COMPLETING])
def test_a_shutdown_asked_for_during_a_run_waits_for_its_end(phase: Phase) -> None:
    admission = at(phase)
    admission.send(S.REQUEST_SHUTDOWN)
    assert admission.phase is phase
    if phase is Phase.RUNNING:
        admission.send(S.RESOLVE_RUN)
    admission.send(S.FINALIZE_TURN)
    assert admission.phase is Phase.SHUTTING_DOWN


def test_an_interrupt_is_forgotten_when_the_next_run_begins() -> None:
    admission = at(Phase.RUNNING)
    admission.send(S.REQUEST_INTERRUPT)
    assert admission.interrupted
    for signal in (S.RESOLVE_RUN, S.FINALIZE_TURN, S.REQUEST_START_TURN, S.BEGIN_RUN):
        admission.send(signal)
    assert not admission.interrupted


@given(st.lists(st.sampled_from(Signal)))
def test_no_sequence_admits_a_second_run_or_leaves_a_shutdown(signals: list[Signal]) -> None:
    admission, runs, down = Admission("s"), 0, False
    for signal in signals:
        try:
            admission.send(signal)
        except (SessionBusy, SessionNotRunning):
            continue
        runs += (signal is S.REQUEST_START_TURN) - (signal in (S.FINALIZE_TURN, S.ABORT))
        down = down or admission.phase is Phase.SHUTTING_DOWN
        assert runs in (0, 1) or down
        assert not down or admission.phase is Phase.SHUTTING_DOWN
