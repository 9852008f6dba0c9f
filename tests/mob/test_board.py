"""The task board's rules (spec mob 1.7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.errors import TaskRefused
from meerkat_mob.mob.facts import Fact, TaskCreated, TaskUpdated
from meerkat_mob.mob.tasks import TaskBoard


def a_board(*facts: Fact) -> TaskBoard:
    board = TaskBoard()
    for at, fact in enumerate(facts, start=1):
        board.apply(fact, at)
    return board


def created(task_id: str, *blocked_by: str) -> TaskCreated:
    return TaskCreated(task_id=task_id, subject=task_id, description="", blocked_by=blocked_by)


def test_a_new_task_is_open_and_nobody_owns_it() -> None:
    (task,) = a_board(created("a")).list()
    assert (task.status, task.owner, task.created_at, task.updated_at) == ("open", None, 1, 1)


@pytest.mark.parametrize("subject", ["", "  ", "\n"])
def test_a_task_without_a_subject_is_refused(subject: str) -> None:
    with pytest.raises(TaskRefused, match="needs a subject"):
        a_board().creation("a", subject, "", ())


def test_a_task_that_waits_for_an_unknown_one_is_refused() -> None:
    with pytest.raises(TaskRefused, match="no task 'ghost'"):
        a_board().creation("a", "subject", "", ("ghost",))


def test_a_change_of_an_unknown_task_names_it() -> None:
    with pytest.raises(TaskRefused, match="no task 'ghost'"):
        a_board().update("ghost", "completed", None)


def test_an_owner_is_taken_with_in_progress_and_stays_afterwards() -> None:
    board = a_board(created("a"))
    claim = board.update("a", "in_progress", "ann")
    assert claim.owner == "ann"
    board.apply(claim, 2)
    assert board.update("a", "completed", "bob").owner == "ann"


@pytest.mark.parametrize("owner", [None, "ann"])
def test_work_does_not_begin_before_what_it_waits_for_is_completed(owner: str | None) -> None:
    board = a_board(created("a"), created("b", "a"))
    with pytest.raises(TaskRefused, match="incomplete dependencies: a"):
        board.update("b", "in_progress", owner)
    board.apply(TaskUpdated(task_id="a", status="completed"), 3)
    assert board.update("b", "in_progress", owner).owner == owner


IDS = st.sampled_from(["a", "b", "c"])
FACTS = st.lists(
    st.one_of(
        IDS.map(created),
        st.builds(
            TaskUpdated,
            task_id=IDS,
            status=st.sampled_from(["open", "in_progress", "completed", "cancelled"]),
            owner=st.none() | IDS,
        ),
    )
)


@given(FACTS)
def test_any_sequence_of_facts_folds_and_unknown_tasks_change_nothing(facts: list[Fact]) -> None:
    known = {f.task_id for f in facts if isinstance(f, TaskCreated)}
    assert {t.id for t in a_board(*facts).list()} == known
