"""A run counts what it executed, and fails for a skip that is not listed or a missing test."""

from typing import Any, Literal

import pytest

from tests.support.targets import TESTS, LeftOut, Tally, left_out

LISTING = """
[here]
about = "a target"

[[here.leave_out]]
path = "tests/harness"
reason = "for the sake of this test"

[[here.leave_out]]
path = "tests/harness/test_targets.py::test_one"
reason = "the same"
"""


def a_report(
    outcome: Literal["passed", "failed", "skipped"],
    when: Literal["setup", "call", "teardown"] = "call",
    **more: Any,
) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid="tests/x.py::test_x",
        location=("tests/x.py", 1, "test_x"),
        keywords={},
        outcome=outcome,
        longrepr=None,
        when=when,
        **more,
    )


def a_tally(*reports: pytest.TestReport) -> Tally:
    tally = Tally("here", whole=True)
    for report in reports:
        tally.count(report)
    return tally


def test_only_tests_whose_body_ran_are_executed() -> None:
    tally = a_tally(
        a_report("passed", "setup"),
        a_report("passed"),
        a_report("passed", "teardown"),
        a_report("failed"),
        a_report("skipped", "setup"),
    )
    assert (tally.passed, tally.failed, tally.executed) == (1, 1, 2)


def test_an_expected_failure_counts_as_executed() -> None:
    tally = a_tally(a_report("skipped", wasxfail="foretold"))
    assert (tally.executed, tally.skips) == (1, [])


def test_a_skip_that_is_not_listed_is_a_fault_of_the_run() -> None:
    tally = a_tally(a_report("passed"), a_report("skipped", "setup"))
    tally.judge(floor=None)
    assert tally.faults == ["tests/x.py::test_x was skipped, and targets.toml does not list it"]


def test_fewer_tests_than_the_floor_are_a_fault_of_the_run() -> None:
    tally = a_tally(a_report("passed"))
    tally.judge(floor=3)
    assert tally.faults == ["1 tests executed, 2 below the floor"]


def test_as_many_tests_as_the_floor_are_enough() -> None:
    tally = a_tally(a_report("passed"))
    tally.judge(floor=1)
    assert tally.faults == []


def test_an_entry_covers_its_folder_and_what_is_below() -> None:
    folder, single = left_out(LISTING, "here")
    assert folder.whole
    assert folder.covers(TESTS / "harness")
    assert folder.covers(TESTS / "harness" / "test_targets.py")
    assert not folder.covers(TESTS / "harness_of_another")
    assert not single.whole


def test_an_entry_that_points_nowhere_is_an_error_of_usage() -> None:
    gone = LISTING.replace("tests/harness", "tests/that/never/were")
    with pytest.raises(pytest.UsageError, match="which is gone"):
        left_out(gone, "here")


def test_an_unknown_target_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(pytest.UsageError, match=r"no target 'elsewhere' .* here"):
        left_out(LISTING, "elsewhere")


def test_every_entry_of_the_real_list_has_a_reason() -> None:
    listing = (TESTS / "targets.toml").read_text()
    entries: list[LeftOut] = []
    for target in ("cpython", "pyodide-node", "pyodide-chromium", "page"):
        entries += left_out(listing, target)
    assert [one.path for one in entries if not one.reason.strip()] == []
