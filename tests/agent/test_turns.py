"""The turn machine: its rows, and that a run goes by them (spec sessions 4.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.agent.turns import TABLE, TERMINAL, Event, Phase, follow
from meerkat_mob.errors import AgentError

ROWS = [
    ("ready", "start", "applying_primitive"),
    ("applying_primitive", "primitive_applied", "calling_llm"),
    ("calling_llm", "llm_returned_tool_calls", "waiting_for_ops"),
    ("calling_llm", "llm_returned_terminal", "draining_boundary"),
    ("waiting_for_ops", "tool_calls_resolved", "draining_boundary"),
    ("waiting_for_ops", "tool_calls_left", "callback_pending"),
    ("draining_boundary", "boundary_continue", "calling_llm"),
    ("draining_boundary", "boundary_complete", "completing"),
    ("calling_llm", "recoverable_failure", "error_recovery"),
    ("error_recovery", "retry_requested", "calling_llm"),
    ("calling_llm", "budget_exhausted", "completing"),
    ("calling_llm", "turn_limit_reached", "completing"),
    ("draining_boundary", "enter_extraction", "extracting"),
    ("extracting", "extraction_start", "calling_llm"),
    ("extracting", "validation_failed", "calling_llm"),
    ("extracting", "validation_passed", "completing"),
    ("completing", "result_let_through", "completed"),
]
ACTIVE = frozenset(Phase) - TERMINAL - {Phase.READY}


@pytest.mark.parametrize(("here", "event", "there"), ROWS)
def test_each_row_leads_where_it_says(here: str, event: str, there: str) -> None:
    assert follow(Phase(here), Event(event)) is Phase(there)


def test_whatever_goes_on_can_fail_and_can_be_cancelled() -> None:
    for phase in ACTIVE:
        assert follow(phase, Event.FATAL_FAILURE) is Phase.FAILED
        assert follow(phase, Event.CANCELLED) is Phase.CANCELLED


@given(st.sampled_from(sorted(Phase)), st.sampled_from(sorted(Event)))
def test_what_no_row_allows_is_refused(phase: Phase, event: Event) -> None:
    listed = (phase.value, event.value) in {(here, what) for here, what, _ in ROWS}
    ends = event in {Event.FATAL_FAILURE, Event.CANCELLED} and phase in ACTIVE
    if listed or ends:
        assert follow(phase, event) in Phase
        return
    with pytest.raises(AgentError, match=f"{event.value} cannot happen in {phase.value}"):
        follow(phase, event)


def test_each_phase_is_reached_and_each_active_one_is_left() -> None:
    reached = {then for row in TABLE.values() for then in row.values()}
    assert reached | {Phase.READY} == set(Phase)
    assert all(TABLE[phase] for phase in ACTIVE)


def test_a_run_ends_once() -> None:
    assert all(not TABLE[phase] for phase in TERMINAL)
