"""The states of a runtime, as a table."""

import pytest

from meerkat_mob.runtime.state import ACCEPTS, LEGAL, RuntimeState


def test_every_state_has_a_row() -> None:
    assert set(LEGAL) == set(RuntimeState)


def test_input_is_taken_by_who_is_idle_or_runs_and_by_nobody_else() -> None:
    assert {RuntimeState.IDLE, RuntimeState.RUNNING} == ACCEPTS


@pytest.mark.parametrize("state", RuntimeState)
def test_there_is_a_way_to_the_end_and_none_back(state: RuntimeState) -> None:
    seen, waiting = set[RuntimeState](), {state}
    while waiting:
        one = waiting.pop()
        seen.add(one)
        waiting |= LEGAL[one] - seen
    assert RuntimeState.DESTROYED in seen
    if state not in ACCEPTS:
        assert not seen & ACCEPTS
