"""The registry of a session's background work keeps its contract (8.6, ops registry)."""

import asyncio

import msgspec
import pytest

from meerkat_mob.errors import (
    OperationExists,
    OperationNotFound,
    OperationRefused,
    StoreFailed,
    TooManyOperations,
    WaitRefused,
)
from meerkat_mob.runtime.operations import (
    OperationAborted,
    OperationCancelled,
    OperationCompleted,
    OperationFailed,
    OperationRetired,
    OperationSnapshot,
    OperationSpec,
    OperationStatus,
    OperationTerminated,
    PeerHandle,
)
from tests.runtime.kit import settle
from tests.runtime.operations_kit import Log, a_child, a_job, a_registry, completed, running

PEER = PeerHandle(peer_name="mob/worker/one", peer_id="key")
DONE = OperationCompleted(result={"rows": 3})


async def test_a_child_is_registered_reports_is_ready_completes_and_its_watcher_learns_it() -> None:
    registry = a_registry(Log())
    await registry.register_operation(a_child())
    watcher = registry.register_watcher("child")
    await registry.provisioning_succeeded("child")
    assert [registry.report_progress("child") for _ in range(2)] == [1, 2]
    await registry.peer_ready("child", PEER)
    assert not watcher.done()
    await registry.complete("child", {"rows": 3})

    assert await watcher == DONE
    shown = registry.snapshot("child")
    assert (shown.status, shown.peer_ready, shown.peer_handle) == ("completed", True, PEER)
    assert (shown.progress_count, shown.watcher_count) == (2, 0)


async def test_a_peer_becomes_ready_once() -> None:
    registry = a_registry(Log())
    await running(registry, a_child())
    await registry.peer_ready("child", PEER)
    with pytest.raises(OperationRefused, match="ready before"):
        await registry.peer_ready("child", PEER)


@pytest.mark.parametrize(
    "spec", [a_job(), a_job(kind="mob_member_child", expects_peer=False)], ids=["job", "child"]
)
async def test_a_peer_becomes_ready_only_if_one_was_expected(spec: OperationSpec) -> None:
    registry = a_registry(Log())
    await running(registry, spec)
    with pytest.raises(OperationRefused, match="no peer was expected"):
        await registry.peer_ready("job", PEER)
    assert not registry.snapshot("job").peer_ready


async def test_each_way_to_end_gives_its_outcome_to_the_watcher() -> None:
    registry = a_registry(Log())
    names = ["done", "failed", "cancelled", "retired", "unborn", "aborted"]
    for name in names:
        await registry.register_operation(a_child(name))
    watchers = {name: registry.register_watcher(name) for name in names}
    for name in names[:4]:
        await registry.provisioning_succeeded(name)
    await registry.complete("done", "text")
    await registry.fail("failed", "it broke")
    await registry.cancel("cancelled", "not wanted")
    await registry.request_retire("retired")
    assert registry.snapshot("retired").status is OperationStatus.RETIRING
    await registry.mark_retired("retired")
    await registry.provisioning_failed("unborn", "no room")
    await registry.abort_provisioning("aborted", "too late")

    assert {name: await watcher for name, watcher in watchers.items()} == {
        "done": OperationCompleted(result="text"),
        "failed": OperationFailed(error="it broke"),
        "cancelled": OperationCancelled(reason="not wanted"),
        "retired": OperationRetired(),
        "unborn": OperationFailed(error="no room"),
        "aborted": OperationAborted(reason="too late"),
    }
    assert [e.operation_id for e in registry.completion_feed.list_since(0).entries] == names


async def test_who_watches_what_has_ended_is_answered_at_once() -> None:
    registry = a_registry(Log())
    await completed(registry, a_job())
    assert registry.register_watcher("job").result() == OperationCompleted()


async def test_many_watch_one_and_each_learns_the_same_and_one_that_left_hurts_nobody() -> None:
    registry = a_registry(Log())
    await running(registry, a_job())
    watchers = [registry.register_watcher("job") for _ in range(5)]
    watchers.pop().cancel()
    assert registry.snapshot("job").watcher_count == 4
    await registry.fail("job", "no")
    outcomes = [await watcher for watcher in watchers]
    assert outcomes[0] == OperationFailed(error="no")
    assert all(outcome is outcomes[0] for outcome in outcomes)


async def test_an_unknown_operation_cannot_be_watched_or_shown() -> None:
    registry = a_registry(Log())
    with pytest.raises(OperationNotFound):
        registry.register_watcher("who")
    with pytest.raises(OperationNotFound):
        registry.snapshot("who")


async def test_an_id_is_registered_once_also_after_its_end() -> None:
    registry = a_registry(Log())
    await registry.register_operation(a_job())
    with pytest.raises(OperationExists):
        await registry.register_operation(a_job())
    await registry.cancel("job")
    with pytest.raises(OperationExists):
        await registry.register_operation(a_job())


async def test_a_registry_takes_only_what_its_own_session_owns() -> None:
    one, other = a_registry(Log()), a_registry(Log())
    await one.register_operation(a_job())
    assert other.list_operations() == ()
    with pytest.raises(OperationRefused, match="somebody"):
        await other.register_operation(a_job(owner="somebody"))


async def test_the_limit_counts_what_is_at_work_and_an_end_makes_room() -> None:
    log = Log()
    registry = a_registry(log, max_concurrent=2)
    await running(registry, a_job("a"), a_job("b"))
    kept = len(log.records)
    with pytest.raises(TooManyOperations) as refused:
        await registry.register_operation(a_job("c"))
    assert (refused.value.code, refused.value.limit) == ("MAX_CONCURRENT_EXCEEDED", 2)
    assert len(log.records) == kept
    await registry.complete("a")
    await registry.register_operation(a_job("c"))


async def test_the_limit_holds_for_those_who_register_at_the_same_time() -> None:
    log = Log()
    registry = a_registry(log, max_concurrent=2)
    results = await asyncio.gather(
        *(registry.register_operation(a_job(f"job-{n}")) for n in range(5)), return_exceptions=True
    )
    assert sum(isinstance(result, TooManyOperations) for result in results) == 3
    assert len(registry.list_operations()) == 2


async def test_a_snapshot_says_all_there_is_and_its_time_stands_still_at_the_end() -> None:
    log = Log()
    registry = a_registry(log)
    await registry.register_operation(a_job())
    before = registry.snapshot("job")
    assert (before.started_at, before.completed_at, before.terminal_outcome) == (None, None, None)
    assert before.elapsed_ms > 0
    await registry.provisioning_succeeded("job")
    started = registry.snapshot("job").started_at
    registry.register_watcher("job")
    assert registry.snapshot("job").watcher_count == 1
    await registry.complete("job", "text")

    shown = registry.snapshot("job")
    assert shown == registry.snapshot("job")
    assert shown.spec == a_job()
    assert started is not None
    assert shown.completed_at is not None
    assert before.created_at < started < shown.completed_at
    assert shown.elapsed_ms == shown.completed_at - started
    assert shown.terminal_outcome == OperationCompleted(result="text")
    assert msgspec.json.decode(msgspec.json.encode(shown), type=OperationSnapshot) == shown


async def test_the_list_has_the_ended_ones_first_and_then_the_others_as_they_came() -> None:
    registry = a_registry(Log())
    await running(registry, a_job("a"), a_job("b"), a_job("c"))
    await registry.complete("b")
    assert [shown.spec.id for shown in registry.list_operations()] == ["b", "a", "c"]


async def test_the_oldest_ended_ones_are_forgotten_and_what_is_at_work_never_is() -> None:
    registry = a_registry(Log(), retention=3)
    await running(registry, a_job("at work"))
    await completed(registry, *(a_job(f"job-{n}") for n in range(5)))
    kept = [shown.spec.id for shown in registry.list_operations()]
    assert kept == ["job-2", "job-3", "job-4", "at work"]
    assert len(registry.completion_feed.list_since(0).entries) == 5


# -- the end of the owner ----------------------------------------------------------------------


async def test_the_end_of_the_owner_tells_every_watcher_once_and_spares_what_had_ended() -> None:
    log = Log()
    registry = a_registry(log)
    await completed(registry, a_job("before"))
    await running(registry, a_job("a"), a_job("b"))
    watchers = [registry.register_watcher(name) for name in ("a", "a", "b")]
    assert await registry.terminate_owner("the session was closed") == 2
    kept = log.commits
    assert await registry.terminate_owner("again") == 0

    gone = OperationTerminated(reason="the session was closed")
    assert [await watcher for watcher in watchers] == [gone] * 3
    assert log.commits == kept
    assert registry.snapshot("before").terminal_outcome == OperationCompleted()


async def test_nothing_is_taken_after_the_end_of_the_owner() -> None:
    registry = a_registry(Log())
    await registry.terminate_owner("over")
    with pytest.raises(OperationRefused, match="owner has ended"):
        await registry.register_operation(a_job())


async def test_whoever_watches_is_told_of_the_owner_s_end_although_it_cannot_be_kept() -> None:
    log = Log()
    registry = a_registry(log)
    await running(registry, a_job())
    watcher, feed = registry.register_watcher("job"), registry.completion_feed
    log.failing = True
    with pytest.raises(StoreFailed):
        await registry.terminate_owner("over")
    assert await watcher == OperationTerminated(reason="over")
    assert isinstance(registry.register_watcher("job").result(), OperationTerminated)
    with pytest.raises(OperationRefused, match="owner has ended"):
        await registry.complete("job")
    assert await feed.wait_for_advance(0) == 0

    log.failing = False
    assert await registry.terminate_owner("over") == 1


# -- several at a time -------------------------------------------------------------------------


async def test_a_wait_for_several_gives_all_ends_in_the_order_that_was_asked() -> None:
    registry = a_registry(Log())
    await running(registry, a_job("a"), a_job("b"), a_job("c"))
    await registry.complete("c", 3)
    wait = asyncio.create_task(registry.wait_all("run", ["b", "c", "a"]))
    await settle()
    assert registry.waiting_run == "run"
    await registry.complete("a", 1)
    await registry.cancel("b")
    assert list((await wait).items()) == [
        ("b", OperationCancelled()),
        ("c", OperationCompleted(result=3)),
        ("a", OperationCompleted(result=1)),
    ]
    assert registry.waiting_run is None


async def test_a_wait_for_nothing_is_over_at_once() -> None:
    assert await a_registry(Log()).wait_all("run", []) == {}


@pytest.mark.parametrize(
    ("names", "error"),
    [(["a", "who"], OperationNotFound), (["a", "a"], WaitRefused)],
    ids=["unknown", "twice"],
)
async def test_a_wait_that_cannot_be_is_refused_and_leaves_nobody_watching(
    names: list[str], error: type[Exception]
) -> None:
    registry = a_registry(Log())
    await running(registry, a_job("a"))
    with pytest.raises(error):
        await registry.wait_all("run", names)
    assert registry.snapshot("a").watcher_count == 0
    assert registry.waiting_run is None


async def test_one_wait_at_a_time_and_cancelling_it_cancels_the_wait_only() -> None:
    registry = a_registry(Log())
    await running(registry, a_job("a"), a_job("b"))
    other = registry.register_watcher("a")
    wait = asyncio.create_task(registry.wait_all("run-1", ["a", "b"]))
    await settle()
    with pytest.raises(WaitRefused, match="run-1"):
        await registry.wait_all("run-2", ["a"])
    wait.cancel()
    await asyncio.wait([wait])
    assert wait.cancelled()
    assert registry.snapshot("a").status is OperationStatus.RUNNING
    assert [shown.watcher_count for shown in registry.list_operations()] == [1, 0]

    again = asyncio.create_task(registry.wait_all("run-2", ["a"]))
    await settle()
    await registry.complete("a")
    assert (await again)["a"] is await other


async def test_what_is_collected_is_collected_once() -> None:
    registry = a_registry(Log())
    await completed(registry, a_job("a"), a_job("b"))
    assert [entry.operation_id for entry in await registry.collect_completed()] == ["a", "b"]
    assert await registry.collect_completed() == ()
    await completed(registry, a_job("c"))
    assert [entry.operation_id for entry in await registry.collect_completed()] == ["c"]
    assert registry.snapshot("a").status is OperationStatus.COMPLETED


# -- the feed ----------------------------------------------------------------------------------


async def test_the_feed_grows_without_gaps_and_is_read_from_any_number() -> None:
    registry = a_registry(Log())
    feed = registry.completion_feed
    assert (feed.watermark, feed.list_since(0).entries) == (0, ())
    await completed(registry, *(a_job(f"job-{n}") for n in range(4)))
    assert feed.watermark == 4
    assert [entry.seq for entry in feed.list_since(0).entries] == [1, 2, 3, 4]
    assert [entry.seq for entry in feed.list_since(2).entries] == [3, 4]
    assert feed.list_since(9).entries == ()
    assert feed.list_since(9).missed == 0


async def test_who_follows_the_feed_is_woken_by_an_end_and_by_nothing_before() -> None:
    registry = a_registry(Log())
    await running(registry, a_job("a"), a_job("b"))
    feed = registry.completion_feed
    followers = [asyncio.create_task(feed.wait_for_advance(seq)) for seq in (0, 0, 1)]
    registry.report_progress("a")
    await settle()
    assert not any(follower.done() for follower in followers)
    await registry.complete("a")
    await settle()
    assert [follower.done() for follower in followers] == [True, True, False]
    await registry.complete("b")
    assert [await follower for follower in followers] == [1, 1, 2]


async def test_who_follows_the_feed_is_let_go_when_no_end_can_come_any_more() -> None:
    registry = a_registry(Log())
    follower = asyncio.create_task(registry.completion_feed.wait_for_advance(0))
    await settle()
    await registry.terminate_owner("over")
    assert await follower == 0
    assert registry.completion_feed.closed


async def test_the_feed_is_bounded_and_says_how_much_is_missed() -> None:
    registry = a_registry(Log(), retention=1)
    await completed(registry, *(a_job(f"job-{n}") for n in range(1030)))
    found = registry.completion_feed.list_since(0)
    assert (len(found.entries), found.missed, found.entries[0].seq) == (1024, 6, 7)
    assert registry.completion_feed.list_since(6).missed == 0


# -- kept before it is seen --------------------------------------------------------------------


async def test_a_change_is_seen_only_when_it_is_kept() -> None:
    log = Log()
    registry = a_registry(log)
    await running(registry, a_job())
    watcher = registry.register_watcher("job")
    log.slow = asyncio.get_running_loop().create_future()
    end = asyncio.create_task(registry.complete("job"))
    await settle()
    assert registry.snapshot("job").status is OperationStatus.RUNNING
    assert registry.completion_feed.watermark == 0
    assert not watcher.done()
    log.slow.set_result(None)
    await end
    assert watcher.done()
    assert registry.completion_feed.watermark == 1


async def test_of_two_ends_at_the_same_time_one_is_kept_and_the_other_is_refused() -> None:
    log = Log()
    registry = a_registry(log)
    await running(registry, a_job())
    log.slow = asyncio.get_running_loop().create_future()
    ends = [
        asyncio.create_task(registry.complete("job")),
        asyncio.create_task(registry.cancel("job")),
    ]
    await settle()
    log.slow.set_result(None)
    first, second = await asyncio.gather(*ends, return_exceptions=True)
    assert first is None
    assert isinstance(second, OperationRefused)
    assert log.kinds.count("operation_ended") == 1


async def test_an_end_whose_caller_left_while_it_was_kept_is_seen_by_all_others() -> None:
    log = Log()
    registry = a_registry(log)
    await running(registry, a_job())
    watcher = registry.register_watcher("job")
    log.slow, log.lands = asyncio.get_running_loop().create_future(), "seen"
    end = asyncio.create_task(registry.complete("job"))
    await settle()
    end.cancel()
    await asyncio.wait([end])
    assert end.cancelled()
    assert watcher.result() == OperationCompleted()
    assert registry.snapshot("job").status is OperationStatus.COMPLETED
    log.slow = None
    await registry.register_operation(a_job("next"))


async def test_what_cannot_be_kept_has_not_happened_and_can_be_tried_again() -> None:
    log = Log()
    registry = a_registry(log)
    await running(registry, a_job())
    watcher = registry.register_watcher("job")
    log.failing = True
    with pytest.raises(StoreFailed):
        await registry.complete("job")
    with pytest.raises(StoreFailed):
        await registry.register_operation(a_job("other"))
    assert [shown.status for shown in registry.list_operations()] == [OperationStatus.RUNNING]
    assert registry.completion_feed.watermark == 0
    assert not watcher.done()
    log.failing = False
    await registry.complete("job")
    assert watcher.done()


async def test_a_report_of_progress_costs_no_write_and_the_end_keeps_the_count() -> None:
    log = Log()
    registry = a_registry(log)
    await running(registry, a_job())
    kept = log.commits
    for _ in range(100):
        registry.report_progress("job")
    assert log.commits == kept
    await registry.complete("job")
    assert a_registry(log).snapshot("job").progress_count == 100
