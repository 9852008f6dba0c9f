"""Retire, reset and stop, beside work that waits and work that runs, in every home."""

from __future__ import annotations

import asyncio

import pytest

from meerkat_mob.errors import RunCancelled, RuntimeNotReady
from meerkat_mob.runtime import Abandoned, Completed, InputPhase, RuntimeState
from meerkat_mob.testing.builders import a_notice, a_prompt
from tests.runtime.driven import HOMES, SESSION, driven, reason_of
from tests.runtime.kit import Desk, settle

in_every_home = pytest.mark.parametrize("home", HOMES)


# -- retire ------------------------------------------------------------------------------------


@in_every_home
async def test_a_retired_runtime_runs_what_it_has_to_its_end_and_takes_no_more(home: str) -> None:
    async with driven(home) as one:
        ended = [await one.accept(a_prompt("x", f"in-{n}")) for n in (1, 2)]
        assert (await one.adapter.retire_runtime(SESSION)).pending_drain == 2
        while one.desk.at_work:
            with pytest.raises(RuntimeNotReady, match="retired"):
                await one.adapter.accept_input(SESSION, a_prompt("x", "late"))
            await one.end_run()
        assert one.runs == [("in-1",), ("in-2",)]
        assert all(isinstance(future.result(), Completed) for future in ended)
        assert (one.state, one.waiting()) == (RuntimeState.RETIRED, [])
        assert one.adapter.input_state(SESSION, "late") is None


@in_every_home
async def test_without_an_executor_nothing_drains_so_it_ends_with_the_retirement(home: str) -> None:
    async with driven(home, works=False) as one:
        ended = [await one.accept(a_prompt("x", f"in-{n}")) for n in (1, 2)]
        assert (await one.adapter.retire_runtime(SESSION)).pending_drain == 0
        assert [reason_of(future) for future in ended] == ["retired", "retired"]
        assert one.state is RuntimeState.RETIRED


@in_every_home
async def test_to_retire_twice_is_to_retire_once(home: str) -> None:
    async with driven(home) as one:
        await one.accept(a_prompt("x", "in-1"))
        assert (await one.adapter.retire_runtime(SESSION)).pending_drain == 1
        assert (await one.adapter.retire_runtime(SESSION)).pending_drain == 1
        await one.end_run()
        assert (await one.adapter.retire_runtime(SESSION)).pending_drain == 0


# -- reset -------------------------------------------------------------------------------------


@in_every_home
@pytest.mark.parametrize("works", [True, False])
async def test_a_reset_ends_waited_work_without_running_it(home: str, works: bool) -> None:
    async with driven(home, works=works) as one:
        one.adapter.hold(SESSION, held=True)
        ended = [await one.accept(a_prompt("x", "in-1")), await one.accept(a_notice("x", "in-2"))]
        assert await one.adapter.reset_runtime(SESSION) == 2
        assert [reason_of(future) for future in ended] == ["reset", "reset"]
        assert await one.adapter.reset_runtime(SESSION) == 0  # once
        one.adapter.hold(SESSION, held=False)
        await settle()
        assert (one.runs, one.phase("in-1")) == ([], InputPhase.ABANDONED)
        assert one.state is (RuntimeState.ATTACHED if works else RuntimeState.IDLE)


@in_every_home
async def test_after_a_reset_new_work_runs(home: str) -> None:
    async with driven(home) as one:
        one.adapter.hold(SESSION, held=True)
        await one.accept(a_prompt("x", "in-1"))
        await one.adapter.reset_runtime(SESSION)
        one.adapter.hold(SESSION, held=False)
        ended = await one.accept(a_prompt("x", "in-2"))
        await one.end_run()
        assert (one.runs, isinstance(ended.result(), Completed)) == ([("in-2",)], True)


@in_every_home
async def test_a_reset_opens_what_was_retired(home: str) -> None:
    async with driven(home) as one:
        one.adapter.hold(SESSION, held=True)
        ended = await one.accept(a_prompt("x", "in-1"))
        assert (await one.adapter.retire_runtime(SESSION)).pending_drain == 1
        assert await one.adapter.reset_runtime(SESSION) == 1
        assert (reason_of(ended), one.state) == ("reset", RuntimeState.ATTACHED)
        one.adapter.hold(SESSION, held=False)
        await one.accept(a_prompt("x", "in-2"))
        assert one.runs == [("in-2",)]


@in_every_home
@pytest.mark.parametrize("retired", [False, True])
async def test_a_reset_is_refused_while_a_run_goes_on(home: str, retired: bool) -> None:
    async with driven(home) as one:
        await one.accept(a_prompt("x", "in-1"))
        await one.accept(a_prompt("x", "in-2"))
        if retired:
            await one.adapter.retire_runtime(SESSION)
        state = one.state
        with pytest.raises(RuntimeNotReady, match="running"):
            await one.adapter.reset_runtime(SESSION)
        assert (one.state, one.waiting()) == (state, ["in-1", "in-2"])
        await one.end_run()
        await one.end_run()
        assert one.runs == [("in-1",), ("in-2",)]


# -- stop --------------------------------------------------------------------------------------


@in_every_home
async def test_a_stop_goes_before_queued_work_and_cancels_what_runs(home: str) -> None:
    """W11: it does not wait for the end of the run."""
    async with driven(home) as one:
        running = await one.accept(a_prompt("x", "in-1"))
        queued = await one.accept(a_prompt("x", "in-2"))
        assert await one.adapter.stop_runtime_executor(SESSION) == 1
        outcome = running.result()
        assert isinstance(outcome, Abandoned)
        assert (outcome.reason, type(outcome.error)) == ("cancelled", RunCancelled)
        assert reason_of(queued) == "stopped"
        assert (one.runs, one.state) == ([("in-1",)], RuntimeState.STOPPED)


class SlowDesk(Desk):
    """Its runs do not heed a cancel."""

    async def cancel_current_run(self) -> None:
        pass


@in_every_home
async def test_a_stop_is_over_when_the_run_is(home: str) -> None:
    """Until then it is busy, and nothing else begins."""
    async with driven(home, works=False) as one:
        desk = SlowDesk()
        await one.adapter.register_session(SESSION, desk)
        running = await one.accept(a_prompt("x", "in-1"))
        stop = asyncio.create_task(one.adapter.stop_runtime_executor(SESSION))
        await settle(12)
        assert (stop.done(), running.done(), one.adapter.is_busy(SESSION)) == (False, False, True)
        assert not one.adapter.session_has_executor(SESSION)
        desk.end()
        assert await stop == 0
        assert isinstance(running.result(), Completed)
        assert (one.adapter.is_busy(SESSION), one.state) == (False, RuntimeState.STOPPED)
