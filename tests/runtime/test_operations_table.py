"""What may happen to background work, where it stands: one table, every cell of it."""

from collections.abc import Awaitable, Callable, Mapping

import pytest

from meerkat_mob.errors import OperationNotFound, OperationRefused
from meerkat_mob.runtime.operations import (
    LIVING,
    STEPS,
    OperationMove,
    OperationRegistry,
    OperationStatus,
    PeerHandle,
    status_of,
)
from tests.runtime.operations_kit import Log, a_child, a_registry

S, M = OperationStatus, OperationMove
Do = Callable[[OperationRegistry], Awaitable[object]]
PEER = PeerHandle(peer_name="mob/worker/one")


async def progress(registry: OperationRegistry) -> None:
    registry.report_progress("child")


DO: Mapping[OperationMove, Do] = {
    M.REGISTER: lambda r: r.register_operation(a_child()),
    M.PROVISIONED: lambda r: r.provisioning_succeeded("child"),
    M.PROVISIONING_FAILED: lambda r: r.provisioning_failed("child", "no"),
    M.ABORT: lambda r: r.abort_provisioning("child"),
    M.PEER_READY: lambda r: r.peer_ready("child", PEER),
    M.PROGRESS: progress,
    M.COMPLETE: lambda r: r.complete("child"),
    M.FAIL: lambda r: r.fail("child", "no"),
    M.CANCEL: lambda r: r.cancel("child"),
    M.RETIRE: lambda r: r.request_retire("child"),
    M.MARK_RETIRED: lambda r: r.mark_retired("child"),
    M.TERMINATE: lambda r: r.terminate_owner("over"),
}
WAY: Mapping[OperationStatus, tuple[OperationMove, ...]] = {
    S.PROVISIONING: (M.REGISTER,),
    S.RUNNING: (M.REGISTER, M.PROVISIONED),
    S.RETIRING: (M.REGISTER, M.PROVISIONED, M.RETIRE),
    S.COMPLETED: (M.REGISTER, M.PROVISIONED, M.COMPLETE),
    S.FAILED: (M.REGISTER, M.PROVISIONING_FAILED),
    S.ABORTED: (M.REGISTER, M.ABORT),
    S.CANCELLED: (M.REGISTER, M.CANCEL),
    S.RETIRED: (M.REGISTER, M.PROVISIONED, M.RETIRE, M.MARK_RETIRED),
    S.TERMINATED: (M.REGISTER, M.TERMINATE),
}
ALLOWED = {
    S.PROVISIONING: {M.PROVISIONED, M.PROVISIONING_FAILED, M.ABORT, M.FAIL, M.CANCEL, M.TERMINATE},
    S.RUNNING: {M.PEER_READY, M.PROGRESS, M.COMPLETE, M.FAIL, M.CANCEL, M.RETIRE, M.TERMINATE},
    S.RETIRING: {
        M.PEER_READY,
        M.PROGRESS,
        M.COMPLETE,
        M.FAIL,
        M.CANCEL,
        M.MARK_RETIRED,
        M.TERMINATE,
    },
}


def test_the_table_allows_exactly_what_is_written_here() -> None:
    allowed = {s: {m for m, row in STEPS.items() if s in row} for s in OperationStatus}
    nothing: set[OperationMove] = set()
    assert allowed == {s: ALLOWED.get(s, nothing) for s in OperationStatus} | {
        S.ABSENT: {M.REGISTER}
    }


def test_every_move_has_a_row_and_every_status_but_the_first_is_reached() -> None:
    assert set(STEPS) == set(OperationMove)
    assert {after for row in STEPS.values() for after in row.values()} == set(S) - {S.ABSENT}
    assert set(ALLOWED) == LIVING


@pytest.mark.parametrize("status", WAY)
@pytest.mark.parametrize("move", [m for m in M if m not in {M.REGISTER, M.TERMINATE}])
async def test_each_move_happens_where_the_table_says_and_nowhere_else(
    status: OperationStatus, move: OperationMove
) -> None:
    log = Log()
    registry = a_registry(log)
    for step in WAY[status]:
        await DO[step](registry)
    assert registry.snapshot("child").status is status
    kept = len(log.records)

    if status in STEPS[move]:
        await DO[move](registry)
        assert registry.snapshot("child").status is STEPS[move][status]
    else:
        with pytest.raises(OperationRefused, match="child"):
            await DO[move](registry)
        assert registry.snapshot("child").status is status
        assert len(log.records) == kept


@pytest.mark.parametrize("move", [m for m in M if m not in {M.REGISTER, M.TERMINATE}])
async def test_nothing_happens_to_what_nobody_has_registered(move: OperationMove) -> None:
    log = Log()
    with pytest.raises(OperationNotFound, match="child"):
        await DO[move](a_registry(log))
    assert log.records == []


@pytest.mark.parametrize("status", [s for s in WAY if s not in LIVING])
async def test_the_status_of_an_end_is_that_of_its_outcome(status: OperationStatus) -> None:
    registry = a_registry(Log())
    for step in WAY[status]:
        await DO[step](registry)
    outcome = registry.snapshot("child").terminal_outcome
    assert outcome is not None
    assert status_of(outcome) is status
