"""Coming to life: when something is asked of a stored session, once, as what it was."""

from __future__ import annotations

import asyncio

from msgspec import UNSET

from meerkat_mob.core.events import StreamTruncated
from meerkat_mob.core.messages import ToolResult
from meerkat_mob.core.requests import CreateSessionRequest, SessionBuildOptions, StartTurnRequest
from meerkat_mob.core.reserved import SESSION_METADATA
from meerkat_mob.core.tool_visibility import deny
from meerkat_mob.errors import (
    AgentError,
    InvalidParams,
    SessionBusy,
    SessionNotFound,
    SessionUnsupported,
)
from meerkat_mob.llm import ScriptedLlm, call, say
from meerkat_mob.sessions import RecoveryContext, RecoveryOverrides, SessionQuery
from meerkat_mob.testing.builders import (
    a_request,
    a_session,
    a_tool_that_echoes,
    a_turn,
)
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.persistence_contract.maker import passes, records_of, seen, sessions_in
from meerkat_mob.testing.persistence_contract.stores import BreakingStore, HeldStore
from meerkat_mob.testing.session_contract.maker import said
from meerkat_mob.testing.store_contract import OpenStore

ECHO = a_tool_that_echoes()


async def a_turn_goes_on_where_the_last_life_ended(open_store: OpenStore) -> None:
    """The model sees all that was said; usage and counts go on."""
    async with sessions_in(open_store, ScriptedLlm([say("one")])) as service:
        first = await service.create_session(a_request("first", system_prompt="kind"))
    llm = ScriptedLlm(["two"])
    async with sessions_in(open_store, llm) as service:
        result = await service.start_turn(first.session_id, a_turn("second"))
        holds(await service.has_live_session(first.session_id), "it lives now")
        same(len(llm.requests[0].messages), 4, "messages the model saw")
        holds(result.usage.total > first.usage.total, "the usage goes on")
        texts = [text for _, text in await said(service, first.session_id)]
        same(texts, ["kind", "first", "one", "second", "two"], "the transcript")


async def every_change_brings_a_session_to_life(open_store: OpenStore) -> None:
    """PER-9 to 11, ours: none of them needs somebody to wake it first."""
    result = ToolResult(tool_use_id="a", content="r")
    async with sessions_in(open_store) as service:
        ids = [await a_session(service) for _ in range(7)]
    async with sessions_in(open_store) as service:
        await service.append_system_context(ids[0], "t")
        await service.stage_tool_results(ids[1], (result,))
        await service.update_session_keep_alive(ids[2], keep_alive=True)
        await service.update_session_mob_authority_context(ids[3], None)
        await service.set_session_tool_filter(ids[4], deny(["x"]))
        await service.set_session_client(ids[5], ScriptedLlm([]))
        await service.apply_runtime_context_appends(ids[6], "run", (), ())
        for session_id in ids:
            holds(await service.has_live_session(session_id), f"{session_id} lives")


async def who_asks_at_once_gets_one_life(open_store: OpenStore) -> None:
    """One revival for all, and of two turns one is busy."""
    async with sessions_in(open_store) as service:
        session_id = await a_session(service)
    async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
        tried = await asyncio.gather(
            service.append_system_context(session_id, "a"),
            service.append_system_context(session_id, "b"),
            service.start_turn(session_id, a_turn()),
            service.start_turn(session_id, a_turn()),
            return_exceptions=True,
        )
        same([type(t) for t in tried].count(SessionBusy), 1, "refused turns")
        same(tried[:2], ["staged", "staged"], "the notes")
    records = await records_of(open_store, session_id)
    same(sum(b"events_until" in record.body for record in records), 2, "lives that began")


async def a_life_is_begun_for_those_who_still_wait(open_store: OpenStore) -> None:
    """One of them is cancelled, whoever came first: the others have their session."""
    async with sessions_in(open_store) as service:
        ids = [await a_session(service) for _ in range(2)]
    for place, session_id in enumerate(ids):
        disk = HeldStore()
        async with sessions_in(open_store, over=disk.over) as service:
            disk.hold(disk.reads)
            asked = [
                asyncio.create_task(service.append_system_context(session_id, text))
                for text in ("a", "b")
            ]
            await passes()
            asked[place].cancel()
            await passes()
            disk.let_go()
            found = await asyncio.gather(*asked, return_exceptions=True)
            same(found[1 - place], "staged", "the other's note")
            holds(isinstance(found[place], asyncio.CancelledError), "the cancelled one is told")
            holds(await service.has_live_session(session_id), "the session lives")


async def a_life_that_could_not_begin_can_be_begun_again(open_store: OpenStore) -> None:
    """For the same reason, everybody who waited is told it; the session rests as before."""
    async with sessions_in(open_store) as service:
        session_id = await a_session(service)
    before = await records_of(open_store, session_id)
    disk = BreakingStore(lambda commit: commit == 1)
    async with sessions_in(open_store, ScriptedLlm(["one"]), over=disk.over) as service:
        tried = await asyncio.gather(
            service.append_system_context(session_id, "a"),
            service.start_turn(session_id, a_turn()),
            return_exceptions=True,
        )
        same([getattr(t, "code", None) for t in tried], ["STORE_FAILED"] * 2, "what they are told")
        holds(not await service.has_live_session(session_id), "it does not live")
        disk.recover()
        await service.start_turn(session_id, a_turn())
    after = await records_of(open_store, session_id)
    same(after[: len(before)], before, "what was stored before")


# -- resume_session ----------------------------------------------------------------------------


async def a_session_with_tools_waits_for_them(open_store: OpenStore) -> None:
    """Nothing brings it to life without them, and what is missing is named."""
    tools = (ECHO, a_tool_that_echoes("other"))
    async with sessions_in(open_store) as service:
        session_id = await a_session(service, tools=tools)
    before = await records_of(open_store, session_id)
    async with sessions_in(open_store) as service:
        some = RecoveryOverrides(external_tools=(ECHO,))
        for command in (
            service.start_turn(session_id, a_turn()),
            service.append_system_context(session_id, "t"),
            service.resume_session(session_id),
            service.resume_session(session_id, some),
        ):
            with refuses(SessionUnsupported) as refusal:
                await command
            holds("other" in str(refusal.error), "the missing tool is named")
            same(refusal.error.session_id, session_id, "the session")
        holds("echo" not in str(refusal.error), "the one that is there is not")
        holds(not await service.has_live_session(session_id), "it does not live")
    same(await records_of(open_store, session_id), before, "the records")


async def a_resumed_session_has_its_tools(open_store: OpenStore) -> None:
    """Given again, they run; more may come, and are needed from then on."""
    async with sessions_in(open_store) as service:
        session_id = await a_session(service, tools=(ECHO,))
    more = (ECHO, a_tool_that_echoes("other"))
    llm = ScriptedLlm([call("echo", n=1) & call("other", n=2), "done"])
    async with sessions_in(open_store, llm) as service:
        await service.resume_session(session_id, RecoveryOverrides(external_tools=more))
        holds(await service.has_live_session(session_id), "it lives")
        same((await service.start_turn(session_id, a_turn())).tool_calls, 2, "calls")
    async with sessions_in(open_store) as service:
        with refuses(SessionUnsupported):
            await service.resume_session(session_id, RecoveryOverrides(external_tools=(ECHO,)))


async def a_live_session_is_not_resumed(open_store: OpenStore) -> None:
    """Nor one that nobody knows, nor one that comes to life at this moment."""
    async with sessions_in(open_store) as service:
        session_id = await a_session(service)
        with refuses(AgentError):
            await service.resume_session(session_id)
        with refuses(SessionNotFound):
            await service.resume_session("nobody")
    async with sessions_in(open_store) as service:
        tried = await asyncio.gather(
            service.resume_session(session_id),
            service.resume_session(session_id),
            return_exceptions=True,
        )
        same([type(t) for t in tried], [type(None), AgentError], "the outcomes")


async def what_a_resume_says_is_kept(open_store: OpenStore) -> None:
    """REC-4, SVC-12: overrides are durable; the surroundings fill in what was never said."""
    options = SessionBuildOptions(
        session_id="mine", realm_id="stored", self_hosted_server_id="rack-1", keep_alive=True
    )
    async with sessions_in(open_store) as service:
        request = CreateSessionRequest(model="llama", initial_turn="defer", build=options)
        await service.create_session(request)
    overrides = RecoveryOverrides(
        model="gpt-9", provider_params={"seed": 7}, comms_name="team/dev/ann", max_turns=3
    )
    around = RecoveryContext(realm_id="elsewhere", instance_id="here", config_generation=4)
    async with sessions_in(open_store) as service:
        await service.resume_session("mine", overrides, around)
    async with sessions_in(open_store) as service:
        document = await service.load_persisted_session("mine")
        found = None if document is None else SESSION_METADATA.read(document.metadata)
        holds(found, "the session says something of itself")
        if found is not None:
            same((found.model, found.self_hosted_server_id), ("gpt-9", UNSET), "who answers")
            same((found.provider_params, found.comms_name), ({"seed": 7}, "team/dev/ann"))
            same((found.realm_id, found.instance_id), ("stored", "here"), "where it is")
            same((found.config_generation, found.keep_alive), (4, True), "what nobody said anew")


async def a_resume_that_is_refused_changes_nothing(open_store: OpenStore) -> None:
    """REC-2, REC-3: a provider without a model, a late system prompt, a late limit."""
    async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
        session_id = (await service.create_session(a_request("first"))).session_id
    before = await records_of(open_store, session_id)
    async with sessions_in(open_store) as service:
        with refuses(InvalidParams):
            await service.resume_session(session_id, RecoveryOverrides(provider="openai"))
        for late in (RecoveryOverrides(system_prompt="late"), RecoveryOverrides(max_tokens=7)):
            with refuses(SessionUnsupported):
                await service.resume_session(session_id, late)
        holds(not await service.has_live_session(session_id), "it does not live")
    same(await records_of(open_store, session_id), before, "the records")


async def an_open_window_takes_what_is_for_the_first_turn(open_store: OpenStore) -> None:
    """REC-3, DEF-2: at the resume, and at the turn after it."""
    async with sessions_in(open_store) as service:
        ids = [await a_session(service, system_prompt="early") for _ in range(2)]
    llm = ScriptedLlm(["one", "two"])
    async with sessions_in(open_store, llm) as service:
        overrides = RecoveryOverrides(system_prompt="resumed", max_tokens=7)
        await service.resume_session(ids[0], overrides)
        await service.start_turn(ids[0], a_turn())
        same(llm.requests[-1].max_tokens, 7, "the limit")
        await service.start_turn(ids[1], StartTurnRequest(prompt="hi", system_prompt="turned"))
    async with sessions_in(open_store) as service:
        prompts = [(await said(service, session_id))[0][1] for session_id in ids]
        same(prompts, ["resumed", "turned"], "the system prompts")


async def a_life_that_nobody_used_leaves_no_trace_to_see(open_store: OpenStore) -> None:
    """Resumed and put to rest again, a session says and counts the same."""
    async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
        session_id = (await service.create_session(a_request("first"))).session_id
        before = await seen(service, session_id)
    async with sessions_in(open_store) as service:
        await service.resume_session(session_id)
        await service.discard_live_session(session_id)
        after = await seen(service, session_id)
        same(after[2], before[2], "the history")
        same(dict(after[3].metadata), dict(before[3].metadata), "the metadata")
        same(after[3].usage, before[3].usage, "the usage")
        same(len(await service.list(SessionQuery())), 1, "what is listed")


# -- events ------------------------------------------------------------------------------------


async def event_numbers_grow_over_restarts(open_store: OpenStore) -> None:
    """INV-7: whatever was said before, no number comes twice."""
    async with sessions_in(open_store) as service:
        session_id = await a_session(service)
    last = 0
    for _ in range(3):
        async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
            await service.update_session_keep_alive(session_id, keep_alive=False)
            events = service.subscribe_session_events(session_id)
            await service.start_turn(session_id, a_turn())
            await service.discard_live_session(session_id)
            numbers = [envelope.seq async for envelope in events]
            holds(numbers[0] > last, "the first number is a new one")
            same(numbers, list(range(numbers[0], numbers[0] + len(numbers))), "the numbers")
            last = numbers[-1]


async def events_of_an_earlier_life_are_told_to_be_gone(open_store: OpenStore) -> None:
    """Design, "Events": the marker comes first, and what follows follows it."""
    async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
        session_id = (await service.create_session(a_request("first"))).session_id
    async with sessions_in(open_store, ScriptedLlm(["two"])) as service:
        with refuses(SessionNotFound):
            service.subscribe_session_events(session_id)
        await service.resume_session(session_id)
        events = service.subscribe_session_events(session_id, after=1)
        await service.start_turn(session_id, a_turn())
        marker, first = await anext(events), await anext(events)
        holds(isinstance(marker.payload, StreamTruncated), "the gap is marked")
        same(first.seq, marker.seq + 1, "the number behind it")
        await events.aclose()
