"""What is under way when a runtime closes: nobody is left to wait, nothing is left in the queue."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from meerkat_mob.core.messages import text_of_message
from meerkat_mob.core.tools import ToolCall, ToolOutcome
from meerkat_mob.errors import RuntimeNotReady, StoreFailed
from meerkat_mob.llm import ScriptedLlm, call
from meerkat_mob.runtime import (
    Abandoned,
    Accepted,
    Completed,
    RuntimeSessionAdapter,
    RuntimeState,
    RuntimeTerminated,
)
from meerkat_mob.store import MemoryStore
from meerkat_mob.testing.builders import (
    a_clock,
    a_notice,
    a_persistent_service,
    a_prompt,
    a_request,
    a_tool,
    some_ids,
)
from tests.runtime.kit import settle
from tests.runtime.machine import SESSION, Play, Process, a_process


async def ended(process: Process) -> None:
    await process.adapter.aclose()
    await process.service.aclose()


async def test_who_is_acknowledged_during_the_close_is_told() -> None:
    process = await a_process(Play(), MemoryStore(clock=a_clock()), 0)
    accepting = asyncio.create_task(
        process.adapter.accept_input_with_completion(SESSION, a_prompt("x", "in-1"))
    )
    await settle(1)
    await ended(process)
    _, end = await accepting
    assert end is not None
    assert isinstance(end.result(), RuntimeTerminated)


async def test_what_is_acknowledged_during_the_close_is_there_again_in_the_next_life() -> None:
    store = MemoryStore(clock=a_clock())
    process = await a_process(Play(), store, 0)
    accepting = asyncio.create_task(process.adapter.accept_input(SESSION, a_prompt("x", "in-1")))
    await settle(1)
    await ended(process)
    await accepting
    process = await a_process(Play(), store, 1)
    (waiting,) = process.adapter.list_active_inputs(SESSION)
    await ended(process)
    assert waiting.item.header.id == "in-1"


async def test_a_close_over_a_disk_that_failed_during_the_run_tells_who_waits() -> None:
    process = await a_process(Play(), MemoryStore(clock=a_clock()), 0)
    await process.work()
    _, end = await process.adapter.accept_input_with_completion(SESSION, a_prompt("x", "in-1"))
    await settle()
    process.disk.is_dead = True
    await ended(process)
    assert end is not None
    assert isinstance(end.result(), RuntimeTerminated)


async def test_without_an_executor_it_is_idle_after_retire_and_reset() -> None:
    store = MemoryStore(clock=a_clock())
    process = await a_process(Play(), store, 0)
    await process.work()
    await process.adapter.retire_runtime(SESSION)
    await process.adapter.reset_runtime(SESSION)
    assert process.adapter.runtime_state(SESSION) is RuntimeState.ATTACHED
    await ended(process)
    process = await a_process(Play(), store, 1)
    state = process.adapter.runtime_state(SESSION)
    await ended(process)
    assert state is RuntimeState.IDLE


@pytest.mark.parametrize("commits", [0, 1])
async def test_a_retirement_is_kept_with_what_it_ends_or_not_at_all(commits: int) -> None:
    store, play = MemoryStore(clock=a_clock()), Play()
    process = await a_process(play, store, 0)
    await process.adapter.accept_input(SESSION, a_notice("x", "in-1"))
    process.disk.left = commits
    if commits:
        assert (await process.adapter.retire_runtime(SESSION)).pending_drain == 0
    else:
        with pytest.raises(StoreFailed):
            await process.adapter.retire_runtime(SESSION)
    await ended(process)
    process = await a_process(play, store, 1)
    active = process.adapter.list_active_inputs(SESSION)
    state = process.adapter.runtime_state(SESSION)
    await ended(process)
    assert (state is RuntimeState.RETIRED, active == ()) == (bool(commits), bool(commits))


@pytest.mark.parametrize("works", [True, False])
async def test_who_comes_while_it_retires_meets_a_retired_runtime(works: bool) -> None:
    process = await a_process(Play(), MemoryStore(clock=a_clock()), 0)
    if works:
        await process.work()
    retire = asyncio.create_task(process.adapter.retire_runtime(SESSION))
    await settle(1)
    with pytest.raises(RuntimeNotReady, match="retired"):
        await process.adapter.accept_input(SESSION, a_notice("x", "in-1"))
    await retire
    active = process.adapter.list_active_inputs(SESSION)
    await ended(process)
    assert active == ()


async def test_who_comes_while_a_retirement_fails_is_taken() -> None:
    process = await a_process(Play(), MemoryStore(clock=a_clock()), 0)
    retire = asyncio.create_task(process.adapter.retire_runtime(SESSION))
    await settle(1)
    accepting = asyncio.create_task(process.adapter.accept_input(SESSION, a_notice("x", "in-1")))
    process.disk.left = 0
    with pytest.raises(StoreFailed):
        await retire
    with pytest.raises(StoreFailed):  # it came as far as the disk
        await accepting
    state = process.adapter.runtime_state(SESSION)
    await ended(process)
    assert state is RuntimeState.IDLE


@pytest.mark.parametrize("works", [True, False])
async def test_what_a_retired_runtime_had_no_time_to_end_ends_after_the_restart(
    works: bool,
) -> None:
    """Its run died, so the passive input behind it has no run to go with."""
    store, play = MemoryStore(clock=a_clock()), Play()
    process = await a_process(play, store, 0)
    await process.work()
    await process.adapter.accept_input(SESSION, a_prompt("x", "in-1"))
    await settle()
    await process.adapter.accept_input_without_wake(SESSION, a_notice("y", "in-2"))
    assert (await process.adapter.retire_runtime(SESSION)).pending_drain == 2
    play.go_on()
    process.disk.left = 1  # the run is kept, and the end of what is left is not
    await settle()
    await ended(process)
    process = await a_process(play, store, 1)
    if works:
        await process.work()
    await settle()
    active = process.adapter.list_active_inputs(SESSION)
    record = process.adapter.input_state(SESSION, "in-2")
    state = process.adapter.runtime_state(SESSION)
    await ended(process)
    assert (state, active) == (RuntimeState.RETIRED, ())
    assert record is not None
    assert record.outcome == Abandoned(reason="retired")


@pytest.mark.parametrize("destroyed", [True, False])
async def test_what_a_stopped_runtime_ran_when_it_was_killed_ends_after_the_restart(
    destroyed: bool,
) -> None:
    store, play = MemoryStore(clock=a_clock()), Play()
    process = await a_process(play, store, 0)
    await process.work()
    await process.adapter.accept_input(SESSION, a_prompt("x", "in-1"))
    await settle()
    process.disk.left = 1  # the state is kept, and the end of the run is not
    adapter = process.adapter
    stop = adapter.destroy if destroyed else adapter.stop_runtime_executor
    await stop(SESSION)
    await ended(process)
    process = await a_process(play, store, 1)
    state = process.adapter.runtime_state(SESSION)
    record = process.adapter.input_state(SESSION, "in-1")
    await ended(process)
    assert state is (RuntimeState.DESTROYED if destroyed else RuntimeState.STOPPED)
    assert record is not None
    assert record.outcome == Abandoned(reason="destroyed" if destroyed else "stopped")


async def test_a_reset_and_who_comes_meanwhile_do_not_meet() -> None:
    """The passive input is abandoned, and is not taken along by the run of the one that came."""
    store, play = MemoryStore(clock=a_clock()), Play()
    process = await a_process(play, store, 0)
    await process.work()
    await process.adapter.accept_input_without_wake(SESSION, a_notice("x", "in-1"))
    accepting = asyncio.create_task(process.adapter.accept_input(SESSION, a_prompt("y", "in-2")))
    await settle(1)
    resetting = asyncio.create_task(process.adapter.reset_runtime(SESSION))
    await settle(1)
    late = asyncio.create_task(process.adapter.accept_input(SESSION, a_prompt("z", "in-3")))
    assert await resetting == 2
    await asyncio.gather(accepting, late)
    await settle()
    (running,) = process.witness.runs
    phases = [process.adapter.input_state(SESSION, f"in-{n}") for n in (1, 2)]
    await ended(process)
    assert running[1] == ("in-3",)
    assert [r and r.outcome for r in phases] == [Abandoned(reason="reset")] * 2


async def test_a_session_has_no_second_runtime_before_the_first_has_gone() -> None:
    """INV-2: a tool that takes its time to clean up holds up who registers the session again."""
    began, gate = asyncio.Event(), asyncio.Event()

    async def linger(_: ToolCall) -> ToolOutcome:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await gate.wait()
        raise AssertionError("it was cancelled")

    store, play = MemoryStore(clock=a_clock()), Play()
    process = await a_process(play, store, 0, a_tool("linger", linger))
    await process.work()
    await process.adapter.accept_input(SESSION, a_prompt("x", "in-1"))
    await settle()
    play.go_on(call("linger"))
    await began.wait()
    leaving = asyncio.create_task(process.adapter.unregister_session(SESSION))
    await settle(30)
    again = asyncio.create_task(process.work())
    await settle(30)
    assert not again.done()
    gate.set()
    await asyncio.gather(leaving, again)
    record = process.adapter.input_state(SESSION, "in-1")
    facts = await process.service.read_facts(SESSION)
    await ended(process)
    assert record is not None
    assert record.outcome is not None
    kinds = [fact.kind for fact in facts]
    assert (kinds.count("run_ended"), kinds.count("inputs_ended")) == (1, 0)


async def test_a_life_that_ends_in_good_order_leaves_its_run_to_the_next_one() -> None:
    store, play = MemoryStore(clock=a_clock()), Play()
    process = await a_process(play, store, 0)
    accept = process.adapter.accept_input_with_completion
    _, end = await accept(SESSION, a_prompt("x", "in-1"))
    for life in range(1, 6):  # more often than a run may be tried
        await process.work()
        await settle()
        await ended(process)
        process = await a_process(play, store, life)
    assert end is not None
    assert end.result() == RuntimeTerminated(reason="the runtime was closed", waits=True)
    await ended(process)
    process = await a_process(play, store, 6)
    record = process.adapter.input_state(SESSION, "in-1")
    assert record is not None
    assert (record.outcome, record.attempts, record.recoveries) == (None, 0, 6)
    await process.work()
    await settle()
    play.go_on()
    await settle(60)
    record = process.adapter.input_state(SESSION, "in-1")
    facts = await process.service.read_facts(SESSION)
    await ended(process)
    assert record is not None
    assert isinstance(record.outcome, Completed)
    kinds = [fact.kind for fact in facts]
    assert (kinds.count("run_ended"), kinds.count("inputs_put_back")) == (1, 5)


async def test_a_run_that_was_cancelled_before_the_end_stays_cancelled() -> None:
    store, play = MemoryStore(clock=a_clock()), Play()
    process = await a_process(play, store, 0)
    await process.work()
    _, end = await process.adapter.accept_input_with_completion(SESSION, a_prompt("x", "in-1"))
    await settle()
    interrupting = asyncio.create_task(process.adapter.interrupt_current_run(SESSION))
    await asyncio.sleep(0)
    await ended(process)
    await interrupting
    process = await a_process(play, store, 1)
    record = process.adapter.input_state(SESSION, "in-1")
    await ended(process)
    assert end is not None
    assert isinstance(end.result(), Abandoned)
    assert record is not None
    assert isinstance(record.outcome, Abandoned)


async def test_who_is_told_that_it_ended_for_good_is_not_told_otherwise() -> None:
    """A run that does not end when it is cancelled, and a process that ends meanwhile."""
    began, gate = asyncio.Event(), asyncio.Event()

    async def linger(_: ToolCall) -> ToolOutcome:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await gate.wait()
        raise AssertionError("it was cancelled")

    store, play = MemoryStore(clock=a_clock()), Play()
    process = await a_process(play, store, 0, a_tool("linger", linger))
    await process.work()
    accept = process.adapter.accept_input_with_completion
    _, running = await accept(SESSION, a_prompt("x", "in-1"))
    await settle()
    play.go_on(call("linger"))
    await began.wait()
    _, waiting = await accept(SESSION, a_prompt("y", "in-2"))
    leaving = asyncio.create_task(process.adapter.unregister_session(SESSION, reason="retired"))
    await settle()
    closing = asyncio.create_task(ended(process))
    await settle()
    gate.set()
    await asyncio.gather(leaving, closing)
    facts = [fact.kind for fact in await store.read("session:" + SESSION)]
    assert running is not None
    assert waiting is not None
    assert isinstance(running.result(), Abandoned)
    assert waiting.result() == RuntimeTerminated(reason="retired")
    assert "inputs_put_back" not in facts


async def test_an_end_that_cannot_be_noted_is_an_attempt_and_loses_nothing() -> None:
    store, play = MemoryStore(clock=a_clock()), Play()
    process = await a_process(play, store, 0)
    await process.work()
    await process.adapter.accept_input(SESSION, a_prompt("x", "in-1"))
    await settle()
    process.disk.is_dead = True
    await ended(process)
    process = await a_process(play, store, 1)
    record = process.adapter.input_state(SESSION, "in-1")
    await ended(process)
    assert record is not None
    assert (record.outcome, record.attempts) == (None, 1)


async def test_without_a_store_the_run_is_cancelled_and_its_words_are_kept() -> None:
    play = Play()
    process = await a_process(play, None, 0)
    await process.work()
    _, end = await process.adapter.accept_input_with_completion(SESSION, a_prompt("x", "in-1"))
    await settle()
    await process.adapter.aclose()
    said = (await process.service.read_history(SESSION)).messages
    await process.service.aclose()
    assert end is not None
    outcome = end.result()
    assert isinstance(outcome, Abandoned)
    assert outcome.reason == "cancelled"
    assert [text_of_message(message) for message in said][-1:] == ["x"]


async def test_keys_of_two_sessions_never_meet() -> None:
    """Their ids and keys may have any character."""
    async with a_home_of("a", "a:b") as adapter:
        first = await adapter.accept_input("a", a_prompt("x", "in-1", key="b:c"))
        second = await adapter.accept_input("a:b", a_prompt("y", "in-2", key="c"))
        assert first == Accepted(input_id="in-1")
        assert second == Accepted(input_id="in-2")


@asynccontextmanager
async def a_home_of(*sessions: str) -> AsyncGenerator[RuntimeSessionAdapter, None]:
    """Durable inboxes that nobody works at."""
    service = await a_persistent_service(ScriptedLlm([]), MemoryStore(clock=a_clock()))
    adapter = RuntimeSessionAdapter.persistent(service, ids=some_ids("run"))
    for session_id in sessions:
        await service.create_session(a_request(defer=True, session_id=session_id))
        await adapter.register_session(session_id)
    yield adapter
    await adapter.aclose()
    await service.aclose()
