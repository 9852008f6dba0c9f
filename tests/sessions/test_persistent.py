"""What is true of a service over a store beside its contracts."""

from __future__ import annotations

import asyncio

import pytest

from meerkat_mob.agent import AgentBuilder
from meerkat_mob.core.events import StreamTruncated
from meerkat_mob.core.metadata import SessionLlmIdentity
from meerkat_mob.core.tools import ToolCall, ToolOutcome
from meerkat_mob.errors import LlmKeyMissing, SessionNotFound
from meerkat_mob.llm import LlmClient, ScriptedLlm, call
from meerkat_mob.sessions import PersistentSessionService, SessionQuery
from meerkat_mob.sessions.fold import STREAM
from meerkat_mob.sessions.live import EVENTS
from meerkat_mob.sessions.persistent import FOLDED
from meerkat_mob.store import MemoryStore
from meerkat_mob.testing.builders import (
    a_clock,
    a_persistent_service,
    a_request,
    a_session,
    a_tool,
    a_turn,
    some_ids,
)
from meerkat_mob.testing.persistence_contract import BreakingStore


def a_store() -> MemoryStore:
    return MemoryStore(clock=a_clock(step=1))


async def test_it_says_that_sessions_survive() -> None:
    service = await a_persistent_service(ScriptedLlm([]), a_store())
    assert service.supports_persistent_sessions is True


async def test_a_checkpoint_writes_only_what_is_new_and_only_in_a_run() -> None:
    disk, counts = BreakingStore(), list[int]()
    service = await a_persistent_service(ScriptedLlm([call("keep"), "done"]), disk.over(a_store()))

    async def keep(_: ToolCall) -> ToolOutcome:
        await service._live["mine"].checkpoint()
        counts.append(disk.commits)
        return ToolOutcome(content="kept")

    await service.create_session(a_request("go", session_id="mine", tools=(a_tool("keep", keep),)))
    await service._live["mine"].checkpoint()
    assert (counts, disk.commits) == ([2], 4)  # opened, answered, results, ended
    await service.aclose()


async def test_numbers_of_events_are_reserved_again_before_they_run_out() -> None:
    store = a_store()
    service = await a_persistent_service(ScriptedLlm(["one", "two"]), store)
    session_id = (await service.create_session(a_request("go"))).session_id
    ring = service._live[session_id].events._ring
    ring.end += EVENTS // 2  # as if a run had said so much
    await service.start_turn(session_id, a_turn())
    said = ring.end
    await service.aclose()
    service = await a_persistent_service(ScriptedLlm(["three"]), store)
    await service.resume_session(session_id)
    events = service.subscribe_session_events(session_id, after=said)
    await service.start_turn(session_id, a_turn())
    marker = await anext(events)
    assert isinstance(marker.payload, StreamTruncated)
    assert marker.seq >= said + EVENTS // 2
    await events.aclose()
    await service.aclose()


async def test_only_some_stored_sessions_are_remembered_for_paging() -> None:
    service = await a_persistent_service(ScriptedLlm([]), a_store())
    ids = [await a_session(service) for _ in range(FOLDED + 2)]
    for session_id in ids:
        await service.discard_live_session(session_id)
        await service.read_history(session_id)
    assert list(service._folded) == ids[2:]


async def test_a_page_of_a_stored_history_is_read_from_the_store_once() -> None:
    disk = BreakingStore()
    service = await a_persistent_service(ScriptedLlm(["one"]), disk.over(a_store()))
    session_id = (await service.create_session(a_request("go"))).session_id
    await service.discard_live_session(session_id)
    await service.read_history(session_id)
    disk.reads = False
    assert len((await service.read_history(session_id, offset=1)).messages) == 1


async def test_a_stored_session_needs_its_client_to_live_but_not_to_be_archived() -> None:
    """Without a key its history can still be read, and the session be put away."""
    store = a_store()
    service = await a_persistent_service(ScriptedLlm(["one"]), store)
    session_id = (await service.create_session(a_request("go"))).session_id
    await service.aclose()

    def nobody(asked: SessionLlmIdentity) -> LlmClient:
        raise LlmKeyMissing(provider="p", model=asked.model, variables=("KEY",))

    service = await PersistentSessionService.open(
        store,
        build_agent=AgentBuilder(client_for=nobody, clock=a_clock()),
        clock=a_clock(),
        ids=some_ids("x"),
    )
    with pytest.raises(LlmKeyMissing):
        await service.start_turn(session_id, a_turn())
    assert len((await service.read_history(session_id)).messages) == 2
    await service.archive(session_id)
    assert await service.list(SessionQuery()) == []


async def test_a_long_stream_is_read_in_pages() -> None:
    store = a_store()
    service = await a_persistent_service(ScriptedLlm([]), store)
    session_id = await a_session(service)
    for n in range(1100):
        await service.append_system_context(session_id, f"note {n}")
    before = await service.export_session(session_id)
    await service.aclose()
    service = await a_persistent_service(ScriptedLlm([]), store)
    assert await service.export_session(session_id) == before
    assert await store.revision(STREAM + session_id) > 1000


async def test_moves_are_let_go_of_when_they_are_done() -> None:
    service = await a_persistent_service(ScriptedLlm([]), a_store())
    session_id = await a_session(service)
    await service.discard_live_session(session_id)
    await asyncio.gather(*(service.append_system_context(session_id, text) for text in ("a", "b")))
    await service.archive(session_id)
    await asyncio.sleep(0)
    assert (service._moves, service._draining, service._opening) == ({}, {}, set())
    with pytest.raises(SessionNotFound):
        await service.append_system_context(session_id, "c")
