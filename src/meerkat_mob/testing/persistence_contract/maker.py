"""What the rules of the contract are written with: one place, opened again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

from meerkat_mob.core.events import EventEnvelope, RunCompleted, RunFailed, RunStarted
from meerkat_mob.core.session import Session
from meerkat_mob.llm import LlmClient, ScriptedLlm
from meerkat_mob.sessions import (
    PersistentSessionService,
    SessionHistory,
    SessionQuery,
    SessionService,
    SessionSummary,
    SessionView,
)
from meerkat_mob.store import Record, Store
from meerkat_mob.testing.builders import a_persistent_service, some_ids
from meerkat_mob.testing.store_contract import OpenStore

PersistenceRule: TypeAlias = Callable[[OpenStore], Awaitable[None]]
Over: TypeAlias = Callable[[Store], Store]
"""Puts something between a service and its store."""


@asynccontextmanager
async def sessions_in(
    open_store: OpenStore,
    llm: LlmClient | None = None,
    *,
    over: Over | None = None,
    ids: str = "id",
    max_sessions: int = 10_000,
) -> AsyncGenerator[PersistentSessionService, None]:
    """The sessions of the place, as a new process would find them; closed behind the block.

    Without a model nobody is to be asked. Minted ids begin with ``ids``.
    """
    async with open_store() as store:
        service = await a_persistent_service(
            ScriptedLlm([]) if llm is None else llm,
            store if over is None else over(store),
            ids=some_ids(ids),
            max_sessions=max_sessions,
        )
        try:
            yield service
        finally:
            await service.aclose()


Seen: TypeAlias = tuple[SessionView, Sequence[SessionSummary], SessionHistory, Session]


async def seen(service: SessionService, session_id: str) -> Seen:
    """All that can be seen of a session. Equal twice: nothing was lost, and nothing added."""
    return (
        await service.read(session_id),
        await service.list(SessionQuery()),
        await service.read_history(session_id),
        await service.export_session(session_id),
    )


async def records_of(open_store: OpenStore, session_id: str) -> tuple[Record, ...]:
    """The stream of a session, looked at while no service has the place."""
    async with open_store() as store:
        return await store.read(f"session:{session_id}")


class Marks:
    """Where the runs of a session begin and end, as their watchers are told."""

    def __init__(self, service: SessionService, session_id: str) -> None:
        self.starts = 0
        self.ends: list[RunCompleted | RunFailed] = []
        self.stop = service.watch_session_events(session_id, self._see)

    def _see(self, envelope: EventEnvelope) -> None:
        match envelope.payload:
            case RunStarted():
                self.starts += 1
            case RunCompleted() | RunFailed() as end:
                self.ends.append(end)
            case _:
                pass


async def passes(count: int = 20) -> None:
    """Lets everything go on that can, for a while."""
    for _ in range(count):
        await asyncio.sleep(0)
