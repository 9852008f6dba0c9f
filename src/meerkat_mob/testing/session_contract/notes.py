"""Notes for the next run, and context that is written for good (spec sessions 1.6, EPH-20, 32)."""

from __future__ import annotations

import asyncio

from meerkat_mob.core.events import ToolExecutionStarted, TurnStarted
from meerkat_mob.core.hooks import Deny, Hook, HookCall
from meerkat_mob.core.requests import StartTurnRequest
from meerkat_mob.core.reserved import SYSTEM_CONTEXT
from meerkat_mob.core.system_context import PendingAppend, SystemContextState
from meerkat_mob.errors import (
    HookDenied,
    InvalidParams,
    LlmFailed,
    NoPendingBoundary,
    RunCancelled,
    SessionBusy,
    SessionNotFound,
    SystemContextConflict,
)
from meerkat_mob.llm import ScriptedLlm, call, fail, hang
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
from meerkat_mob.testing.session_contract.maker import OpenService, said

RED = "[Runtime System Context]\nsource: ci\n\nthe build is red"


async def a_note_is_staged_once_for_each_key(open_service: OpenService) -> None:
    """8.1-20, 8.2-15, SES-20: the same again is a duplicate, another text or source a conflict."""
    async with open_service(ScriptedLlm([])) as service:
        session_id = await a_session(service)
        note = service.append_system_context
        same(await note(session_id, " red ", source="ci", idempotency_key="k"), "staged")
        same(await note(session_id, "red", source="ci", idempotency_key="k"), "duplicate")
        before = await service.export_session(session_id)
        for text, source in (("green", "ci"), ("red", "other")):
            with refuses(SystemContextConflict) as refusal:
                await note(session_id, text, source=source, idempotency_key="k")
            facts = (refusal.error.session_id, refusal.error.key, refusal.error.code)
            same(facts, (session_id, "k", "SESSION_SYSTEM_CONTEXT_CONFLICT"), "the error")
        same(await service.export_session(session_id), before, "the session")


async def a_turn_that_was_denied_consumes_no_note(open_service: OpenService) -> None:
    """8.1-24: the next one has it."""
    answers: list[Deny | None] = [Deny(message="not yet"), None]

    async def gate(_: HookCall) -> Deny | None:
        return answers.pop(0)

    hook = Hook(id="gate", point="pre_llm_request", run=gate, capability="guardrail")
    llm = ScriptedLlm(["one"])
    async with open_service(llm) as service:
        created = await service.create_session(a_request(defer=True, hooks=(hook,)))
        await service.append_system_context(created.session_id, "the build is red", source="ci")
        with refuses(HookDenied):
            await service.start_turn(created.session_id, a_turn())
        await service.start_turn(created.session_id, a_turn())
        same(llm.requests[0].system_context, RED, "what the model was told")


async def notes_belong_to_one_session(open_service: OpenService) -> None:
    """8.1-20: a key of one session is unknown to another, and so is the note."""
    llm = ScriptedLlm(["one"])
    async with open_service(llm) as service:
        first, second = await a_session(service), await a_session(service)
        same(await service.append_system_context(first, "red", idempotency_key="k"), "staged")
        same(await service.append_system_context(second, "red", idempotency_key="k"), "staged")
        third = await a_session(service)
        await service.start_turn(third, a_turn())
        same(llm.requests[-1].system_context, "", "what the third is told")


async def a_blank_note_is_refused(open_service: OpenService) -> None:
    """SES-20: with the place of the fault, and without a trace of the key."""
    async with open_service(ScriptedLlm([])) as service:
        session_id = await a_session(service)
        with refuses(InvalidParams) as refusal:
            await service.append_system_context(session_id, " \n", idempotency_key="k")
        same(refusal.error.path, "text", "the place")
        same(await service.append_system_context(session_id, "t", idempotency_key="k"), "staged")


async def a_note_reaches_the_next_run_and_no_other(open_service: OpenService) -> None:
    """8.1-21 and 22, SES-23a: all calls of that run, never the transcript, never a later run."""
    llm = ScriptedLlm([call("echo"), "one", "two"])
    async with open_service(llm) as service:
        tools = (a_tool_that_echoes(),)
        session_id = await a_session(service, tools=tools, system_prompt="be kind")
        await service.append_system_context(session_id, "the build is red", source="ci")
        await service.start_turn(session_id, a_turn("first"))
        await service.start_turn(session_id, a_turn("second"))
        told = [request.system_context for request in llm.requests]
        same(told, [RED, RED, ""], "what each call was told")
        same(llm.requests[0].system_prompt, f"be kind\n\n---\n\n{RED}", "the system prompt")
        same((await said(service, session_id))[0], ("system", "be kind"), "the transcript")


async def a_note_during_a_turn_waits_for_the_next(open_service: OpenService) -> None:
    """8.1-23, EPH-20: it is answered at once, and the turn does not see it."""
    gate = asyncio.Event()
    llm = ScriptedLlm([call("wait"), "one", "two"])
    async with open_service(llm) as service:
        session_id = await a_session(service, tools=(a_tool_that_waits(gate),))
        turn = await a_turn_at(ToolExecutionStarted, service, session_id)
        same(await service.append_system_context(session_id, "late"), "staged", "the status")
        gate.set()
        await turn
        await service.start_turn(session_id, a_turn())
        told = ["late" in request.system_context for request in llm.requests]
        same(told, [False, False, True], "which calls were told")


async def equal_notes_in_one_instant_are_two(open_service: OpenService) -> None:
    """One that comes in a run that had the other waits for the next run, whatever its time."""
    gate = asyncio.Event()
    llm = ScriptedLlm([call("wait"), "one", "two"])
    async with open_service(llm, step=0) as service:
        session_id = await a_session(service, tools=(a_tool_that_waits(gate),))
        await service.append_system_context(session_id, "again")
        turn = await a_turn_at(ToolExecutionStarted, service, session_id)
        await service.append_system_context(session_id, "again")
        gate.set()
        await turn
        await service.start_turn(session_id, a_turn())
        told = ["again" in request.system_context for request in llm.requests]
        same(told, [True, True, True], "which calls were told")


async def a_key_is_known_after_its_note_was_told(open_service: OpenService) -> None:
    """SES-21: a retry after that is still a duplicate."""
    llm = ScriptedLlm(["one", "two"])
    async with open_service(llm) as service:
        session_id = await a_session(service)
        note = service.append_system_context
        await note(session_id, "red", idempotency_key="k")
        await service.start_turn(session_id, a_turn())
        same(await note(session_id, "red", idempotency_key="k"), "duplicate", "the status")
        with refuses(SystemContextConflict):
            await note(session_id, "green", idempotency_key="k")
        await service.start_turn(session_id, a_turn())
        same(llm.requests[-1].system_context, "", "what the second run was told")


async def a_note_counts_as_told_once_its_run_has_asked(open_service: OpenService) -> None:
    """Also when the model then fails or the run is interrupted: nobody knows what it took in."""
    llm = ScriptedLlm([fail("no"), "one", hang(), "two"])
    async with open_service(llm) as service:
        session_id = await a_session(service)
        await service.append_system_context(session_id, "first")
        with refuses(LlmFailed):
            await service.start_turn(session_id, a_turn())
        await service.start_turn(session_id, a_turn())
        await service.append_system_context(session_id, "second")
        turn = await a_turn_at(TurnStarted, service, session_id)
        await asyncio.sleep(0)
        await service.interrupt(session_id)
        with refuses(RunCancelled):
            await turn
        await service.start_turn(session_id, a_turn())
        told = [request.system_context.rpartition("\n")[2] for request in llm.requests]
        same(told, ["first", "", "second", ""], "what each call was told")


async def a_run_that_never_began_takes_no_note(open_service: OpenService) -> None:
    """SES-24: a turn that is refused or has nothing to do leaves it waiting."""
    llm = ScriptedLlm(["one"])
    async with open_service(llm) as service:
        session_id = await a_session(service)
        await service.append_system_context(session_id, "red")
        with refuses(NoPendingBoundary):
            await service.start_turn(session_id, StartTurnRequest())
        with refuses(InvalidParams):
            await service.start_turn(session_id, a_turn("\ud800"))
        await service.start_turn(session_id, a_turn())
        holds("red" in llm.requests[-1].system_context, "the first run is told")


async def an_export_shows_what_waits(open_service: OpenService) -> None:
    """EPH-22: notes and keys as they are, also while a run goes on that has them."""
    gate = asyncio.Event()
    async with open_service(ScriptedLlm([call("wait"), "one"])) as service:
        session_id = await a_session(service, tools=(a_tool_that_waits(gate),))
        await service.append_system_context(session_id, "red", idempotency_key="k")
        before = await _notes(service, session_id)
        same([append.text for append in before.pending], ["red"], "what waits")
        turn = await a_turn_at(ToolExecutionStarted, service, session_id)
        same(await _notes(service, session_id), before, "what waits, in the midst of the run")
        gate.set()
        await turn
        after = await _notes(service, session_id)
        same((after.pending, after.seen["k"].state), ((), "applied"), "what waits after it")


async def _notes(service: SessionService, session_id: str) -> SystemContextState:
    metadata = (await service.export_session(session_id)).metadata
    return SYSTEM_CONTEXT.read(metadata) or SystemContextState()


# -- for good ----------------------------------------------------------------------------------


async def context_is_written_into_the_system_message(open_service: OpenService) -> None:
    """EPH-32, SES-23b: behind what is there, for all later runs; no model is asked."""
    llm = ScriptedLlm(["one"])
    async with open_service(llm) as service:
        for prompt, wanted in (("be kind", f"be kind\n\n---\n\n{RED}"), (None, RED)):
            session_id = await a_session(service, system_prompt=prompt)
            append = PendingAppend(text="the build is red", source="ci", accepted_at=1)
            write = service.apply_runtime_context_appends
            output = await write(session_id, "run-1", (append,), ("in-1",))
            same(await said(service, session_id), [("system", wanted)], "the transcript")
            receipt = output.receipt
            same((output.result, receipt.boundary), (None, "immediate"), "the output")
            same((receipt.message_count, receipt.contributing_input_ids), (1, ("in-1",)))
        same(llm.requests, [], "what a model was asked")
        await service.start_turn(session_id, a_turn("hi"))
        same((await said(service, session_id))[0], ("system", RED), "the system message later")


async def no_context_changes_nothing(open_service: OpenService) -> None:
    """Not even by an empty System message; a receipt there is."""
    async with open_service(ScriptedLlm([])) as service:
        session_id = await a_session(service)
        output = await service.apply_runtime_context_appends(session_id, "run-1", (), ())
        same(await said(service, session_id), [], "the transcript")
        same(output.receipt.message_count, 0, "the receipt's count")


async def context_leaves_the_first_turn_to_come(open_service: OpenService) -> None:
    """It is no turn: what was staged stays staged, and the window stays open."""
    async with open_service(ScriptedLlm(["one"])) as service:
        session_id = await a_session(service)
        await service.append_system_context(session_id, "waits")
        append = PendingAppend(text="written", accepted_at=1)
        await service.apply_runtime_context_appends(session_id, "run-1", (append,), ())
        same(len((await _notes(service, session_id)).pending), 1, "notes that wait")
        await service.start_turn(session_id, StartTurnRequest(prompt="hi", system_prompt="late"))
        same((await said(service, session_id))[0], ("system", "late"), "the system message")


async def context_waits_for_no_run(open_service: OpenService) -> None:
    """While one goes on it is refused as busy, as a turn is; nothing is changed."""
    async with open_service(ScriptedLlm([hang()])) as service:
        session_id = await a_session(service)
        turn = await a_turn_at(TurnStarted, service, session_id)
        append = PendingAppend(text="t", accepted_at=1)
        with refuses(SessionBusy):
            await service.apply_runtime_context_appends(session_id, "run-1", (append,), ())
        await service.interrupt(session_id)
        with refuses(RunCancelled):
            await turn
        holds((await said(service, session_id))[0][0] == "user", "no System message was written")


async def nobody_has_no_notes(open_service: OpenService) -> None:
    """An unknown id stays unknown, an archived one takes nothing."""
    async with open_service(ScriptedLlm([])) as service:
        gone = await a_session(service)
        await service.archive(gone)
        append = PendingAppend(text="t", accepted_at=1)
        for session_id in ("nobody", gone):
            with refuses(SessionNotFound):
                await service.append_system_context(session_id, "t")
            with refuses(SessionNotFound):
                await service.apply_runtime_context_appends(session_id, "run", (append,), ())
