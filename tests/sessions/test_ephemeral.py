"""What is true of sessions in memory beside the contract."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from meerkat_mob.agent import AgentBuilder
from meerkat_mob.core.events import ToolExecutionStarted, TurnStarted
from meerkat_mob.core.metadata import SessionLlmIdentity
from meerkat_mob.errors import LlmKeyMissing, RunCancelled, SessionNotFound
from meerkat_mob.llm import LlmClient, LlmDone, LlmEvent, LlmRequest, ScriptedLlm, call, hang
from meerkat_mob.sessions import EphemeralSessionService, SessionQuery
from meerkat_mob.sessions.ephemeral import ARCHIVED_VIEWS
from meerkat_mob.testing.builders import (
    a_clock,
    a_request,
    a_service,
    a_session,
    a_tool_that_waits,
    a_turn,
    a_turn_at,
    some_ids,
)


def test_it_says_that_nothing_survives() -> None:
    assert a_service(ScriptedLlm([])).supports_persistent_sessions is False


async def test_only_so_many_final_views_are_kept() -> None:
    """W24: the oldest go first."""
    service = a_service(ScriptedLlm([]))
    ids = [await a_session(service) for _ in range(ARCHIVED_VIEWS + 1)]
    for session_id in ids:
        await service.archive(session_id)
    with pytest.raises(SessionNotFound):
        await service.read(ids[0])
    assert (await service.read(ids[1])).state.session_id == ids[1]


async def test_an_archived_session_is_let_go_of_when_its_run_has_ended() -> None:
    gate = asyncio.Event()
    service = a_service(ScriptedLlm([call("wait"), "done"]))
    session_id = await a_session(service, tools=(a_tool_that_waits(gate),))
    turn = await a_turn_at(ToolExecutionStarted, service, session_id)
    archiving = asyncio.create_task(service.archive(session_id))
    await asyncio.sleep(0)
    assert len(service._draining) == 1
    gate.set()
    await asyncio.gather(turn, archiving)
    assert not service._draining


async def test_a_session_whose_agent_cannot_be_built_does_not_exist() -> None:
    def nobody(asked: SessionLlmIdentity) -> LlmClient:
        raise LlmKeyMissing(provider="p", model=asked.model, variables=("KEY",))

    service = EphemeralSessionService(
        build_agent=AgentBuilder(client_for=nobody, clock=a_clock()),
        clock=a_clock(),
        ids=some_ids(),
        max_sessions=1,
    )
    for _ in range(2):
        with pytest.raises(LlmKeyMissing):
            await service.create_session(a_request(defer=True, session_id="mine"))
    assert await service.list(SessionQuery()) == []


class GivesUp:
    """A client that cancels its own call, as a broken one may."""

    provider = "broken"

    async def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        lost = asyncio.get_running_loop().create_future()
        lost.cancel()
        yield LlmDone(stop_reason=await lost)

    async def aclose(self) -> None:
        pass


async def test_a_run_that_cancels_itself_is_a_cancelled_run_and_not_a_cancelled_caller() -> None:
    service = a_service(GivesUp())
    session_id = await a_session(service)
    with pytest.raises(RunCancelled):
        await service.start_turn(session_id, a_turn())
    assert not (await service.read(session_id)).state.is_active


async def test_a_caller_with_a_cancelled_past_is_still_told_of_the_interrupt() -> None:
    """Only a cancellation during the turn is the caller's own."""
    service = a_service(ScriptedLlm([hang()]))
    session_id = await a_session(service)

    async def cancelled_once() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)
        with pytest.raises(RunCancelled):
            await service.start_turn(session_id, a_turn())
        return "told"

    events = service.subscribe_session_events(session_id)
    caller = asyncio.create_task(cancelled_once())
    while not isinstance((await anext(events)).payload, TurnStarted):
        pass
    await service.interrupt(session_id)
    assert await caller == "told"
    await events.aclose()


@pytest.mark.virtual_only
async def test_a_caller_s_time_limit_ends_its_turn() -> None:
    service = a_service(ScriptedLlm([hang(), "fine"]))
    session_id = await a_session(service)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3):
            await service.start_turn(session_id, a_turn())
    assert asyncio.get_running_loop().time() == 3
    assert (await service.start_turn(session_id, a_turn())).text == "fine"


async def test_an_export_can_be_taken_while_a_run_goes_on_and_is_not_moved_by_it() -> None:
    service = a_service(ScriptedLlm(["one", hang()]))
    session_id = (await service.create_session(a_request("first", system_prompt="kind"))).session_id
    turn = await a_turn_at(TurnStarted, service, session_id, "second")
    document = await service.export_session(session_id)
    assert len(document.messages) == 3
    await service.interrupt(session_id)
    with pytest.raises(RunCancelled):
        await turn
    assert len(document.messages) == 3
    assert document.updated_at < (await service.export_session(session_id)).updated_at
