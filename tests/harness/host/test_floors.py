"""The floors rise by themselves, and fall only for a reason that is kept."""

import pytest

from scripts.floors import Floors, Tally, raised, read_floors
from scripts.run_tests import TARGETS

GREEN = Tally(passed=12, failed=0, whole=True)


def test_a_green_run_of_the_whole_suite_raises_the_floor() -> None:
    assert raised(Floors({"here": 10}), {"here": GREEN}, {}) == Floors({"here": 12})


def test_a_target_gets_its_first_floor() -> None:
    assert raised(Floors({}), {"here": GREEN}, {}) == Floors({"here": 12})


@pytest.mark.parametrize(
    "tally", [Tally(passed=12, failed=1, whole=True), Tally(passed=12, failed=0, whole=False)]
)
def test_a_red_run_or_a_part_of_the_suite_changes_nothing(tally: Tally) -> None:
    assert raised(Floors({"here": 10}), {"here": tally}, {}) == Floors({"here": 10})


def test_a_floor_does_not_fall_without_a_reason() -> None:
    with pytest.raises(SystemExit, match="here: 20 would fall to 12"):
        raised(Floors({"here": 20}), {"here": GREEN}, {})


def test_a_floor_that_falls_keeps_its_reason() -> None:
    lowered = raised(Floors({"here": 20}), {"here": GREEN}, {"here": "a room went"})
    assert lowered == Floors({"here": 12}, ("here 20 -> 12: a room went",))


def test_the_recorded_floors_are_for_known_targets() -> None:
    assert set(read_floors().floors) <= set(TARGETS)
