"""What waits for a turn: a prompt, results of tools that ran elsewhere, the first-turn window."""

from __future__ import annotations

import asyncio

from meerkat_mob.core.content import Content, ImageBlock, TextBlock, VideoBlock
from meerkat_mob.core.deferred_turn import DeferredTurnState
from meerkat_mob.core.events import ToolExecutionStarted
from meerkat_mob.core.messages import ToolResult, ToolResults, UserMessage
from meerkat_mob.core.requests import StartTurnRequest
from meerkat_mob.core.reserved import DEFERRED_TURN
from meerkat_mob.errors import (
    InvalidParams,
    LlmFailed,
    NoPendingBoundary,
    SessionNotFound,
    SessionUnsupported,
)
from meerkat_mob.llm import ScriptedLlm, call, fail
from meerkat_mob.sessions import SessionService
from meerkat_mob.testing.builders import (
    a_request,
    a_session,
    a_tool_that_echoes,
    a_tool_that_waits,
    a_turn,
    a_turn_at,
)
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.session_contract.maker import OpenService, each_call_has_a_result, said


def _results(*names: str) -> tuple[ToolResult, ...]:
    return tuple(ToolResult(tool_use_id=name, content=f"{name}'s") for name in names)


async def a_blank_prompt_is_not_staged(open_service: OpenService) -> None:
    """SES-12: a turn without a prompt finds nothing to do then."""
    async with open_service(ScriptedLlm([])) as service:
        blank: tuple[Content, ...] = ("", " \n", (), (TextBlock(text=" "),))
        for prompt in blank:
            created = await service.create_session(a_request(prompt, defer=True, stage=True))
            with refuses(NoPendingBoundary):
                await service.start_turn(created.session_id, StartTurnRequest())


async def a_staged_prompt_keeps_its_form(open_service: OpenService) -> None:
    """Blocks stay blocks: joined with a text they are blocks of one message."""
    image = ImageBlock(media_type="image/png", source="inline", data="AA==")
    async with open_service(ScriptedLlm(["one"])) as service:
        request = a_request((TextBlock(text="see"), image), defer=True, stage=True)
        session_id = (await service.create_session(request)).session_id
        await service.start_turn(session_id, a_turn("and say"))
        message = (await service.read_history(session_id)).messages[0]
        content = message.content if isinstance(message, UserMessage) else ()
        kinds = [type(block) for block in content if not isinstance(block, str)]
        same(kinds, [TextBlock, ImageBlock, TextBlock], "the blocks")


async def staged_results_come_in_front_of_the_prompt(open_service: OpenService) -> None:
    """EPH-21, 3.1 step 7: flattened into one message, in order; once."""
    async with open_service(ScriptedLlm(["one", "two"])) as service:
        session_id = await a_session(service)
        same(await service.stage_tool_results(session_id, _results("a", "b")), 2, "the count")
        same(await service.stage_tool_results(session_id, _results("c")), 1, "the count")
        await service.start_turn(session_id, a_turn("hi"))
        messages = (await service.read_history(session_id)).messages
        same(messages[0], ToolResults(results=_results("a", "b", "c")), "the results")
        await service.start_turn(session_id, a_turn("again"))
        whose = [who for who, _ in await said(service, session_id)]
        same(whose, ["tools", "user", "model", "user", "model"], "the transcript")


async def staged_results_are_enough_for_a_turn(open_service: OpenService) -> None:
    """3.1 step 6: there is something to continue from, said or unsaid."""
    for kind in ("resume_pending", None):
        async with open_service(ScriptedLlm(["one"])) as service:
            session_id = await a_session(service)
            await service.stage_tool_results(session_id, _results("a"))
            request = StartTurnRequest()
            if kind is not None:
                request = StartTurnRequest(execution_kind="resume_pending")
            same((await service.start_turn(session_id, request)).text, "one", "the answer")


async def no_results_are_none(open_service: OpenService) -> None:
    """SES-12: 0 comes back and nothing is stored."""
    async with open_service(ScriptedLlm([])) as service:
        session_id = await a_session(service)
        before = await service.export_session(session_id)
        same(await service.stage_tool_results(session_id, ()), 0, "the count")
        same(await service.export_session(session_id), before, "the session")


async def results_staged_during_a_turn_wait_for_the_next(open_service: OpenService) -> None:
    """Also when they equal those that the turn took."""
    gate = asyncio.Event()
    async with open_service(ScriptedLlm([call("wait"), "one", "two"])) as service:
        session_id = await a_session(service, tools=(a_tool_that_waits(gate),))
        await service.stage_tool_results(session_id, _results("a"))
        turn = await a_turn_at(ToolExecutionStarted, service, session_id)
        await service.stage_tool_results(session_id, _results("a"))
        gate.set()
        await turn
        await service.start_turn(session_id, StartTurnRequest())
        whose = [who for who, _ in await said(service, session_id)]
        same(whose, ["tools", "user", "model", "tools", "model", "tools", "model"])


async def a_turn_that_never_ran_leaves_what_was_staged(open_service: OpenService) -> None:
    """SES-13, EPH-5: prompt, results, and the window, in front of what came meanwhile."""
    async with open_service(ScriptedLlm(["one"])) as service:
        request = a_request("kept", defer=True, stage=True)
        session_id = (await service.create_session(request)).session_id
        await service.stage_tool_results(session_id, _results("a"))
        before = await service.export_session(session_id)
        with refuses(InvalidParams):
            await service.start_turn(session_id, a_turn("\ud800"))
        same(await service.export_session(session_id), before, "the session")
        await service.stage_tool_results(session_id, _results("b"))
        await service.start_turn(session_id, a_turn("hi"))
        messages = (await service.read_history(session_id)).messages
        same(messages[0], ToolResults(results=_results("a", "b")), "the results")
        same(messages[1], UserMessage(content="kept\n\nhi"), "the prompt")


async def a_turn_that_failed_has_used_what_was_staged(open_service: OpenService) -> None:
    """It stands in the transcript: to push it again would be to say it twice."""
    async with open_service(ScriptedLlm([fail("no"), "two"])) as service:
        request = a_request("kept", defer=True, stage=True)
        session_id = (await service.create_session(request)).session_id
        with refuses(LlmFailed):
            await service.start_turn(session_id, StartTurnRequest())
        await service.start_turn(session_id, StartTurnRequest(execution_kind="resume_pending"))
        same(await said(service, session_id), [("user", "kept"), ("model", "two")])
        late = StartTurnRequest(prompt="x", system_prompt="late")
        with refuses(SessionUnsupported):
            await service.start_turn(session_id, late)


async def a_run_that_goes_on_does_not_show_in_what_waits(open_service: OpenService) -> None:
    """SVC-4: until it is over, an export holds what it took, and none of what it said."""
    gate = asyncio.Event()
    async with open_service(ScriptedLlm([call("wait"), "one"])) as service:
        request = a_request("kept", defer=True, stage=True, tools=(a_tool_that_waits(gate),))
        session_id = (await service.create_session(request)).session_id
        await service.stage_tool_results(session_id, _results("a"))
        before = await _waiting(service, session_id)
        turn = await a_turn_at(ToolExecutionStarted, service, session_id)
        same(await _waiting(service, session_id), before, "what waits, in the midst of the run")
        await service.stage_tool_results(session_id, _results("b"))
        staged = (await _waiting(service, session_id)).pending_tool_results
        same([one.results for one in staged], [_results("a"), _results("b")], "what waits then")
        gate.set()
        await turn
        after = await _waiting(service, session_id)
        same([one.results for one in after.pending_tool_results], [_results("b")], "what is left")
        same(after.first_turn_phase, "consumed", "the first turn")


async def a_call_that_was_left_open_gets_the_staged_result(open_service: OpenService) -> None:
    """INV-3: a fork in the midst of calls goes on with what somebody found out, or without."""
    async with open_service(ScriptedLlm([call("echo") & call("echo"), "one", "two"])) as service:
        session_id = await a_session(service, tools=(a_tool_that_echoes(),))
        await service.start_turn(session_id, a_turn())
        forked = await service.fork_session(session_id, at=2)
        await service.stage_tool_results(forked, _results("call-2"))
        await service.start_turn(forked, StartTurnRequest(execution_kind="resume_pending"))
        await each_call_has_a_result(service, forked)
        message = (await service.read_history(forked)).messages[2]
        results = list(message.results) if isinstance(message, ToolResults) else []
        same([r.is_error for r in results], [True, False], "which are errors")
        holds("outcome_unknown" in str(results[0].content), "the other call's outcome is unknown")
        same(results[1].content, "call-2's", "the staged result")


async def a_video_is_no_result(open_service: OpenService) -> None:
    """PER-10: refused with the place of the fault, and nothing is staged."""
    video = VideoBlock(media_type="video/mp4", duration_ms=5, source="inline", data="AA==")
    async with open_service(ScriptedLlm([])) as service:
        session_id = await a_session(service)
        result = ToolResult(tool_use_id="a", content=(video,))
        with refuses(InvalidParams) as refusal:
            await service.stage_tool_results(session_id, (*_results("b"), result))
        same(refusal.error.path, "results", "the place")
        same((await _waiting(service, session_id)).pending_tool_results, (), "what waits")


async def nobody_takes_no_results(open_service: OpenService) -> None:
    """An unknown id stays unknown, an archived one takes nothing."""
    async with open_service(ScriptedLlm([])) as service:
        gone = await a_session(service)
        await service.archive(gone)
        for session_id in ("nobody", gone):
            with refuses(SessionNotFound):
                await service.stage_tool_results(session_id, _results("a"))


async def _waiting(service: SessionService, session_id: str) -> DeferredTurnState:
    metadata = (await service.export_session(session_id)).metadata
    return DEFERRED_TURN.read(metadata) or DeferredTurnState()
