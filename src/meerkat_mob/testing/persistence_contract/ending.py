"""Archive and discard: final, and clean in the midst of anything that is still being written."""

from __future__ import annotations

import asyncio

from meerkat_mob.core.events import ToolExecutionStarted, TurnStarted
from meerkat_mob.errors import RunCancelled, SessionNotFound, StoreFailed
from meerkat_mob.llm import ScriptedLlm, call, hang
from meerkat_mob.sessions import SessionQuery
from meerkat_mob.testing.builders import a_session, a_tool_that_waits, a_turn, a_turn_at
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.persistence_contract.maker import passes, seen, sessions_in
from meerkat_mob.testing.persistence_contract.stores import BreakingStore, HeldStore
from meerkat_mob.testing.session_contract.maker import is_unlisted, said
from meerkat_mob.testing.store_contract import OpenStore


async def a_run_that_outlives_its_archive_is_kept(open_store: OpenStore) -> None:
    """PER-7, INV-9: its checkpoints and its end come behind the tombstone, and leave it there."""
    gate = asyncio.Event()
    llm = ScriptedLlm([call("wait"), call("wait"), "done"])
    async with sessions_in(open_store, llm) as service:
        session_id = await a_session(service, tools=(a_tool_that_waits(gate),))
        turn = await a_turn_at(ToolExecutionStarted, service, session_id)
        archiving = asyncio.create_task(service.archive(session_id))
        await is_unlisted(service, session_id)
        for command in (
            service.append_system_context(session_id, "t"),
            service.update_session_keep_alive(session_id, keep_alive=True),
            service.archive(session_id),
            service.start_turn(session_id, a_turn()),
        ):
            with refuses(SessionNotFound):
                await command
        gate.set()
        same((await turn).text, "done", "the result")
        await archiving
        before = await seen(service, session_id)
    async with sessions_in(open_store) as service:
        same(await seen(service, session_id), before, "what is seen after a restart")
        same(len(await said(service, session_id)), 6, "messages")
        same(await service.list(SessionQuery()), [], "what is listed")
        with refuses(SessionNotFound):
            await service.start_turn(session_id, a_turn())


async def an_archive_that_is_cancelled_is_done(open_store: OpenStore) -> None:
    """Memory and disk never part: it was on its way, so it happened."""
    disk = HeldStore()
    async with sessions_in(open_store, over=disk.over) as service:
        session_id = await a_session(service)
        disk.hold(disk.commits)
        archiving = asyncio.create_task(service.archive(session_id))
        await passes()
        archiving.cancel()
        await passes()
        disk.let_go()
        with refuses(asyncio.CancelledError):
            await archiving
        holds(not await service.has_live_session(session_id), "it does not live")
        with refuses(SessionNotFound):
            await service.start_turn(session_id, a_turn())


async def an_archive_that_could_not_be_kept_did_not_happen(open_store: OpenStore) -> None:
    """The session lives on, listed and usable; of one at rest the same is true."""
    disk = BreakingStore()
    async with sessions_in(open_store) as service:
        rests = await a_session(service)
    async with sessions_in(open_store, ScriptedLlm(["a", "b"]), over=disk.over, ids="x") as service:
        lives = await a_session(service)
        for session_id in (rests, lives):
            disk.die()
            with refuses(StoreFailed):
                await service.archive(session_id)
            disk.recover()
            await service.start_turn(session_id, a_turn())
            same(len(await said(service, session_id)), 2, "messages")
        same(len(await service.list(SessionQuery())), 2, "what is listed")
        await service.archive(lives)


async def a_discarded_session_can_be_used_again_at_once(open_store: OpenStore) -> None:
    """PER-13: its run is interrupted, awaited and kept; the next turn finds all of it."""
    llm = ScriptedLlm([hang(), "two"])
    async with sessions_in(open_store, llm) as service:
        session_id = await a_session(service)
        turn = await a_turn_at(TurnStarted, service, session_id, "first")
        discarding = asyncio.create_task(service.discard_live_session(session_id))
        await asyncio.sleep(0)
        again = asyncio.create_task(service.start_turn(session_id, a_turn("second")))
        with refuses(RunCancelled):
            await turn
        await discarding
        same((await again).text, "two", "the next answer")
        wanted = [("user", "first"), ("user", "second"), ("model", "two")]
        same(await said(service, session_id), wanted, "the transcript")


async def a_discarded_session_shows_its_run_until_the_end(open_store: OpenStore) -> None:
    """Read and list say the same of it while it ends."""
    disk = HeldStore()
    async with sessions_in(open_store, ScriptedLlm([hang()]), over=disk.over) as service:
        session_id = await a_session(service)
        turn = await a_turn_at(TurnStarted, service, session_id)
        disk.hold(disk.commits)
        discarding = asyncio.create_task(service.discard_live_session(session_id))
        await passes()
        state, (listed,) = await service.read(session_id), await service.list(SessionQuery())
        same((state.state.is_active, listed.is_active), (True, True), "whether it is active")
        same((state.state.message_count, listed.message_count), (0, 0), "the counts")
        disk.let_go()
        await discarding
        with refuses(RunCancelled):
            await turn


async def a_change_on_its_way_outlives_a_discard(open_store: OpenStore) -> None:
    """The next life begins behind it: nothing is lost, and nobody is told of a stale revision."""
    disk = HeldStore()
    async with sessions_in(open_store, ScriptedLlm(["one"]), over=disk.over) as service:
        session_id = await a_session(service)
        disk.hold(disk.commits)
        noting = asyncio.create_task(
            service.append_system_context(session_id, "red", idempotency_key="k")
        )
        await passes()
        discarding = asyncio.create_task(service.discard_live_session(session_id))
        again = asyncio.create_task(service.start_turn(session_id, a_turn()))
        await passes()
        disk.let_go()
        same(await noting, "staged", "the note")
        await discarding
        same((await again).text, "one", "the next answer")
        note = service.append_system_context
        same(await note(session_id, "red", idempotency_key="k"), "duplicate", "its key")


async def a_change_whose_caller_has_gone_is_known(open_store: OpenStore) -> None:
    """Design 5: who is cancelled while a commit waits has it in memory all the same."""
    disk = HeldStore()
    async with sessions_in(open_store, over=disk.over) as service:
        session_id = await a_session(service)
        disk.hold(disk.commits)
        noting = asyncio.create_task(
            service.append_system_context(session_id, "red", idempotency_key="k")
        )
        await passes()
        noting.cancel()
        await passes()
        disk.let_go()
        with refuses(asyncio.CancelledError):
            await noting
        stored = await service.load_persisted_session(session_id)
        same(await service.export_session(session_id), stored, "memory and disk")
        note = service.append_system_context
        same(await note(session_id, "red", idempotency_key="k"), "duplicate", "its key")


async def a_caller_who_has_gone_leaves_a_kept_run(open_store: OpenStore) -> None:
    """It ends as cancelled, in order, and is there after a restart."""
    async with sessions_in(open_store, ScriptedLlm([hang()])) as service:
        session_id = await a_session(service)
        turn = await a_turn_at(TurnStarted, service, session_id, "first")
        turn.cancel()
        with refuses(asyncio.CancelledError):
            await turn
        before = await seen(service, session_id)
    async with sessions_in(open_store) as service:
        same(await seen(service, session_id), before, "what is seen after a restart")
        same(await said(service, session_id), [("user", "first")], "the transcript")


async def closing_waits_for_what_comes_to_life(open_store: OpenStore) -> None:
    """Whoever closes the service finds nothing that still writes."""
    disk = HeldStore()
    async with sessions_in(open_store) as service:
        session_id = await a_session(service)
    async with sessions_in(open_store, over=disk.over) as service:
        disk.hold(disk.reads)
        noting = asyncio.create_task(service.append_system_context(session_id, "t"))
        await passes()
        closing = asyncio.create_task(service.aclose())
        await passes()
        holds(not closing.done(), "it waits")
        disk.let_go()
        await asyncio.gather(closing, noting, return_exceptions=True)
        await service.aclose()
        holds(not await service.has_live_session(session_id), "nothing lives")
        same(disk.waiting, 0, "what still writes")
