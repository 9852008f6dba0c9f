"""Sessions that are only stored: seen, listed, forked and archived without coming to life."""

from __future__ import annotations

import asyncio

from meerkat_mob.core.requests import StartTurnRequest
from meerkat_mob.errors import (
    AgentError,
    SessionNotFound,
    SessionNotRunning,
    SessionUnsupported,
    StoreFailed,
)
from meerkat_mob.llm import ScriptedLlm
from meerkat_mob.sessions import RecoveryOverrides, SessionQuery
from meerkat_mob.testing.builders import a_request, a_session, a_tool_that_echoes, a_turn
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.persistence_contract.maker import passes, records_of, seen, sessions_in
from meerkat_mob.testing.persistence_contract.stores import BreakingStore, HeldStore
from meerkat_mob.testing.session_contract.maker import said
from meerkat_mob.testing.store_contract import OpenStore


async def looking_gives_no_life_and_writes_nothing(open_store: OpenStore) -> None:
    """PER-5, 6, 8, 13: read, list, history, export, and what the store itself holds."""
    async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
        session_id = (await service.create_session(a_request("first"))).session_id
    before = await records_of(open_store, session_id)
    async with sessions_in(open_store) as service:
        await seen(service, session_id)
        document = await service.load_persisted_session(session_id)
        same(document, await service.export_session(session_id), "what the store holds")
        same(await service.load_persisted_session("nobody"), None, "of nobody")
        holds(not await service.has_live_session(session_id), "it does not live")
        with refuses(SessionNotRunning):
            await service.interrupt(session_id)
        with refuses(SessionNotFound):
            await service.discard_live_session(session_id)
        with refuses(SessionNotFound):
            await service.live_session_llm_identity(session_id)
    same(await records_of(open_store, session_id), before, "the records")


async def an_archived_session_is_seen_after_a_restart(open_store: OpenStore) -> None:
    """PER-5, 8: view, history and export; it is the tombstone that is kept, not its absence."""
    async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
        session_id = (await service.create_session(a_request("first"))).session_id
        await service.archive(session_id)
    async with sessions_in(open_store) as service:
        same(await service.list(SessionQuery()), [], "what is listed")
        same(len((await service.read_history(session_id)).messages), 2, "messages")
        holds(not (await service.read(session_id)).state.is_active, "it is at rest")
        document = await service.load_persisted_session(session_id)
        holds(document and document.metadata.get("session_archived"), "the tombstone is there")
        for command in (
            service.start_turn(session_id, a_turn()),
            service.archive(session_id),
            service.interrupt(session_id),
            service.resume_session(session_id),
            service.update_session_keep_alive(session_id, keep_alive=True),
            service.append_system_context(session_id, "t"),
        ):
            with refuses(SessionNotFound):
                await command
        with refuses(AgentError):
            await service.create_session(a_request(defer=True, session_id=session_id))


async def live_and_stored_sessions_are_listed_together(open_store: OpenStore) -> None:
    """PER-6, EPH-12: in the order they were made, by label, in pages."""
    async with sessions_in(open_store) as service:
        made = [await a_session(service) for _ in range(3)]
        labelled = await service.create_session(a_request(defer=True, labels={"a": "1"}))
        made.append(labelled.session_id)
        gone = await a_session(service)
        await service.archive(gone)
    async with sessions_in(open_store, ScriptedLlm(["one"]), ids="later") as service:
        await service.start_turn(made[1], a_turn())
        request = a_request(defer=True, labels={"a": "1", "b": "2"}, session_id="later")
        await service.create_session(request)
        made.append("later")
        for query, wanted in (
            (SessionQuery(), made),
            (SessionQuery(offset=1, limit=2), made[1:3]),
            (SessionQuery(offset=4), made[4:]),
            (SessionQuery(labels={"a": "1"}), made[3:]),
            (SessionQuery(labels={"a": "1"}, offset=1, limit=1), made[4:]),
        ):
            found = await service.list(query)
            same([s.session_id for s in found], wanted, f"{query}")
        counts = [s.message_count for s in await service.list(SessionQuery())]
        same(counts, [0, 2, 0, 0, 0], "the counts")


async def an_id_is_taken_for_ever(open_store: OpenStore) -> None:
    """EPH-1: by a stored session as by a live one."""
    async with sessions_in(open_store) as service:
        await service.create_session(a_request(defer=True, session_id="mine"))
    async with sessions_in(open_store) as service:
        with refuses(AgentError):
            await service.create_session(a_request(defer=True, session_id="mine"))


async def only_live_sessions_are_bounded(open_store: OpenStore) -> None:
    """EPH-1: however many are stored; coming to life needs a place."""
    async with sessions_in(open_store) as service:
        stored = [await a_session(service) for _ in range(3)]
    llm = ScriptedLlm(["one", "two"])
    async with sessions_in(open_store, llm, max_sessions=1) as service:
        await service.start_turn(stored[0], a_turn())
        with refuses(AgentError):
            await service.start_turn(stored[1], a_turn())
        await service.discard_live_session(stored[0])
        await service.start_turn(stored[1], a_turn())


async def a_stored_session_is_archived_without_life(open_store: OpenStore) -> None:
    """8.3: also when its tools are not here, no model can be had, and no place is free."""
    async with sessions_in(open_store) as service:
        tools = (a_tool_that_echoes(),)
        with_tools, other = await a_session(service, tools=tools), await a_session(service)
    async with sessions_in(open_store, ScriptedLlm(["one"]), max_sessions=1) as service:
        await service.start_turn(other, a_turn())
        await service.archive(with_tools)
        same([s.session_id for s in await service.list(SessionQuery())], [other], "the list")
        with refuses(SessionNotFound):
            await service.archive(with_tools)


async def of_two_archives_at_once_one_is_too_late(open_store: OpenStore) -> None:
    """SVC-5: and a turn that comes in between finds nobody."""
    async with sessions_in(open_store) as service:
        session_id = await a_session(service)
    async with sessions_in(open_store) as service:
        tried = await asyncio.gather(
            service.archive(session_id),
            service.archive(session_id),
            service.start_turn(session_id, a_turn()),
            return_exceptions=True,
        )
        kinds = [type(outcome) for outcome in tried]
        same(kinds, [type(None), SessionNotFound, SessionNotFound], "the outcomes")
    same(len(await records_of(open_store, session_id)), 3, "records")


async def a_stored_session_can_be_forked(open_store: OpenStore) -> None:
    """SES-5: an archived one, too; both sleep again, and each has its own future."""
    async with sessions_in(open_store, ScriptedLlm(["one", "two"])) as service:
        first = (await service.create_session(a_request("first"))).session_id
        await service.start_turn(first, a_turn("second"))
        past = await said(service, first)
        document = await service.export_session(first)
        await service.archive(first)
    async with sessions_in(open_store, ScriptedLlm(["three"])) as service:
        await service.fork_session(first, new_id="whole")
        await service.fork_session(first, at=2, new_id="half")
        await service.start_turn("half", a_turn("third"))
        holds(not await service.has_live_session(first), "the source does not live")
    async with sessions_in(open_store) as service:
        same(await said(service, "whole"), past, "the whole past")
        half = [*past[:2], ("user", "third"), ("model", "three")]
        same(await said(service, "half"), half, "the other future")
        usage = (await service.export_session("whole")).usage
        same(usage, document.usage, "the usage")
        listed = [s.session_id for s in await service.list(SessionQuery())]
        same(listed, ["whole", "half"], "what is listed")


async def a_fork_of_a_stored_session_needs_its_tools(open_store: OpenStore) -> None:
    """The source does not live, so it has none to give: they are named."""
    tools = (a_tool_that_echoes(),)
    async with sessions_in(open_store) as service:
        session_id = await a_session(service, tools=tools)
    async with sessions_in(open_store) as service:
        with refuses(SessionUnsupported) as refusal:
            await service.fork_session(session_id, new_id="mine")
        holds("echo" in str(refusal.error), "the tool is named")
        overrides = RecoveryOverrides(external_tools=tools)
        await service.fork_session(session_id, new_id="mine", overrides=overrides)


async def a_history_is_paged_from_what_is_stored(open_store: OpenStore) -> None:
    """PER-8: the same pages as of a live session."""
    async with sessions_in(open_store, ScriptedLlm(["one", "two"])) as service:
        session_id = (await service.create_session(a_request("first"))).session_id
        await service.start_turn(session_id, a_turn())
        pages = [await service.read_history(session_id, offset=n, limit=2) for n in range(5)]
    async with sessions_in(open_store) as service:
        found = [await service.read_history(session_id, offset=n, limit=2) for n in range(5)]
        same(found, pages, "the pages")


async def a_history_is_never_that_of_an_earlier_day(open_store: OpenStore) -> None:
    """Also when it was being read while the session came to life and went on."""
    disk = HeldStore()
    async with sessions_in(open_store) as service:
        session_id = await a_session(service)
    async with sessions_in(open_store, ScriptedLlm(["one"]), over=disk.over) as service:
        first = disk.gate_for_reads(is_open=False)
        looking = asyncio.create_task(service.read_history(session_id))
        await passes()
        last = disk.gate_for_reads(is_open=False)  # the one that finds that there is no more
        first.set()
        await passes()
        disk.gate_for_reads(is_open=True)
        await service.start_turn(session_id, a_turn())
        last.set()
        same(len((await looking).messages), 0, "what was there when it was asked for")
        await service.discard_live_session(session_id)
        same(len((await service.read_history(session_id)).messages), 2, "what is there now")


async def a_stored_session_that_cannot_be_read_stays_what_it_is(open_store: OpenStore) -> None:
    """The caller is told; heads still answer; and when the disk is back all is as before."""
    disk = BreakingStore()
    async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
        session_id = (await service.create_session(a_request("first"))).session_id
    async with sessions_in(open_store, ScriptedLlm(["two"]), over=disk.over) as service:
        disk.reads = False
        for command in (
            service.read_history(session_id),
            service.start_turn(session_id, a_turn()),
            service.append_system_context(session_id, "t"),
            service.archive(session_id),
        ):
            with refuses(StoreFailed):
                await command
        same((await service.read(session_id)).state.message_count, 2, "the head's count")
        same(len(await service.list(SessionQuery())), 1, "what is listed")
        disk.recover()
        await service.start_turn(session_id, StartTurnRequest(prompt="again"))
        same(len(await said(service, session_id)), 4, "messages")
