"""Ended jobs wake a quiet session once, and the model is told (8.6, detached wake; W18)."""

import pytest

from meerkat_mob.core.inputs import SystemSource, kind_of
from meerkat_mob.runtime.operations import (
    REASON,
    FeedBuffer,
    FeedEntry,
    JobNews,
    OperationAborted,
    OperationCancelled,
    OperationCompleted,
    OperationCursors,
    OperationFailed,
    OperationKind,
    OperationOutcome,
    OperationRegistry,
    OperationRetired,
    OperationTerminated,
    RuntimeBindings,
    continuation_for,
    decide_wake,
)
from meerkat_mob.runtime.policy import decide, rejection
from meerkat_mob.testing.builders import some_ids
from tests.runtime.operations_kit import Log, a_child, a_job, a_registry, completed

JOB: OperationKind = "background_tool_op"
CHILD: OperationKind = "mob_member_child"


def a_feed(*kinds: OperationKind, bound: int = 1024) -> FeedBuffer:
    feed = FeedBuffer(bound)
    for seq, kind in enumerate(kinds, 1):
        feed.append(an_end(seq, kind))
    return feed


def an_end(
    seq: int, kind: OperationKind = JOB, outcome: OperationOutcome | None = None
) -> FeedEntry:
    return FeedEntry(
        seq=seq,
        operation_id=f"op-{seq}",
        kind=kind,
        display_name=f"build {seq}",
        outcome=OperationCompleted() if outcome is None else outcome,
        at=0,
    )


def at(agent: int, observed: int, injected: int) -> OperationCursors:
    return OperationCursors(
        agent_applied=agent, runtime_observed=observed, runtime_last_injected=injected
    )


@pytest.mark.parametrize(
    ("kinds", "cursors", "quiescent", "then", "woken_for"),
    [
        pytest.param((), at(0, 0, 0), True, at(0, 0, 0), None, id="nothing ended"),
        pytest.param((JOB,), at(0, 0, 0), True, at(0, 1, 1), [1], id="a job wakes who is quiet"),
        pytest.param((JOB,) * 5, at(0, 0, 0), True, at(0, 5, 5), [1, 2, 3, 4, 5], id="five, once"),
        pytest.param((JOB,) * 5, at(0, 5, 5), True, at(0, 5, 5), None, id="and not again"),
        pytest.param((JOB,), at(0, 0, 0), False, at(0, 0, 0), None, id="who is at work waits"),
        pytest.param((CHILD,), at(0, 0, 0), True, at(0, 1, 0), None, id="a child wakes nobody"),
        pytest.param((CHILD, JOB), at(0, 1, 0), True, at(0, 2, 2), [2], id="a job after a child"),
        pytest.param((JOB, CHILD), at(0, 1, 1), True, at(0, 2, 1), None, id="a child after a job"),
        pytest.param((JOB,) * 2, at(2, 1, 1), True, at(2, 1, 1), None, id="a run told it already"),
        pytest.param((JOB,) * 3, at(2, 0, 0), True, at(2, 3, 3), [3], id="a run told of some"),
        pytest.param((JOB,) * 2, at(0, 1, 1), True, at(0, 2, 2), [1, 2], id="a run that failed"),
    ],
)
def test_the_wake_is_decided_by_this_table(
    kinds: tuple[OperationKind, ...],
    cursors: OperationCursors,
    quiescent: bool,
    then: OperationCursors,
    woken_for: list[int] | None,
) -> None:
    wake = decide_wake(a_feed(*kinds), cursors, quiescent=quiescent)
    assert wake.cursors == then
    assert (None if wake.news is None else [job.seq for job in wake.news.jobs]) == woken_for


def test_ends_that_the_feed_no_longer_has_are_said_to_be_missed() -> None:
    wake = decide_wake(a_feed(*(JOB,) * 5, bound=2), at(1, 1, 1), quiescent=True)
    assert wake.news is not None
    assert [job.seq for job in wake.news.jobs] == [4, 5]
    assert wake.news.missed == 2
    assert wake.news.notice.body.startswith("2 earlier ends are no longer known.\n")


async def test_what_ends_while_the_session_is_at_work_wakes_it_afterwards_and_once() -> None:
    registry = a_registry(Log())
    await completed(registry, a_job("a"), a_job("b"))
    assert registry.wake(quiescent=False) is None
    assert registry.cursors == at(0, 0, 0)
    news = registry.wake(quiescent=True)
    assert news is not None
    assert news.through == 2
    assert registry.wake(quiescent=True) is None


async def test_what_a_run_has_told_wakes_nobody_afterwards() -> None:
    registry = a_registry(Log())
    await completed(registry, a_job())
    news = registry.news()
    assert news is not None
    await registry.told(news.through)
    assert registry.wake(quiescent=True) is None
    assert registry.news() is None


async def test_what_was_told_is_never_untold() -> None:
    log = Log()
    registry = a_registry(log)
    await completed(registry, a_job("a"), a_job("b"))
    await registry.told(2)
    kept = log.commits
    await registry.told(1)
    assert registry.cursors.agent_applied == 2
    assert log.commits == kept


async def test_news_that_was_injected_is_news_until_a_request_has_told_it() -> None:
    registry = a_registry(Log())
    await completed(registry, a_job())
    woken = registry.wake(quiescent=True)
    assert woken is not None
    assert registry.news() == woken
    await registry.told(woken.through)
    assert registry.news() is None


async def test_a_child_is_no_news() -> None:
    registry = a_registry(Log())
    await completed(registry, a_child())
    assert registry.wake(quiescent=True) is None
    assert registry.news() is None


def test_the_continuation_is_derived_steered_and_says_what_it_is_for() -> None:
    news = JobNews(through=7, jobs=(an_end(7),))
    item = continuation_for(news, epoch_id="epoch", input_id="in", at=5)
    assert (kind_of(item), item.reason, item.handling_mode) == ("continuation", REASON, "steer")
    assert (item.header.id, item.header.timestamp) == ("in", 5)
    assert (item.header.source, item.header.durability) == (SystemSource(), "derived")
    assert item.header.idempotency_key == "background_job:epoch:7"
    assert rejection(item) is None
    policy = decide(item, silent_intents=(), keep_alive=False)
    assert (policy.wakes, policy.lane, policy.transcript) == (True, "steer", False)


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (OperationCompleted(result="42 rows"), "completed: 42 rows"),
        (OperationCompleted(result={"rows": 42}), 'completed: {"rows":42}'),
        (OperationCompleted(), "completed."),
        (OperationFailed(error="no disk"), "failed: no disk"),
        (OperationAborted(), "aborted."),
        (OperationCancelled(reason="too slow"), "cancelled: too slow"),
        (OperationRetired(), "retired."),
        (OperationTerminated(reason="it went"), "terminated: it went"),
    ],
)
def test_the_notice_says_which_job_ended_and_how(outcome: OperationOutcome, line: str) -> None:
    notice = JobNews(through=1, jobs=(an_end(1, JOB, outcome),)).notice
    assert notice.kind == "background_job"
    assert notice.body == f'Background job "build 1" (op-1) {line}'


def test_a_long_result_is_cut_and_the_notice_says_by_how_much() -> None:
    long = OperationCompleted(result="x" * 2_500)
    body = JobNews(through=1, jobs=(an_end(1, JOB, long),)).notice.body
    assert body.endswith("x [500 more characters]")
    assert len(body) < 2_200


def test_of_very_many_jobs_the_last_ones_are_told_and_the_others_counted() -> None:
    jobs = (
        *(an_end(n) for n in range(1, 4)),
        an_end(4, JOB, OperationFailed(error="no")),
        *(an_end(n) for n in range(5, 37)),
    )
    lines = JobNews(through=36, jobs=jobs).notice.body.splitlines()
    assert lines[0] == "4 background jobs ended before these: 3 completed, 1 failed."
    assert len(lines) == 33
    assert lines[1] == 'Background job "build 5" (op-5) completed.'


# -- bindings ----------------------------------------------------------------------------------


def bound(log: Log) -> RuntimeBindings:
    return RuntimeBindings(operations=a_registry(log))


def test_bindings_name_the_session_and_begin_at_nothing() -> None:
    bindings = bound(Log())
    assert bindings.session_id == "owner"
    assert bindings.cursor_state == at(0, 0, 0)


async def test_every_look_gives_the_same_epoch_registry_and_feed() -> None:
    registry = a_registry(Log())
    one, two = RuntimeBindings(operations=registry), RuntimeBindings(operations=registry)
    assert one.epoch_id == two.epoch_id == registry.epoch_id
    await completed(one.operations, a_job())
    assert two.operations.completion_feed.watermark == 1
    assert two.operations.completion_feed is one.operations.completion_feed
    assert two.cursor_state == one.cursor_state


async def test_the_epoch_is_stable_over_a_restart_and_another_session_has_another() -> None:
    ids = some_ids("epoch")
    log, other = Log(ids), Log(ids)
    first = bound(log)
    assert bound(other).epoch_id != first.epoch_id
    await completed(first.operations, a_job())
    assert bound(log).epoch_id == first.epoch_id


def test_a_session_without_background_work_writes_nothing_and_mints_no_id() -> None:
    ids = some_ids("epoch")
    log = Log(ids)
    registry: OperationRegistry = a_registry(log)
    assert registry.wake(quiescent=True) is None
    assert registry.list_operations() == ()
    assert log.records == []
    assert ids() == "epoch-1"
