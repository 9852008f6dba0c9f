"""A session service as a mob sees it: the interface, its defaults, and its one adapter.

Each test names the lines of the interface's Rust source that it stands for (docs/departures.md).
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref
from collections.abc import Callable
from typing import cast

import pytest

from meerkat_mob.core.events import RunCompleted, RunStarted
from meerkat_mob.core.session import Session
from meerkat_mob.core.tools import ToolCall, ToolOutcome
from meerkat_mob.errors import AgentError, SessionNotFound, SessionUnsupported
from meerkat_mob.llm import ScriptedLlm, call
from meerkat_mob.mob import MobSessionService, for_mobs
from meerkat_mob.mob.session_service import UNAVAILABLE
from meerkat_mob.runtime import SessionExecutor, facts
from meerkat_mob.sessions import PersistentSessionService, SessionQuery, SessionService
from meerkat_mob.store import MemoryStore
from meerkat_mob.testing.builders import (
    a_clock,
    a_persistent_service,
    a_prompt,
    a_request,
    a_service,
    a_session,
    a_tool,
    a_turn,
    some_ids,
)
from tests.mob.session_services import (
    BASE,
    Foreign,
    OpenService,
    a_silent_service,
    a_view,
    every_home,
    every_lasting_home,
    foreign,
)

INTERFACE = (
    *BASE,
    "supports_persistent_sessions",
    "runtime_adapter",
    "session_belongs_to_mob",
    "load_persisted_session",
    "apply_runtime_turn",
    "discard_live_session",
    "cancel_all_checkpointers",
    "rearm_all_checkpointers",
)


# -- the interface -----------------------------------------------------------------------------


@every_home
async def test_either_service_has_the_whole_interface(home: OpenService) -> None:
    """Lines 109-121: what the interface builds on, and what it adds."""
    async with home(ScriptedLlm([])) as service:
        view = a_view(service)
        assert isinstance(view, MobSessionService)
        assert [name for name in INTERFACE if not hasattr(view, name)] == []
        assert view.sessions is service


@every_home
async def test_what_it_builds_on_is_the_service_s_own(home: OpenService) -> None:
    """Lines 119-121: sessions, control and history go through as they are."""
    async with home(ScriptedLlm(["hello", "again"])) as service:
        view = a_view(service)
        made = await view.create_session(a_request("hi"))
        await view.start_turn(made.session_id, a_turn())
        assert await view.append_system_context(made.session_id, "be brief") == "staged"
        assert await view.stage_tool_results(made.session_id, []) == 0
        assert (await view.read(made.session_id)).state.last_assistant_text == "again"
        assert (await view.read_history(made.session_id)).message_count == 4
        assert [s.session_id for s in await view.list(SessionQuery())] == [made.session_id]
        assert await view.has_live_session(made.session_id)
        await view.archive(made.session_id)
        with pytest.raises(SessionNotFound):
            await view.interrupt(made.session_id)


def test_the_view_takes_what_the_service_takes() -> None:
    """Lines 119-121: names, order and kind of every argument."""
    service = a_silent_service()
    view = a_view(service)
    for name in (*BASE, "apply_runtime_turn", "discard_live_session"):
        told = inspect.signature(getattr(MobSessionService, name)).parameters
        of_service = inspect.signature(getattr(service, name)).parameters
        assert [(p.name, p.kind) for p in list(told.values())[1:]] == [
            (p.name, p.kind) for p in of_service.values()
        ], name
        assert inspect.signature(getattr(view, name)).parameters.keys() == of_service.keys()


@every_home
async def test_events_come_whoever_asked_for_the_run(home: OpenService) -> None:
    """Lines 122-128, 204-210 and 280-286."""
    async with home(ScriptedLlm(["one", "two"])) as service:
        view, session_id = a_view(service), await a_session(service)
        events = view.subscribe_session_events(session_id)
        await service.start_turn(session_id, a_turn())
        await view.apply_runtime_turn(session_id, "run-1", a_turn(), "run_start", ())
        seen: list[type] = []
        while seen.count(RunCompleted) < 2:
            seen.append(type((await anext(events)).payload))
        assert seen.count(RunStarted) == 2
        await events.aclose()
        with pytest.raises(SessionNotFound):
            view.subscribe_session_events("ghost")


@every_home
async def test_a_service_says_whether_its_sessions_last(home: OpenService) -> None:
    """Lines 130-134, 185-193 and 251-259."""
    async with home(ScriptedLlm([])) as service:
        lasts = isinstance(service, PersistentSessionService)
        assert a_view(service).supports_persistent_sessions is lasts


# -- a service that has none of it -------------------------------------------------------------


async def test_a_service_that_somebody_else_made_has_the_defaults() -> None:
    """Lines 130-134, 140-151 and 168-183."""
    view = a_view(foreign(a_silent_service()))
    assert view.supports_persistent_sessions is False
    assert await view.session_belongs_to_mob("s", "team") is False
    assert await view.load_persisted_session("s") is None
    await view.discard_live_session("s")
    view.cancel_all_checkpointers()
    view.rearm_all_checkpointers()


async def test_a_service_that_applies_no_runtime_turn_says_so() -> None:
    """Lines 153-166: an internal error of the agent, with this text."""
    inner = a_silent_service()
    session_id = await a_session(inner)
    with pytest.raises(AgentError) as refused:
        await a_view(foreign(inner)).apply_runtime_turn(
            session_id, "run-1", a_turn(), "run_start", ()
        )
    assert str(refused.value).startswith(UNAVAILABLE)
    assert UNAVAILABLE == "runtime-backed apply is unavailable for this session service"
    assert refused.value.code == "AGENT_ERROR"
    assert (await inner.read(session_id)).state.message_count == 0
    await inner.aclose()


# -- what is stored ----------------------------------------------------------------------------


async def test_nothing_is_stored_by_a_service_in_memory() -> None:
    """Lines 216-221: none, where the service itself refuses."""
    service = a_silent_service()
    session_id = await a_session(service)
    assert await a_view(service).load_persisted_session(session_id) is None
    await service.aclose()


@every_lasting_home
async def test_what_is_stored_of_a_session_can_be_loaded(home: OpenService) -> None:
    """Lines 296-301: live, dropped from memory, and archived."""
    async with home(ScriptedLlm(["hello"])) as service:
        view = a_view(service)
        session_id = (await service.create_session(a_request("hi"))).session_id

        async def count() -> int | None:
            found = await view.load_persisted_session(session_id)
            return None if found is None else len(found.messages)

        assert await count() == 2
        await view.discard_live_session(session_id)
        assert await count() == 2
        await view.archive(session_id)
        assert await count() == 2
        assert await view.load_persisted_session("ghost") is None


@every_home
async def test_only_what_lives_can_be_discarded(home: OpenService) -> None:
    """Lines 223-225 and 303-305."""
    async with home(ScriptedLlm([])) as service:
        view, session_id = a_view(service), await a_session(service)
        await view.discard_live_session(session_id)
        assert not await view.has_live_session(session_id)
        for name in (session_id, "ghost"):
            with pytest.raises(SessionNotFound):
                await view.discard_live_session(name)


# -- checkpointers -----------------------------------------------------------------------------


async def stored_while_a_tool_runs(
    home: OpenService, before: Callable[[MobSessionService], None]
) -> list[int]:
    """How many messages are stored when a tool runs; ``before`` is done once the session lives."""
    counts: list[int] = []
    async with home(ScriptedLlm([call("look"), "done"])) as service:
        view = a_view(service)

        async def count() -> None:
            found = await view.load_persisted_session("mine")
            counts.append(-1 if found is None else len(found.messages))

        async def look(_: ToolCall) -> ToolOutcome:
            await count()
            return ToolOutcome(content="seen")

        request = a_request(defer=True, session_id="mine", tools=(a_tool("look", look),))
        await view.create_session(request)
        before(view)
        await view.apply_runtime_turn("mine", "run-1", a_turn(), "run_start", ())
        await count()
    return counts


@every_lasting_home
async def test_closed_gates_stop_checkpoints_and_nothing_else(home: OpenService) -> None:
    """Lines 172-183 and 326-332: then the end of a run is still kept; opened, all is as before."""

    def stopped(view: MobSessionService) -> None:
        view.cancel_all_checkpointers()

    def resumed(view: MobSessionService) -> None:
        view.cancel_all_checkpointers()
        view.rearm_all_checkpointers()

    assert await stored_while_a_tool_runs(home, stopped) == [0, 4]
    assert await stored_while_a_tool_runs(home, resumed) == [2, 4]


async def test_a_service_in_memory_takes_both_words_and_runs_on() -> None:
    """Lines 172-183: nothing is written there, so there is nothing to stop."""
    service = a_service(ScriptedLlm(["one"]))
    view, session_id = a_view(service), await a_session(service)
    view.cancel_all_checkpointers()
    turn = await view.apply_runtime_turn(session_id, "run-1", a_turn(), "run_start", ())
    assert turn.receipt.message_count == 2
    view.rearm_all_checkpointers()
    await service.aclose()


# -- one adapter for one service ---------------------------------------------------------------


@every_home
async def test_a_service_has_one_adapter_and_another_has_another(home: OpenService) -> None:
    """Lines 92-107, 195-202 and 261-278."""
    async with home(ScriptedLlm([])) as service, home(ScriptedLlm([])) as other:
        adapter = a_view(service).runtime_adapter()
        assert a_view(service).runtime_adapter() is adapter
        assert a_view(other).runtime_adapter() is not adapter


@every_home
async def test_nobody_has_to_hold_the_adapter_for_it_to_stay_the_same(home: OpenService) -> None:
    """Lines 92-107: for as long as the service lives, also while it is not in use."""
    async with home(ScriptedLlm([])) as service:
        first = weakref.ref(a_view(service).runtime_adapter())
        gc.collect()
        assert first() is not None
        assert a_view(service).runtime_adapter() is first()


async def a_used_service(service: SessionService) -> None:
    """Its adapter has a session with an executor, and has run an input."""
    adapter, session_id = a_view(service).runtime_adapter(), await a_session(service)
    await adapter.register_session(session_id, SessionExecutor(service, session_id))
    _, ended = await adapter.accept_input_with_completion(session_id, a_prompt("hi", "in-1"))
    assert ended is not None
    await ended


async def test_no_adapter_keeps_a_dead_service_in_memory_alive() -> None:
    """Lines 92-107: also when nobody closed it."""
    service: SessionService = a_service(ScriptedLlm(["hello"]))
    await a_used_service(service)
    await a_view(service).runtime_adapter().aclose()
    gone = weakref.ref(service), weakref.ref(a_view(service).runtime_adapter())
    del service
    await asyncio.sleep(0)
    gc.collect()
    assert [one() for one in gone] == [None, None]


async def test_no_adapter_keeps_a_dead_persistent_service_alive() -> None:
    """Lines 92-107: its log and its executors hold the service, and go with it."""
    store = MemoryStore(clock=a_clock())
    service: SessionService = await a_persistent_service(ScriptedLlm(["hello"]), store)
    await a_used_service(service)
    await a_view(service).runtime_adapter().aclose()
    gone = weakref.ref(service), weakref.ref(a_view(service).runtime_adapter())
    del service
    await asyncio.sleep(0)
    gc.collect()
    assert [one() for one in gone] == [None, None]
    await store.aclose()


async def test_a_new_service_at_the_same_place_in_memory_has_an_adapter_of_its_own() -> None:
    """Lines 77-90: the address of an object names it only while it lives."""
    seen: list[weakref.ref[object]] = []
    for _ in range(5):
        service = a_silent_service()
        adapter = a_view(service).runtime_adapter()
        assert all(one() is not adapter for one in seen)
        seen.append(weakref.ref(adapter))
        del service, adapter
        gc.collect()
    assert [one() for one in seen] == [None] * 5


async def test_each_kind_of_service_has_its_kind_of_adapter() -> None:
    """Lines 199-201 and 269-277: kept in the streams of the sessions, or not at all."""
    store = MemoryStore(clock=a_clock())
    service = await a_persistent_service(ScriptedLlm(["hello"]), store)
    await a_used_service(service)
    (session,) = await service.list(SessionQuery())
    kinds = [record.kind for record in await service.read_facts(session.session_id)]
    assert facts.ACCEPTED in kinds
    await a_view(service).runtime_adapter().aclose()
    await service.aclose()

    in_memory = a_service(ScriptedLlm(["hello"]))
    await a_used_service(in_memory)
    (session,) = await in_memory.list(SessionQuery())
    assert await in_memory.read_facts(session.session_id) == ()
    await a_view(in_memory).runtime_adapter().aclose()
    await in_memory.aclose()


def test_a_service_in_front_of_another_has_an_adapter_of_its_own() -> None:
    """Lines 92-107: the cache is by identity, whatever a service lets shine through."""
    inner = a_silent_service()
    kept = a_view(inner).runtime_adapter()

    class Front(Foreign):
        def __getattr__(self, name: str) -> object:
            return getattr(inner, name)

    front = cast("SessionService", Front(inner))
    assert a_view(front).runtime_adapter() is not kept


def test_an_adapter_is_refused_where_it_could_not_keep_its_word() -> None:
    """Lines 136-138 and 266-277: upstream has none there."""
    lasting = foreign(a_silent_service(), supports_persistent_sessions=True)
    with pytest.raises(SessionUnsupported, match="append_facts"):
        a_view(lasting).runtime_adapter()

    class Slotted:
        __slots__ = BASE

        def __init__(self, inner: SessionService) -> None:
            for name in BASE:
                setattr(self, name, getattr(inner, name))

    slotted = cast("SessionService", Slotted(a_silent_service()))
    with pytest.raises(SessionUnsupported, match="__slots__"):
        a_view(slotted).runtime_adapter()


def test_ids_and_clock_are_those_of_the_first_who_asks() -> None:
    """Lines 92-107: whoever comes later gets what there is, and nothing of its own is made."""
    service, asked = a_silent_service(), list[str]()

    def ids() -> str:
        asked.append("id")
        return "id"

    first = for_mobs(service, ids=some_ids("a"), clock=a_clock()).runtime_adapter()
    assert for_mobs(service, ids=ids).runtime_adapter() is first
    assert asked == []


def test_a_document_is_what_is_loaded() -> None:
    """Lines 145-151: the type of what comes back."""
    told = inspect.get_annotations(MobSessionService.load_persisted_session, eval_str=True)
    assert told["return"] == Session | None
