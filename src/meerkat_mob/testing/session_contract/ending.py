"""Archive, discard and close: graceful, final, and told to everyone who waits."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from meerkat_mob.core.events import RunCompleted, RunFailed, ToolExecutionStarted, TurnStarted
from meerkat_mob.errors import (
    PersistenceDisabled,
    RunCancelled,
    SessionNotFound,
)
from meerkat_mob.llm import ScriptedLlm, call, hang
from meerkat_mob.sessions import SessionQuery
from meerkat_mob.testing.builders import (
    a_request,
    a_session,
    a_tool_that_waits,
    a_turn,
    a_turn_at,
)
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.session_contract.maker import OpenService, is_unlisted


async def an_archived_session_is_out_of_life(open_service: OpenService) -> None:
    """8.1-11 to 13, 8.2-1, EPH-10, INV-9: not listed, takes nothing, still answers a read."""
    async with open_service(ScriptedLlm(["one"])) as service:
        session_id = (await service.create_session(a_request("first"))).session_id
        before = await service.read(session_id)
        await service.archive(session_id)
        same(await service.list(SessionQuery()), [], "what is listed")
        after = await service.read(session_id)
        holds(after.state.updated_at >= before.state.updated_at, "it was touched")
        state = replace(after.state, updated_at=before.state.updated_at)
        same(replace(after, state=state), before, "the final view")
        holds(not await service.has_live_session(session_id), "it is not live")
        for command in (
            lambda: service.start_turn(session_id, a_turn()),
            lambda: service.interrupt(session_id),
            lambda: service.archive(session_id),
            lambda: service.discard_live_session(session_id),
        ):
            with refuses(SessionNotFound):
                await command()
        if service.supports_persistent_sessions:
            same(len((await service.read_history(session_id)).messages), 2, "what was said")
        else:
            with refuses(PersistenceDisabled):
                await service.read_history(session_id)


async def archive_lets_a_turn_finish(open_service: OpenService) -> None:
    """8.2-8: its caller gets the result, and the final view shows it."""
    gate = asyncio.Event()
    async with open_service(ScriptedLlm([call("wait"), "done"])) as service:
        session_id = await a_session(service, tools=(a_tool_that_waits(gate),))
        events = service.subscribe_session_events(session_id)
        turn = await a_turn_at(ToolExecutionStarted, service, session_id)
        archiving = asyncio.create_task(service.archive(session_id))
        await is_unlisted(service, session_id)
        holds((await service.read(session_id)).state.is_active, "the turn still runs")
        with refuses(SessionNotFound):
            await service.start_turn(session_id, a_turn())
        gate.set()
        same((await turn).text, "done", "the result")
        await archiving
        state = (await service.read(session_id)).state
        same((state.is_active, state.last_assistant_text), (False, "done"), "the final view")
        last = [e.payload async for e in events][-1]
        holds(isinstance(last, RunCompleted), "the event stream ends with the run")


async def an_archive_nobody_waits_for_is_done_all_the_same(open_service: OpenService) -> None:
    """Cancelling who archives does not cancel the archiving."""
    gate = asyncio.Event()
    async with open_service(ScriptedLlm([call("wait"), "done"])) as service:
        session_id = await a_session(service, tools=(a_tool_that_waits(gate),))
        events = service.subscribe_session_events(session_id)
        turn = await a_turn_at(ToolExecutionStarted, service, session_id)
        archiving = asyncio.create_task(service.archive(session_id))
        await asyncio.sleep(0)
        archiving.cancel()
        with refuses(asyncio.CancelledError):
            await archiving
        gate.set()
        await turn
        state = (await service.read(session_id)).state
        same((state.is_active, state.last_assistant_text), (False, "done"), "the final view")
        holds([e async for e in events], "the event stream ends")


async def discard_ends_a_session_without_a_trace(open_service: OpenService) -> None:
    """EPH-11, PER-13: a run is interrupted and awaited; only what was kept is left."""
    async with open_service(ScriptedLlm([hang()])) as service:
        session_id = await a_session(service)
        events = service.subscribe_session_events(session_id)
        turn = await a_turn_at(TurnStarted, service, session_id)
        await service.discard_live_session(session_id)
        holds(not await service.has_live_session(session_id), "it is not live")
        with refuses(RunCancelled):
            await turn
        same(
            [isinstance(e.payload, RunFailed) async for e in events][-1:], [True], "the last event"
        )
        if service.supports_persistent_sessions:
            holds(not (await service.read(session_id)).state.is_active, "it rests in its store")
        else:
            with refuses(SessionNotFound):
                await service.read(session_id)


async def closing_ends_every_run_and_every_stream(open_service: OpenService) -> None:
    """Runs that an archive lets finish as well; closing again is fine."""
    async with open_service(ScriptedLlm([hang(), hang()])) as service:
        ids = [await a_session(service), await a_session(service)]
        streams = [service.subscribe_session_events(session_id) for session_id in ids]
        turns = [await a_turn_at(TurnStarted, service, session_id) for session_id in ids]
        archiving = asyncio.create_task(service.archive(ids[0]))
        await is_unlisted(service, ids[0])
        await service.aclose()
        for session_id, turn in zip(ids, turns, strict=True):
            holds(not await service.has_live_session(session_id), "it is not live")
            with refuses(RunCancelled):
                await turn
        await archiving
        for stream in streams:
            holds([e async for e in stream], "the event stream ends")
        await service.aclose()
