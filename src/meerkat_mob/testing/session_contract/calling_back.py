"""Tools that the embedding program runs: the run ends at them, and goes on when all are in."""

from __future__ import annotations

from contextlib import suppress

from meerkat_mob.core.content import ImageBlock
from meerkat_mob.core.events import RunCallbackPending, RunCompleted, RunStarted, ToolResultReceived
from meerkat_mob.core.messages import ToolResult, ToolResults, text_of_message
from meerkat_mob.core.requests import StartTurnRequest
from meerkat_mob.core.tools import Tool, ToolCall, ToolOutcome, callback_tool
from meerkat_mob.errors import CallbackPending
from meerkat_mob.llm import ScriptedLlm, call
from meerkat_mob.sessions import SessionService
from meerkat_mob.sessions.receipts import verify_receipts
from meerkat_mob.testing.builders import a_session, a_tool, a_tool_that_echoes, a_turn
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.session_contract.maker import OpenService, each_call_has_a_result, said

RESUME = StartTurnRequest(execution_kind="resume_pending")
TWO_AND_ONE = call("ask", n=1) & call("echo") & call("ask", n=2)


def _tools() -> tuple[Tool, ...]:
    echo = a_tool_that_echoes()
    return callback_tool(a_tool("ask", echo.execute).definition), echo


async def _stopped(service: SessionService) -> tuple[str, list[str]]:
    """A session whose first run ended at calls of ours, and their ids."""
    session_id = await a_session(service, tools=_tools())
    calls: list[str] = []

    def look(event: object) -> None:
        if isinstance(event, RunCallbackPending):
            calls.extend(use.id for use in event.calls)

    stop = service.watch_session_events(session_id, lambda envelope: look(envelope.payload))
    with suppress(CallbackPending):
        await service.start_turn(session_id, a_turn("go"))
    stop()
    return session_id, calls


async def _bring(service: SessionService, session_id: str, *ids: str) -> None:
    results = tuple(ToolResult(tool_use_id=name, content=f"{name}'s") for name in ids)
    await service.stage_tool_results(session_id, results)


async def _results(service: SessionService, session_id: str) -> tuple[ToolResult, ...]:
    messages = (await service.read_history(session_id)).messages
    return next(m.results for m in reversed(messages) if isinstance(m, ToolResults))


async def a_run_ends_at_a_call_of_ours(open_service: OpenService) -> None:
    """4.4 step 20: the answer stays, its caller is told of the call, and no result is made up."""
    async with open_service(ScriptedLlm([call("ask", n=1)])) as service:
        session_id = await a_session(service, tools=_tools())
        with refuses(CallbackPending) as refused:
            await service.start_turn(session_id, a_turn("go"))
        error = refused.error
        same((error.tool_name, error.arguments), ("ask", '{"n":1}'), "the call")
        same([who for who, _ in await said(service, session_id)], ["user", "model"])
        holds(not (await service.read(session_id)).state.is_active, "the session is free")


async def its_end_is_said_once_and_is_no_failure(open_service: OpenService) -> None:
    """INV-7: a distinct event, with all the calls; those that were run have their results."""
    async with open_service(ScriptedLlm([TWO_AND_ONE])) as service:
        session_id = await a_session(service, tools=_tools())
        heard: list[object] = []
        service.watch_session_events(session_id, lambda envelope: heard.append(envelope.payload))
        with refuses(CallbackPending):
            await service.start_turn(session_id, a_turn("go"))
        ends = [e for e in heard if type(e).__name__.startswith("Run")]
        same([type(e) for e in ends], [RunStarted, RunCallbackPending], "the run's events")
        last = heard[-1]
        calls = last.calls if isinstance(last, RunCallbackPending) else ()
        same([c.name for c in calls], ["ask", "ask"], "the calls")
        named = [e.name for e in heard if isinstance(e, ToolResultReceived)]
        same(named, ["echo"], "the results")


async def it_goes_on_when_all_results_are_in(open_service: OpenService) -> None:
    """W10: the finished ones wait with the others, and all come together, in call order."""
    async with open_service(ScriptedLlm([TWO_AND_ONE, "done"])) as service:
        session_id, calls = await _stopped(service)
        await _bring(service, session_id, *reversed(calls))
        events: list[object] = []
        service.watch_session_events(session_id, lambda envelope: events.append(envelope.payload))
        same((await service.start_turn(session_id, RESUME)).text, "done", "the answer")
        same([type(e) for e in events][-1:], [RunCompleted], "the last event")
        results = await _results(service, session_id)
        same([r.content for r in results if r.tool_use_id in calls], [f"{c}'s" for c in calls])
        await each_call_has_a_result(service, session_id)
        same([r.is_error for r in results], [False] * 3, "the results")


async def it_does_not_go_on_before(open_service: OpenService) -> None:
    """Asked to resume while one is missing, it names that one, and nothing has changed."""
    async with open_service(ScriptedLlm([TWO_AND_ONE, "done"])) as service:
        session_id, (first, second) = await _stopped(service)
        await _bring(service, session_id, first)
        before = await service.export_session(session_id)
        for request in (RESUME, StartTurnRequest()):
            with refuses(CallbackPending) as refused:
                await service.start_turn(session_id, request)
            same(refused.error.tool_use_id, second, "the call that is missing")
        same(await service.export_session(session_id), before, "the session")
        await _bring(service, session_id, second)
        same((await service.start_turn(session_id, StartTurnRequest())).text, "done", "the answer")


async def who_speaks_meanwhile_is_answered(open_service: OpenService) -> None:
    """The model reads that the result has not come yet; when it comes, it is told."""
    async with open_service(ScriptedLlm([call("ask", n=1), "one", "two"])) as service:
        session_id, (name,) = await _stopped(service)
        same((await service.start_turn(session_id, a_turn("and?"))).text, "one", "the answer")
        (result,) = await _results(service, session_id)
        holds(result.is_error, "the stand-in is an error")
        holds("callback_pending" in str(result.content), "it says why")
        await _bring(service, session_id, name)
        same((await service.start_turn(session_id, RESUME)).text, "two", "the answer")
        (late,) = await _results(service, session_id)
        same((late.content, late.is_error), (f"{name}'s", False), "the late result")


async def it_may_call_again_and_again(open_service: OpenService) -> None:
    """A run that goes on may end at another call of ours."""
    script = ScriptedLlm([call("ask", n=1), call("ask", n=2), "done"])
    async with open_service(script) as service:
        session_id, (first,) = await _stopped(service)
        await _bring(service, session_id, first)
        with refuses(CallbackPending) as refused:
            await service.start_turn(session_id, RESUME)
        second = refused.error.tool_use_id
        holds(second not in {"", first}, "it is another call")
        await _bring(service, session_id, second)
        same((await service.start_turn(session_id, RESUME)).text, "done", "the answer")
        await each_call_has_a_result(service, session_id)


async def what_a_finished_tool_showed_is_kept(open_service: OpenService) -> None:
    """BLB-3: an image beside a call of ours is there when the run goes on."""
    image = ImageBlock(media_type="image/png", source="inline", data="AA==")

    async def show(_: ToolCall) -> ToolOutcome:
        return ToolOutcome(content=(image,))

    script = ScriptedLlm([call("ask", n=1) & call("show"), "done"])
    async with open_service(script) as service:
        tools = (*_tools(), a_tool("show", show))
        session_id = await a_session(service, tools=tools)
        with refuses(CallbackPending) as refused:
            await service.start_turn(session_id, a_turn("go"))
        await _bring(service, session_id, refused.error.tool_use_id)
        await service.start_turn(session_id, RESUME)
        same([blob.data for blob in script.requests[-1].blobs.values()], ["AA=="], "the image")


async def a_runtime_turn_that_ends_so_has_a_receipt(open_service: OpenService) -> None:
    """EPH-30, LP-6: its inputs were applied; so have those of a run that could not go on yet."""
    async with open_service(ScriptedLlm([TWO_AND_ONE, "done"])) as service:
        session_id = await a_session(service, tools=_tools())
        apply = service.apply_runtime_turn
        first = await apply(session_id, "run-1", a_turn("go"), "run_start", ("in-1",))
        same((first.result, [c.name for c in first.pending]), (None, ["ask", "ask"]))
        same(first.receipt.contributing_input_ids, ("in-1",), "the inputs")
        calls = [c.id for c in first.pending]
        await _bring(service, session_id, calls[0])
        second = await apply(session_id, "run-2", RESUME, "run_start", ("in-2",))
        same([c.id for c in second.pending], calls[1:], "what is missing")
        same(second.receipt.message_count, first.receipt.message_count, "nothing was said")
        await _bring(service, session_id, calls[1])
        third = await apply(session_id, "run-3", RESUME, "run_start", ("in-3",))
        same(third.pending, (), "nothing is missing")
        holds(third.result is not None, "the run has its result")
        if service.supports_persistent_sessions:
            checks = verify_receipts(await service.read_facts(session_id))
            same([check.agrees for check in checks], [True] * 3, "the receipts")
        messages = (await service.read_history(session_id)).messages
        same(text_of_message(messages[-1]), "done", "the last message")
