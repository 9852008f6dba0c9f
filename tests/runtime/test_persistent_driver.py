"""What a restart finds of inputs and of the state of their runtime, and what was never written."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Literal

import pytest
from msgspec.structs import replace

from meerkat_mob.core.inputs import (
    Durability,
    ExternalEventInput,
    Input,
    OperationInput,
    ResponseProgressConvention,
    SystemSource,
)
from meerkat_mob.errors import RuntimeNotReady, StoreFailed
from meerkat_mob.llm import ScriptedLlm
from meerkat_mob.runtime import (
    Abandoned,
    Accepted,
    Completed,
    Deduplicated,
    InputPhase,
    RuntimeState,
    SessionExecutor,
)
from meerkat_mob.runtime.recovery import RecoveryReport
from meerkat_mob.testing.builders import a_notice, a_prompt, a_request
from meerkat_mob.testing.persistence_contract.stores import BreakingStore
from tests.contracts.places import PLACES, Place
from tests.runtime.driven import a_header, from_peer
from tests.runtime.kit import Office
from tests.runtime.test_durable import SESSION, a_process, phase_of, waited_for

End = Literal["reset", "stop", "destroy"]


@pytest.fixture(params=list(PLACES))
def place(request: pytest.FixtureRequest) -> Place:
    return PLACES[request.param]


@asynccontextmanager
async def an_idle_process(
    place: Place, disk: BreakingStore | None = None
) -> AsyncGenerator[Office, None]:
    """One in which nothing runs by itself."""
    with place() as open_store:
        async with a_process(open_store, ScriptedLlm(["one", "two"]), disk, works=False) as office:
            yield office


async def restart(office: Office) -> RecoveryReport:
    """Forgets all that is in memory, and reads what was kept."""
    await office.adapter.unregister_session(SESSION)
    return await office.adapter.register_session(SESSION)


async def work(office: Office) -> None:
    """Gives the session somebody who runs what waits, until nothing asks for a run."""
    executor = SessionExecutor(office.service, SESSION)
    await office.adapter.register_session(SESSION, executor)
    await office.idle()


def waiting(office: Office) -> list[str]:
    return [r.item.header.id for r in office.adapter.list_active_inputs(SESSION)]


async def accept_all(office: Office, *items: Input) -> None:
    for item in items:
        await office.adapter.accept_input(SESSION, item)


# -- what is written ---------------------------------------------------------------------------


@pytest.mark.parametrize("durability", ["ephemeral", "derived"])
async def test_what_is_not_durable_is_never_written(durability: Durability, place: Place) -> None:
    """DUR-2: it runs in this process or not at all."""
    event = ExternalEventInput(header=a_header("in-1", SystemSource()), event_type="tick")
    fleeting = replace(event, header=replace(event.header, durability=durability))
    async with an_idle_process(place) as office:
        before = await office.service.read_facts(SESSION)
        await accept_all(office, fleeting)
        assert waiting(office) == ["in-1"]
        assert await office.service.read_facts(SESSION) == before
        assert await restart(office) == RecoveryReport()
        assert office.adapter.input_state(SESSION, "in-1") is None


async def test_what_ends_with_its_acceptance_is_never_written(place: Place) -> None:
    async with an_idle_process(place) as office:
        before = await office.service.read_facts(SESSION)
        await accept_all(office, OperationInput(header=a_header("in-1"), operation_id="o"))
        assert phase_of(office, "in-1") is InputPhase.CONSUMED
        assert await office.service.read_facts(SESSION) == before


async def test_a_repeated_input_is_never_written(place: Place) -> None:
    """DUR-2: neither while the first one waits, nor after a restart, nor behind its end."""
    async with an_idle_process(place) as office:
        await accept_all(office, a_prompt("x", "in-1", key="k"))
        for step in ("waits", "is found again", "has ended"):
            if step == "is found again":
                await restart(office)
            if step == "has ended":
                await work(office)
            before = await office.service.read_facts(SESSION)
            again = await office.adapter.accept_input(SESSION, a_prompt("x", "in-2", key="k"))
            assert again == Deduplicated(input_id="in-2", existing_id="in-1")
            assert await office.service.read_facts(SESSION) == before


# -- what is found -----------------------------------------------------------------------------


async def test_a_restart_counts_what_it_found_and_keeps_its_order(place: Place) -> None:
    """DUR-5, DUR-6: nothing of it runs before somebody is there to run it."""
    progress = ResponseProgressConvention(request_id="r", phase="accepted")
    async with an_idle_process(place) as office:
        await accept_all(
            office,
            a_prompt("first", "in-1"),
            from_peer("in-2", progress, "how far"),
            a_prompt("second", "in-3", mode="steer"),
            a_prompt("third", "in-4"),
        )
        assert await restart(office) == RecoveryReport(recovered=4, requeued=4, abandoned=0)
        assert waiting(office) == ["in-1", "in-2", "in-3", "in-4"]
        records = office.adapter.list_active_inputs(SESSION)
        assert [(r.attempts, r.recoveries) for r in records] == [(0, 1)] * 4
        assert not office.adapter.is_busy(SESSION)
        assert await office.heard() == []


async def test_what_was_applied_stays_applied(place: Place) -> None:
    """DUR-5, DUR-7: a restart finds its end, and there is nothing to run again."""
    async with an_idle_process(place) as office:
        await accept_all(office, a_prompt("x", "in-1"))
        await work(office)
        receipt = office.receipt("run-1")
        assert await restart(office) == RecoveryReport()
        await work(office)
        assert (await office.heard(), office.receipt("run-1")) == (["x"], receipt)
        record = office.adapter.input_state(SESSION, "in-1")
        assert record is not None
        assert (record.phase, record.run_id) == (InputPhase.CONSUMED, "run-1")


@pytest.mark.parametrize("end", ["reset", "stop", "destroy"])
async def test_what_was_abandoned_is_so_in_the_next_process(end: End, place: Place) -> None:
    """DUR-4: with its reason, beside the state that it was abandoned for."""
    reason, state = {
        "reset": ("reset", RuntimeState.IDLE),
        "stop": ("stopped", RuntimeState.STOPPED),
        "destroy": ("destroyed", RuntimeState.DESTROYED),
    }[end]
    async with an_idle_process(place) as office:
        await accept_all(office, a_prompt("x", "in-1"), a_notice("x", "in-2"))
        assert await _end(office, end) == 2
        assert await restart(office) == RecoveryReport()
        for input_id in ("in-1", "in-2"):
            record = office.adapter.input_state(SESSION, input_id)
            assert record is not None
            assert isinstance(record.outcome, Abandoned)
            assert record.outcome.reason == reason
        assert office.adapter.runtime_state(SESSION) is state
        await work(office)
        assert await office.heard() == []


async def test_a_retirement_keeps_what_it_has_to_drain_over_a_restart(place: Place) -> None:
    async with an_idle_process(place) as office:
        executor = SessionExecutor(office.service, SESSION)
        await office.adapter.register_session(SESSION, executor)
        office.adapter.hold(SESSION, held=True)
        await accept_all(office, a_prompt("one", "in-1"), a_prompt("two", "in-2"))
        assert (await office.adapter.retire_runtime(SESSION)).pending_drain == 2
        assert await restart(office) == RecoveryReport(recovered=2, requeued=2)
        with pytest.raises(RuntimeNotReady, match="retired"):
            await office.adapter.accept_input(SESSION, a_prompt("late", "in-3"))
        await work(office)
        assert (await office.heard(), waiting(office)) == (["one", "two"], [])
        assert office.adapter.runtime_state(SESSION) is RuntimeState.RETIRED


async def test_two_sessions_have_nothing_in_common(place: Place) -> None:
    """The same id and the same key are another input in another session, also behind a restart."""
    async with an_idle_process(place) as office:
        await office.service.create_session(a_request(defer=True, session_id="other"))
        await office.adapter.register_session("other")
        for session_id in (SESSION, "other"):
            outcome = await office.adapter.accept_input(session_id, a_prompt("x", "in-1", key="k"))
            assert outcome == Accepted(input_id="in-1")
        await office.adapter.stop_runtime_executor("other")
        assert await restart(office) == RecoveryReport(recovered=1, requeued=1)
        assert phase_of(office, "in-1") is InputPhase.QUEUED
        assert office.adapter.runtime_state(SESSION) is RuntimeState.IDLE


# -- what could not be written -----------------------------------------------------------------


@pytest.mark.parametrize("end", ["reset", "stop", "destroy"])
async def test_an_end_that_cannot_be_kept_has_not_happened(end: End, place: Place) -> None:
    """DUR-4: who waits goes on waiting, and the work is done when there is room again."""
    disk = BreakingStore()
    async with an_idle_process(place, disk) as office:
        ended = await waited_for(office, a_prompt("x", "in-1"))
        disk.die()
        with pytest.raises(StoreFailed):
            await _end(office, end)
        assert (waiting(office), ended.done()) == (["in-1"], False)
        assert office.adapter.runtime_state(SESSION) is RuntimeState.IDLE
        disk.recover()
        await work(office)
        assert isinstance(ended.result(), Completed)


async def _end(office: Office, end: End) -> int:
    adapter = office.adapter
    match end:
        case "reset":
            return await adapter.reset_runtime(SESSION)
        case "stop":
            return await adapter.stop_runtime_executor(SESSION)
        case "destroy":
            return await adapter.destroy(SESSION)
