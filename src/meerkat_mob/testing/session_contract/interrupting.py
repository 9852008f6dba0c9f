"""Interrupts: prompt, exact, harmless to the transcript, and over when they are over."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from meerkat_mob.core.events import (
    RunCompleted,
    RunFailed,
    RunStarted,
    TextDelta,
    ToolExecutionCompleted,
    ToolExecutionStarted,
    TurnStarted,
)
from meerkat_mob.core.messages import ToolResults
from meerkat_mob.errors import RunCancelled, SessionBusy, SessionNotFound, SessionNotRunning
from meerkat_mob.llm import ScriptedLlm, call, hang, say
from meerkat_mob.testing.builders import (
    a_request,
    a_session,
    a_tool_that_echoes,
    a_tool_that_hangs,
    a_turn,
    a_turn_at,
    the_next,
)
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.session_contract.maker import (
    OpenService,
    each_call_has_a_result,
    said,
)


async def an_idle_session_has_nothing_to_interrupt(open_service: OpenService) -> None:
    """8.1-25, 8.2-5: before a turn and after one; an unknown session is another error."""
    async with open_service(ScriptedLlm(["one"])) as service:
        session_id = await a_session(service)
        with refuses(SessionNotRunning):
            await service.interrupt(session_id)
        await service.start_turn(session_id, a_turn())
        with refuses(SessionNotRunning):
            await service.interrupt(session_id)
        with refuses(SessionNotFound):
            await service.interrupt("nobody")


async def an_interrupt_ends_a_model_that_hangs(open_service: OpenService) -> None:
    """8.1-15, 8.2-4: the caller is told, one terminal event says so, and the next turn is free."""
    async with open_service(ScriptedLlm([hang(), "better"])) as service:
        session_id = await a_session(service)
        events = service.subscribe_session_events(session_id)
        turn = await a_turn_at(TurnStarted, service, session_id, "first")
        await service.interrupt(session_id)
        with refuses(RunCancelled):
            await turn
        same((await the_next(RunFailed, events)).code, RunCancelled.code, "the event's code")
        same((await service.start_turn(session_id, a_turn("second"))).text, "better", "the answer")
        wanted = [("user", "first"), ("user", "second"), ("model", "better")]
        same(await said(service, session_id), wanted, "the transcript")
        await events.aclose()


async def what_was_said_before_an_interrupt_stays_said(open_service: OpenService) -> None:
    """As an answer that was cut short."""
    async with open_service(ScriptedLlm([say("one two three", pace=3600), "so"])) as service:
        session_id = await a_session(service)
        turn = await a_turn_at(TextDelta, service, session_id, "first")
        await service.interrupt(session_id)
        with refuses(RunCancelled):
            await turn
        wanted = [("user", "first"), ("cut short", "one ")]
        same(await said(service, session_id), wanted, "the transcript")
        await service.start_turn(session_id, a_turn())


async def an_interrupt_ends_tools_that_hang(open_service: OpenService) -> None:
    """INV-3: done tools keep their results, open calls get errors, in call order."""
    llm = ScriptedLlm([call("hang") & call("echo", n=1) & call("hang"), "so"])
    async with open_service(llm) as service:
        tools = (a_tool_that_echoes(), a_tool_that_hangs())
        session_id = await a_session(service, tools=tools)
        turn = await a_turn_at(ToolExecutionCompleted, service, session_id)
        await service.interrupt(session_id)
        with refuses(RunCancelled):
            await turn
        await each_call_has_a_result(service, session_id)
        last = (await service.read_history(session_id)).messages[-1]
        results = list(last.results) if isinstance(last, ToolResults) else []
        same([result.is_error for result in results], [True, False, True], "which are errors")
        same(results[1].content, '{"n":1}', "the result of the tool that was done")
        holds("cancelled" in str(results[0].content), "an open call says that it was cancelled")
        same((await service.start_turn(session_id, a_turn())).text, "so", "the next answer")


async def an_interrupt_before_the_run_began_leaves_nothing(open_service: OpenService) -> None:
    """SES-13: what was staged is staged again, and no run was announced."""
    async with open_service(ScriptedLlm(["fine"])) as service:
        request = a_request("kept", defer=True, stage=True)
        session_id = (await service.create_session(request)).session_id
        before = await service.read(session_id)
        events = service.subscribe_session_events(session_id)
        turn = asyncio.create_task(service.start_turn(session_id, a_turn("lost")))
        await asyncio.sleep(0)
        await service.interrupt(session_id)
        with refuses(RunCancelled):
            await turn
        same(await service.read(session_id), before, "the session")
        await service.start_turn(session_id, a_turn("hi"))
        same((await the_next(RunStarted, events)).prompt, "kept\n\nhi", "the first run's prompt")
        await events.aclose()


async def a_second_interrupt_changes_nothing(open_service: OpenService) -> None:
    """While the first takes effect; there is still one terminal event."""
    llm = ScriptedLlm([call("hang"), "so"])
    async with open_service(llm) as service:
        session_id = await a_session(service, tools=(a_tool_that_hangs(),))
        events = service.subscribe_session_events(session_id)
        turn = await a_turn_at(ToolExecutionStarted, service, session_id)
        await service.interrupt(session_id)
        await service.interrupt(session_id)
        await asyncio.sleep(0)
        await service.interrupt(session_id)
        with refuses(RunCancelled):
            await turn
        await each_call_has_a_result(service, session_id)
        await service.archive(session_id)
        ends = [e async for e in events if isinstance(e.payload, RunFailed | RunCompleted)]
        same(len(ends), 1, "terminal events")


async def an_interrupt_never_hits_the_next_run(open_service: OpenService) -> None:
    """However close it comes: asked again until there is nothing to interrupt, then a new turn."""
    async with open_service(ScriptedLlm([hang(), "fine"])) as service:
        session_id = await a_session(service)
        turn = await a_turn_at(TurnStarted, service, session_id)
        while (await service.read(session_id)).state.is_active:
            with suppress(SessionNotRunning):  # its end may take a moment to be kept
                await service.interrupt(session_id)
            await asyncio.sleep(0)
        same((await service.start_turn(session_id, a_turn())).text, "fine", "the next answer")
        with refuses(RunCancelled):
            await turn


async def a_run_that_is_ending_is_still_the_session_s_run(open_service: OpenService) -> None:
    """Between the interrupt and the end a new turn is refused as busy, not mixed in."""
    async with open_service(ScriptedLlm([hang(), "fine"])) as service:
        session_id = await a_session(service)
        turn = await a_turn_at(TurnStarted, service, session_id)
        await service.interrupt(session_id)
        with refuses(SessionBusy):
            await service.start_turn(session_id, a_turn())
        with refuses(RunCancelled):
            await turn
        await service.start_turn(session_id, a_turn())


async def a_cancelled_caller_ends_its_run(open_service: OpenService) -> None:
    """It gets its own cancellation, after the run has ended and the transcript is in order."""
    async with open_service(ScriptedLlm([call("hang"), "so"])) as service:
        session_id = await a_session(service, tools=(a_tool_that_hangs(),))
        turn = await a_turn_at(ToolExecutionStarted, service, session_id)
        turn.cancel()
        with refuses(asyncio.CancelledError):
            await turn
        holds(not (await service.read(session_id)).state.is_active, "the session is idle")
        await each_call_has_a_result(service, session_id)
        same((await service.start_turn(session_id, a_turn())).text, "so", "the next answer")


async def an_interrupt_reaches_one_session_only(open_service: OpenService) -> None:
    """The others go on."""
    async with open_service(ScriptedLlm([hang(), hang()])) as service:
        ids = [await a_session(service), await a_session(service)]
        turns = [await a_turn_at(TurnStarted, service, session_id) for session_id in ids]
        await service.interrupt(ids[0])
        with refuses(RunCancelled):
            await turns[0]
        holds((await service.read(ids[1])).state.is_active, "the other session runs")
        await service.interrupt(ids[1])
        with refuses(RunCancelled):
            await turns[1]
