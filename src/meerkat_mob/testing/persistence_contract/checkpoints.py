"""What is kept in the midst of a run: an answer before its tools start, and then their results.

A checkpoint consumes no input and shows nowhere. A closed gate makes it a no-op, and nothing else.
"""

from __future__ import annotations

import asyncio

from meerkat_mob.core.events import RunFailed, ToolExecutionStarted
from meerkat_mob.core.messages import Message, ToolResult, ToolResults
from meerkat_mob.core.requests import StartTurnRequest
from meerkat_mob.core.reserved import DEFERRED_TURN
from meerkat_mob.core.tool_visibility import deny
from meerkat_mob.core.tools import ToolCall, ToolOutcome
from meerkat_mob.errors import RunCancelled, StoreFailed
from meerkat_mob.llm import ScriptedLlm, call, hang
from meerkat_mob.sessions import PersistentSessionService, RecoveryOverrides
from meerkat_mob.testing.builders import (
    a_request,
    a_session,
    a_tool,
    a_tool_that_echoes,
    a_tool_that_waits,
    a_turn,
    a_turn_at,
)
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.persistence_contract.maker import Marks, sessions_in
from meerkat_mob.testing.persistence_contract.stores import BreakingStore
from meerkat_mob.testing.session_contract.maker import each_call_has_a_result, said, until
from meerkat_mob.testing.store_contract import OpenStore

ECHO = a_tool_that_echoes()


async def _stored(service: PersistentSessionService, session_id: str) -> list[str]:
    """The roles of the messages that are in the store now."""
    document = await service.load_persisted_session(session_id)
    return [] if document is None else [_role(message) for message in document.messages]


def _role(message: Message) -> str:
    return type(message).__name__.removesuffix("Message")


async def an_answer_is_kept_before_its_tools_start(open_store: OpenStore) -> None:
    """Design 5: a tool may do what cannot be undone; who asked for it is known by then."""
    found: list[list[str]] = []
    llm = ScriptedLlm([call("look"), call("look"), "done"])
    async with sessions_in(open_store, llm) as service:

        async def look(_: ToolCall) -> ToolOutcome:
            found.append(await _stored(service, "mine"))
            return ToolOutcome(content="seen")

        request = a_request("go", session_id="mine", tools=(a_tool("look", look),))
        await service.create_session(request)
        first = ["User", "Assistant"]
        same(found, [first, [*first, "ToolResults", "Assistant"]], "what was kept by then")


async def results_are_kept_before_the_next_call(open_store: OpenStore) -> None:
    """And none of it shows, until the run has ended (SVC-4)."""
    llm = ScriptedLlm([call("echo"), hang()])
    async with sessions_in(open_store, llm) as service:
        session_id = await a_session(service, tools=(ECHO,))
        before = await service.read(session_id)
        turn = asyncio.create_task(service.start_turn(session_id, a_turn()))
        await until(lambda: _asked(llm, 2))
        same(await _stored(service, session_id), ["User", "Assistant", "ToolResults"], "the store")
        same(await said(service, session_id), [], "what is shown")
        state = (await service.read(session_id)).state
        same((state.message_count, state.is_active), (0, True), "the view")
        same((await service.read(session_id)).billing, before.billing, "the billing")
        await service.interrupt(session_id)
        with refuses(RunCancelled):
            await turn
        same(len(await said(service, session_id)), 3, "what is shown in the end")


async def _asked(llm: ScriptedLlm, count: int) -> bool:
    return len(llm.requests) >= count


async def a_run_writes_what_is_new_and_when(open_store: OpenStore) -> None:
    """Once at its end, and twice for each answer with calls; each message once."""
    disk = BreakingStore()
    llm = ScriptedLlm(["one", call("echo") & call("echo"), "two"])
    async with sessions_in(open_store, llm, over=disk.over) as service:
        session_id = await a_session(service, tools=(ECHO,))
        for wanted in (1, 3):
            before = disk.commits
            await service.start_turn(session_id, a_turn())
            same(disk.commits - before, wanted, "commits")
        text = b"".join(r.body for r in await service.read_facts(session_id))
    same(text.count(b'"role"'), 6, "messages written")


async def a_change_to_the_same_is_not_written(open_store: OpenStore) -> None:
    """W14: what is as it was needs no commit."""
    disk = BreakingStore()
    async with sessions_in(open_store, over=disk.over) as service:
        session_id = await a_session(service)
        note = service.append_system_context
        for again in (False, True):
            before = disk.commits
            await service.update_session_keep_alive(session_id, keep_alive=True)
            await service.set_session_tool_filter(session_id, deny(["x"]))
            await service.update_session_mob_authority_context(session_id, None)
            await note(session_id, "t", idempotency_key="k")
            await service.stage_tool_results(session_id, ())
            same(disk.commits - before, 0 if again else 3, "commits")


# -- the gate ----------------------------------------------------------------------------------


async def a_closed_gate_writes_nothing_in_the_midst_of_a_run(open_store: OpenStore) -> None:
    """PER-22: and its end all the same; an open one does again."""
    disk = BreakingStore()
    llm = ScriptedLlm([call("echo"), "one", call("echo"), "two"])
    async with sessions_in(open_store, llm, over=disk.over) as service:
        session_id = await a_session(service, tools=(ECHO,))
        service.cancel_all_checkpointers()
        before = disk.commits
        await service.start_turn(session_id, a_turn())
        same(disk.commits - before, 1, "commits of a run behind a closed gate")
        same(await _stored(service, session_id), ["User", "Assistant", "ToolResults", "Assistant"])
        service.rearm_all_checkpointers()
        before = disk.commits
        await service.start_turn(session_id, a_turn())
        same(disk.commits - before, 3, "commits of a run behind an open one")


async def a_closed_gate_stops_nothing_else(open_store: OpenStore) -> None:
    """PER-22 corrected: notes, results, settings, archive, in a run and beside one."""
    gate = asyncio.Event()
    llm = ScriptedLlm([call("wait"), "one"])
    async with sessions_in(open_store, llm) as service:
        tools = (a_tool_that_waits(gate),)
        session_id = await a_session(service, tools=tools)
        service.cancel_all_checkpointers()
        turn = await a_turn_at(ToolExecutionStarted, service, session_id)
        result = ToolResult(tool_use_id="a", content="r")
        same(await service.append_system_context(session_id, "t", idempotency_key="k"), "staged")
        same(await service.stage_tool_results(session_id, (result,)), 1, "staged results")
        await service.update_session_keep_alive(session_id, keep_alive=True)
        await service.set_session_tool_filter(session_id, deny(["x"]))
        same(await _stored(service, session_id), [], "messages in the store")
        document = await service.load_persisted_session(session_id)
        kept = sorted(document.metadata) if document is not None else []
        for key in ("session_deferred_turn_state", "session_system_context_state"):
            holds(key in kept, f"{key} is kept")
        gate.set()
        await turn
        before = await service.export_session(session_id)
        same(await service.load_persisted_session(session_id), before, "the store at the end")
        await service.archive(session_id)
        document = await service.load_persisted_session(session_id)
        holds(document and document.metadata.get("session_archived"), "it is archived")


async def a_gate_is_that_of_a_live_session(open_store: OpenStore) -> None:
    """One that comes to life later has an open one: nobody closed it."""
    async with sessions_in(open_store) as service:
        session_id = await a_session(service, tools=(ECHO,))
    disk = BreakingStore()
    llm = ScriptedLlm([call("echo"), "one"])
    async with sessions_in(open_store, llm, over=disk.over) as service:
        service.cancel_all_checkpointers()
        await service.resume_session(session_id, RecoveryOverrides(external_tools=(ECHO,)))
        before = disk.commits
        await service.start_turn(session_id, a_turn())
        same(disk.commits - before, 3, "commits")


# -- a process that ends in the midst of a run -------------------------------------------------


async def _crash_in_a_tool(open_store: OpenStore, *, gate_open: bool = True) -> str:
    """A run with a staged prompt and a note, ended by force while its tools run."""
    disk, gate = BreakingStore(), asyncio.Event()
    llm = ScriptedLlm([call("echo") & call("wait")])
    async with sessions_in(open_store, llm, over=disk.over) as service:
        tools = (ECHO, a_tool_that_waits(gate))
        request = a_request("kept", defer=True, stage=True, tools=tools)
        session_id = (await service.create_session(request)).session_id
        await service.append_system_context(session_id, "red", idempotency_key="k")
        if not gate_open:
            service.cancel_all_checkpointers()
        turn = await a_turn_at(ToolExecutionStarted, service, session_id, "hi")
        disk.die()
    with refuses(StoreFailed):
        await turn
    return session_id


OVERRIDES = RecoveryOverrides(external_tools=(ECHO, a_tool_that_echoes("wait")))


async def a_call_that_a_crash_left_open_has_an_unknown_outcome(open_store: OpenStore) -> None:
    """Design 5: the run goes on from there; the prompt is not pushed again."""
    session_id = await _crash_in_a_tool(open_store)
    llm = ScriptedLlm(["sorry"])
    async with sessions_in(open_store, llm) as service:
        same((await said(service, session_id)), [("user", "kept\n\nhi"), ("model", "")])
        await service.resume_session(session_id, OVERRIDES)
        resume = StartTurnRequest(execution_kind="resume_pending")
        same((await service.start_turn(session_id, resume)).text, "sorry", "the answer")
        await each_call_has_a_result(service, session_id)
        messages = (await service.read_history(session_id)).messages
        results = messages[2].results if isinstance(messages[2], ToolResults) else ()
        told = [(r.is_error, "outcome_unknown" in str(r.content)) for r in results]
        same(told, [(True, True), (True, True)], "the results")
        whose = [who for who, _ in await said(service, session_id)]
        same(whose, ["user", "model", "tools", "model"], "the transcript")


async def a_new_prompt_comes_behind_what_a_crash_left_open(open_store: OpenStore) -> None:
    """INV-3: the calls get their results first."""
    session_id = await _crash_in_a_tool(open_store)
    async with sessions_in(open_store, ScriptedLlm(["sorry"])) as service:
        await service.resume_session(session_id, OVERRIDES)
        await service.start_turn(session_id, a_turn("what happened?"))
        await each_call_has_a_result(service, session_id)
        whose = [who for who, _ in await said(service, session_id)]
        same(whose, ["user", "model", "tools", "user", "model"], "the transcript")


async def a_cut_off_run_goes_on_with_its_prompt_and_its_note(open_store: OpenStore) -> None:
    """The prompt stands in the transcript; the note does not, so it is told once more."""
    session_id = await _crash_in_a_tool(open_store)
    llm = ScriptedLlm(["sorry", "fine"])
    async with sessions_in(open_store, llm) as service:
        metadata = (await service.export_session(session_id)).metadata
        waiting = DEFERRED_TURN.read(metadata)
        same(waiting and waiting.first_turn_phase, "consumed", "the first turn")
        await service.resume_session(session_id, OVERRIDES)
        note = service.append_system_context
        same(await note(session_id, "red", idempotency_key="k"), "duplicate", "the key")
        await service.start_turn(session_id, StartTurnRequest(execution_kind="resume_pending"))
        holds("red" in llm.requests[0].system_context, "the note is told again")
        await service.start_turn(session_id, StartTurnRequest(prompt="more"))
        same(llm.requests[1].system_context, "", "what the next run is told")


async def a_run_of_which_nothing_was_kept_never_was(open_store: OpenStore) -> None:
    """Behind a closed gate: prompt and note wait, and the next run has both."""
    session_id = await _crash_in_a_tool(open_store, gate_open=False)
    llm = ScriptedLlm(["one"])
    async with sessions_in(open_store, llm) as service:
        same(await said(service, session_id), [], "the transcript")
        await service.resume_session(session_id, OVERRIDES)
        late = StartTurnRequest(prompt="hi", system_prompt="late")
        await service.start_turn(session_id, late)
        wanted = [("system", "late"), ("user", "kept\n\nhi"), ("model", "one")]
        same(await said(service, session_id), wanted, "the transcript")
        holds("red" in llm.requests[0].system_context, "the note is told")


async def no_tool_starts_when_its_answer_cannot_be_kept(open_store: OpenStore) -> None:
    """The caller is told, the calls say that they never started, and the next turn is free."""
    started: list[str] = []

    async def start(asked: ToolCall) -> ToolOutcome:
        started.append(asked.id)
        return ToolOutcome(content="done")

    disk = BreakingStore()
    llm = ScriptedLlm([call("start"), "fine"])
    async with sessions_in(open_store, llm, over=disk.over) as service:
        session_id = await a_session(service, tools=(a_tool("start", start),))
        marks = Marks(service, session_id)
        failing = disk.commits + 1
        disk.breaks = lambda commit: commit == failing
        with refuses(StoreFailed):
            await service.start_turn(session_id, a_turn())
        same(started, [], "tools that started")
        codes = [end.code for end in marks.ends if isinstance(end, RunFailed)]
        same(codes, ["STORE_FAILED"], "the end")
        last = (await service.read_history(session_id)).messages[-1]
        holds("not_started" in str(last), "the call says so")
        same((await service.start_turn(session_id, a_turn())).text, "fine", "the next answer")
