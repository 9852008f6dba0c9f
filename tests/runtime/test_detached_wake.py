"""Background work that ends while its session rests, or works: the model is told, once (LP-4)."""

from __future__ import annotations

import asyncio

import pytest

from meerkat_mob.core.events import BackgroundJobCompleted
from meerkat_mob.core.messages import SystemNotice, text_of_message
from meerkat_mob.errors import RuntimeNotReady
from meerkat_mob.llm import ScriptedLlm, fail, hang, say
from meerkat_mob.runtime import (
    Accepted,
    Deduplicated,
    InputPhase,
    RuntimeSessionAdapter,
    SessionExecutor,
)
from meerkat_mob.runtime.inbox import KEPT
from meerkat_mob.runtime.operations import (
    OperationRegistry,
    OperationSpec,
    OperationStatus,
    OperationTerminated,
)
from meerkat_mob.store import MemoryStore
from meerkat_mob.testing.builders import (
    a_clock,
    a_persistent_service,
    a_prompt,
    a_request,
    a_session,
    some_ids,
    the_next,
)
from tests.runtime.kit import Office, a_desk, an_office, settle
from tests.runtime.long_queue import drains_in_order
from tests.runtime.operations_kit import a_child, a_job, completed, running


def jobs_of(office: Office) -> OperationRegistry:
    return office.adapter.prepare_bindings(office.session_id).operations


def jobs_for(office: Office, *names: str) -> list[OperationSpec]:
    return [a_job(name, owner=office.session_id) for name in names]


def notices_in(llm: ScriptedLlm) -> list[list[str]]:
    """What each call of the model was told of jobs."""
    return [
        [m.body for m in request.messages if isinstance(m, SystemNotice)]
        for request in llm.requests
    ]


# -- it wakes ----------------------------------------------------------------------------------


async def test_a_job_that_ends_wakes_a_session_at_rest_and_its_model_is_told() -> None:
    llm = ScriptedLlm([say("started"), say("I see it is done")])
    async with an_office(llm) as office:
        await office.adapter.accept_input(office.session_id, a_prompt("go", "p"))
        await office.idle()
        await completed(jobs_of(office), *jobs_for(office, "build"))
        await office.idle()
        assert notices_in(llm) == [[], ['Background job "the build" (build) completed.']]
        history = (await office.service.read_history(office.session_id)).messages
        assert [text_of_message(m) for m in history] == ["go", "started", "I see it is done"]
        assert jobs_of(office).news() is None


async def test_five_ends_in_a_row_come_to_one_run() -> None:
    llm = ScriptedLlm([say("seen")])
    async with an_office(llm) as office:
        registry, names = jobs_of(office), ("a", "b", "c", "d", "e")
        await running(registry, *jobs_for(office, *names))
        await asyncio.gather(*(registry.complete(name) for name in names))
        await office.idle()
        assert len(llm.requests) == 1
        ((told,),) = notices_in(llm)
        assert [line.split("(")[1][0] for line in told.splitlines()] == list(names)


async def test_an_end_during_a_run_waits_for_it_and_is_told_by_the_next() -> None:
    llm = ScriptedLlm([hang(), say("and the job")])
    async with an_office(llm) as office:
        _, ended = await office.adapter.accept_input_with_completion(
            office.session_id, a_prompt("go", "p")
        )
        await settle()
        await completed(jobs_of(office), *jobs_for(office, "build"))
        await settle()
        assert len(llm.requests) == 1
        await office.adapter.interrupt_current_run(office.session_id)
        assert ended is not None
        await ended
        await office.idle()
        assert [len(told) for told in notices_in(llm)] == [0, 1]


async def test_a_mob_s_child_wakes_nobody() -> None:
    llm = ScriptedLlm([])
    async with an_office(llm) as office:
        child = a_job("child", kind="mob_member_child", owner=office.session_id)
        await completed(jobs_of(office), child)
        await settle()
        assert not office.adapter.is_busy(office.session_id)
        assert llm.requests == []
    assert a_child().kind == child.kind


async def test_work_that_only_begins_wakes_nobody() -> None:
    llm = ScriptedLlm([])
    async with an_office(llm) as office:
        await running(jobs_of(office), *jobs_for(office, "build"))
        jobs_of(office).report_progress("build")
        await settle()
        assert not office.adapter.is_busy(office.session_id)


async def test_what_a_prompt_told_needs_no_run_of_its_own() -> None:
    llm = ScriptedLlm([say("all of it")])
    async with an_office(llm) as office:
        office.adapter.hold(office.session_id, held=True)
        await completed(jobs_of(office), *jobs_for(office, "build"))
        await office.adapter.accept_input(office.session_id, a_prompt("go", "p"))
        office.adapter.hold(office.session_id, held=False)
        await office.idle()
        assert [len(told) for told in notices_in(llm)] == [1]


async def test_watchers_of_the_session_see_each_job_once() -> None:
    llm = ScriptedLlm([say("seen")])
    async with an_office(llm) as office:
        events = office.service.subscribe_session_events(office.session_id, after=0)
        await completed(jobs_of(office), *jobs_for(office, "build"))
        seen = await the_next(BackgroundJobCompleted, events)
        assert (seen.job_id, seen.display_name, seen.status) == ("build", "the build", "completed")
        await office.idle()


# -- a run that does not tell it ---------------------------------------------------------------


@pytest.mark.virtual_only
async def test_a_run_that_failed_has_told_nothing_and_does_not_try_for_ever() -> None:
    llm = ScriptedLlm([fail(retryable=False), say("now")])
    async with an_office(llm) as office:
        await completed(jobs_of(office), *jobs_for(office, "build"))
        await office.idle()
        assert len(llm.requests) == 1
        assert jobs_of(office).news() is not None
        await office.adapter.accept_input(office.session_id, a_prompt("go", "p"))
        await office.idle()
        assert [len(told) for told in notices_in(llm)] == [1, 1]
        assert jobs_of(office).news() is None


async def test_an_end_that_nobody_was_told_of_is_told_after_a_restart() -> None:
    store, session_id = MemoryStore(clock=a_clock()), "the-session"
    first = await a_persistent_service(ScriptedLlm([]), store, ids=some_ids("a"))
    await first.create_session(a_request(defer=True, session_id=session_id))
    before = RuntimeSessionAdapter.persistent(first, ids=some_ids("a"), clock=a_clock())
    await before.register_session(session_id)
    registry = before.prepare_bindings(session_id).operations
    await completed(registry, a_job("done", owner=session_id))
    await running(registry, a_job("lost", owner=session_id))
    epoch = registry.epoch_id

    llm = ScriptedLlm([say("seen")])
    second = await a_persistent_service(llm, store, ids=some_ids("b"))
    after = RuntimeSessionAdapter.persistent(second, ids=some_ids("b"), clock=a_clock())
    await after.register_session(session_id, SessionExecutor(second, session_id))
    await after.activity.until(lambda: not after.is_busy(session_id))
    ((told,),) = notices_in(llm)
    assert [line.split("(")[1].split(")")[0] for line in told.splitlines()] == ["done", "lost"]
    bindings = after.prepare_bindings(session_id)
    assert bindings.epoch_id == epoch
    assert bindings.operations.snapshot("lost").status is OperationStatus.TERMINATED
    await after.aclose()
    await second.aclose()


# -- bindings (5.10) ---------------------------------------------------------------------------


async def test_bindings_are_of_their_session_and_the_same_on_every_call() -> None:
    async with an_office(ScriptedLlm([])) as office:
        other = await a_session(office.service)
        await office.adapter.register_session(other)
        ours = office.adapter.prepare_bindings(office.session_id)
        again = office.adapter.prepare_bindings(office.session_id)
        theirs = office.adapter.prepare_bindings(other)
        assert ours.session_id == office.session_id
        assert ours.operations is again.operations
        assert ours.epoch_id == again.epoch_id != theirs.epoch_id
        with pytest.raises(RuntimeNotReady):
            office.adapter.prepare_bindings("nobody")


async def test_work_ends_with_its_session() -> None:
    async with an_office(ScriptedLlm([])) as office:
        registry = jobs_of(office)
        await running(registry, *jobs_for(office, "build"))
        watched = registry.register_watcher("build")
        await office.adapter.stop_runtime_executor(office.session_id)
        assert isinstance(await watched, OperationTerminated)


# -- inputs that wake nobody, and many ---------------------------------------------------------


async def test_an_input_without_wake_goes_with_the_next_one() -> None:
    adapter, desk = await a_desk()
    quiet = a_prompt("first", "quiet")
    assert isinstance(await adapter.accept_input_without_wake("s", quiet), Accepted)
    assert isinstance(await adapter.accept_input_without_wake("s", quiet), Deduplicated)
    await settle()
    assert not desk.batches
    await adapter.accept_input("s", a_prompt("second", "loud"))
    await settle()
    desk.end()
    await settle()
    assert [batch.ids for batch in desk.batches] == [("quiet", "loud")]
    record = adapter.input_state("s", "quiet")
    assert record is not None
    assert record.phase is InputPhase.CONSUMED
    await adapter.aclose()


@pytest.mark.virtual_only
async def test_a_full_inbox_drains_in_order_and_one_more_was_refused() -> None:
    await drains_in_order(KEPT + 100)
