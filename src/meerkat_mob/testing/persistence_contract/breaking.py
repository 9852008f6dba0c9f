"""A disk that fails: the caller is told, memory never runs ahead, and the next call works."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from meerkat_mob.core.build_state import MobToolAuthorityContext
from meerkat_mob.core.events import RunCompleted, RunFailed
from meerkat_mob.core.messages import ToolResult, UserMessage
from meerkat_mob.core.metadata import SessionLlmIdentity
from meerkat_mob.core.system_context import PendingAppend
from meerkat_mob.core.tool_visibility import deny
from meerkat_mob.errors import AgentError, SessionNotFound, StoreError, StoreFailed
from meerkat_mob.llm import LlmRequest, Reply, ScriptedLlm, call, say
from meerkat_mob.sessions import PersistentSessionService, SessionQuery, SessionService
from meerkat_mob.testing.builders import a_request, a_session, a_tool_that_echoes, a_turn
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.persistence_contract.maker import Marks, records_of, seen, sessions_in
from meerkat_mob.testing.persistence_contract.stores import BreakingStore
from meerkat_mob.testing.session_contract.maker import each_call_has_a_result, said
from meerkat_mob.testing.store_contract import OpenStore

Act: TypeAlias = Callable[[PersistentSessionService, str], Awaitable[object]]
ECHO = a_tool_that_echoes()
IDENTITY = SessionLlmIdentity(model="gpt-9", provider="openai")


def _answer(request: LlmRequest) -> Reply:
    """A call for each prompt, and a word for its result."""
    return call("echo") if isinstance(request.messages[-1], UserMessage) else say("done")


async def _swap(service: SessionService, session_id: str) -> None:
    await service.hot_swap_session_llm_identity(session_id, ScriptedLlm(_answer), IDENTITY)


AUTHORITY = MobToolAuthorityContext(principal_token="p")  # noqa: S106 it opens nothing
CHANGES: tuple[Act, ...] = (
    lambda s, name: s.append_system_context(name, "red", idempotency_key="k"),
    lambda s, name: s.stage_tool_results(name, (ToolResult(tool_use_id="a", content="r"),)),
    lambda s, name: s.update_session_keep_alive(name, keep_alive=True),
    lambda s, name: s.update_session_mob_authority_context(name, AUTHORITY),
    lambda s, name: s.set_session_tool_filter(name, deny(["x"])),
    _swap,
)
RUNS: tuple[Act, ...] = (
    lambda s, name: s.start_turn(name, a_turn("go")),
    lambda s, name: s.apply_runtime_turn(name, "run", a_turn("go"), "run_start", ("in",)),
    lambda s, name: s.apply_runtime_context_appends(
        name, "run", (PendingAppend(text="t", accepted_at=1),), ()
    ),
)


async def a_change_that_could_not_be_kept_did_not_happen(open_store: OpenStore) -> None:
    """8.3: each of them, with the typed error; nothing shows it, and it can be made again."""
    disk = BreakingStore()
    async with sessions_in(open_store, ScriptedLlm(_answer), over=disk.over) as service:
        session_id = await a_session(service)
        for change in CHANGES:
            before = await seen(service, session_id)
            disk.die()
            with refuses(StoreFailed):
                await change(service, session_id)
            same(await seen(service, session_id), before, "what is seen")
            disk.recover()
            await change(service, session_id)
            holds(await seen(service, session_id) != before, "it can be seen now")
        before = await seen(service, session_id)
    async with sessions_in(open_store) as service:
        same(await seen(service, session_id), before, "what is seen after a restart")


async def a_client_that_could_not_be_swapped_in_answers_nothing(open_store: OpenStore) -> None:
    """The step is one: the former client answers on."""
    disk = BreakingStore()
    async with sessions_in(open_store, ScriptedLlm(["old"]), over=disk.over) as service:
        session_id = await a_session(service)
        before = await service.live_session_llm_identity(session_id)
        disk.die()
        with refuses(StoreFailed):
            await service.hot_swap_session_llm_identity(session_id, ScriptedLlm([]), IDENTITY)
        disk.recover()
        same(await service.live_session_llm_identity(session_id), before, "who answers")
        same((await service.start_turn(session_id, a_turn())).text, "old", "the answer")


async def a_run_fails_at_any_of_its_commits(open_store: OpenStore) -> None:
    """For each n: typed error, one terminal event and it is a failure, reads as the disk."""
    for place, run in enumerate(RUNS):
        for n in (1, 2, 3):
            await _a_run_that_fails(open_store, run, n, f"{place}-{n}")


async def _a_run_that_fails(open_store: OpenStore, run: Act, n: int, name: str) -> None:
    disk = BreakingStore()
    async with sessions_in(open_store, ScriptedLlm(_answer), over=disk.over) as service:
        request = a_request("kept", defer=True, stage=True, tools=(ECHO,), session_id=name)
        await service.create_session(request)
        marks, begun = Marks(service, name), disk.commits
        disk.breaks = lambda commit: commit == begun + n
        try:
            await run(service, name)
        except StoreError as error:
            same(error.code, "STORE_FAILED", "the error")
            same([type(end) for end in marks.ends], [RunFailed] * marks.starts, "terminal events")
        stored = await service.load_persisted_session(name)
        same(await service.export_session(name), stored, "memory and disk")
        holds(not (await service.read(name)).state.is_active, "the session is free")
        disk.recover()
        await run(service, name)
        same(len(marks.ends), marks.starts, "terminal events, one for each run")
        holds(not marks.ends or isinstance(marks.ends[-1], RunCompleted), "the last run completed")
        await each_call_has_a_result(service, name)
        before = await seen(service, name)
        await service.archive(name)
    async with sessions_in(open_store) as service:
        same(len((await service.read_history(name)).messages), len(before[2].messages), "messages")


async def a_run_whose_end_could_not_be_kept_is_not_shown(open_store: OpenStore) -> None:
    """Design 5: what reads show is as it was, the prompt waits, and the usage does not count."""
    disk = BreakingStore()
    llm = ScriptedLlm(["one", "two"])
    async with sessions_in(open_store, llm, over=disk.over) as service:
        request = a_request("kept", defer=True, stage=True)
        session_id = (await service.create_session(request)).session_id
        await service.append_system_context(session_id, "red")
        before, marks = await seen(service, session_id), Marks(service, session_id)
        disk.die()
        with refuses(StoreFailed):
            await service.start_turn(session_id, a_turn("hi"))
        same(await seen(service, session_id), before, "what is seen")
        codes = [end.code for end in marks.ends if isinstance(end, RunFailed)]
        same((codes, marks.starts), (["STORE_FAILED"], 1), "the terminal event")
        disk.recover()
        result = await service.start_turn(session_id, a_turn("hi"))
        same(await said(service, session_id), [("user", "kept\n\nhi"), ("model", "two")])
        same([("red" in r.system_context) for r in llm.requests], [True, True], "the note")
        same(result.usage, (await service.read(session_id)).billing.usage, "the usage")


async def a_session_that_could_not_be_kept_does_not_exist(open_store: OpenStore) -> None:
    """W13: nowhere, not even its name; its first turn was not asked for."""
    disk = BreakingStore()
    llm = ScriptedLlm(["one"])
    async with sessions_in(open_store, llm, over=disk.over) as service:
        disk.die()
        with refuses(StoreFailed):
            await service.create_session(a_request("hi", session_id="mine"))
        same(llm.requests, [], "what the model was asked")
        with refuses(SessionNotFound):
            await service.read("mine")
        same(await service.list(SessionQuery()), [], "what is listed")
        disk.recover()
        await service.create_session(a_request("hi", session_id="mine"))
        with refuses(AgentError):
            await service.create_session(a_request("hi", session_id="mine"))
    same([r.seq for r in await records_of(open_store, "mine")], [1, 2, 3, 4], "its records")


async def a_fork_that_could_not_be_kept_does_not_exist(open_store: OpenStore) -> None:
    """And its source is as it was."""
    disk = BreakingStore()
    async with sessions_in(open_store, ScriptedLlm(["one"]), over=disk.over) as service:
        session_id = (await service.create_session(a_request("first"))).session_id
        before = await seen(service, session_id)
        disk.die()
        with refuses(StoreFailed):
            await service.fork_session(session_id, new_id="fork")
        same(await seen(service, session_id), before, "the source")
        disk.recover()
        await service.fork_session(session_id, new_id="fork")
        same(await said(service, "fork"), await said(service, session_id), "the fork")


async def any_commit_of_a_life_may_fail(open_store: OpenStore) -> None:
    """For every n: whoever fails tries again, and in the end nothing is missing."""
    acts: Sequence[Act] = (*CHANGES, *RUNS)
    count = 0
    while count < 1 or await _a_life_with_trouble(open_store, acts, count):
        count += 1
    holds(count > len(acts), "every commit had its turn")


async def _a_life_with_trouble(open_store: OpenStore, acts: Sequence[Act], n: int) -> bool:
    """A life in which the n-th commit fails; whether there was one."""
    name, disk = f"life-{n}", BreakingStore(lambda commit: commit == n)
    async with sessions_in(open_store, ScriptedLlm(_answer), over=disk.over) as service:
        create: Act = lambda s, _: s.create_session(  # noqa: E731 one act like the others
            a_request(defer=True, tools=(ECHO,), session_id=name)
        )
        for act in (create, *acts):
            try:
                await act(service, name)
            except StoreFailed:
                await act(service, name)
            stored = await service.load_persisted_session(name)
            same(await service.export_session(name), stored, "memory and disk")
        await each_call_has_a_result(service, name)
        same((await service.read(name)).state.model, "gpt-9", "the model")
    return disk.commits >= n
