"""Sessions in memory: the service of the browser, and of a realm without a path.

Nothing survives the process, and it says so: what only a durable service can do is refused with
a typed error. Archived sessions stay readable as a bounded number of final views.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from itertools import islice
from typing import Final

from msgspec import UNSET

from meerkat_mob.core.events import EventEnvelope, RunResult
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.inputs import ApplyOutput, Boundary, Receipt
from meerkat_mob.core.requests import CreateSessionRequest, StartTurnRequest
from meerkat_mob.core.session import Session
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import (
    AgentError,
    MeerkatError,
    NoPendingBoundary,
    PersistenceDisabled,
    SessionNotFound,
    SessionNotRunning,
)
from meerkat_mob.sessions.export import document_of
from meerkat_mob.sessions.live import LiveSession
from meerkat_mob.sessions.service import (
    BuildAgent,
    SessionHistory,
    SessionQuery,
    SessionSummary,
    SessionView,
)

ARCHIVED_VIEWS: Final = 256


class EphemeralSessionService:
    """``SessionService`` without a store. ``max_sessions`` bounds the live ones (EPH-1)."""

    supports_persistent_sessions: bool = False

    def __init__(
        self,
        *,
        build_agent: BuildAgent,
        clock: Clock,
        ids: Callable[[], str],
        max_sessions: int = 10_000,
    ) -> None:
        self._build_agent, self._clock, self._ids = build_agent, clock, ids
        self._max_sessions = max_sessions
        self._live: dict[str, LiveSession] = {}
        self._draining: set[LiveSession] = set()
        self._archived: OrderedDict[str, SessionView] = OrderedDict()

    # -- life ----------------------------------------------------------------------------------

    async def create_session(self, request: CreateSessionRequest) -> RunResult:
        """See ``SessionService.create_session``."""
        session = self._register(request)
        if request.initial_turn == "defer":
            return RunResult(text="", session_id=session.id, usage=Usage())
        turn = StartTurnRequest(prompt=request.prompt, render_metadata=request.render_metadata)
        try:
            return await session.start_turn(turn)
        except MeerkatError as error:
            error.session_id = session.id
            raise

    def _register(self, request: CreateSessionRequest) -> LiveSession:
        wanted = request.build.session_id
        session_id = self._ids() if wanted is UNSET else wanted
        if session_id in self._live or session_id in self._archived:
            raise AgentError(f"session {session_id} exists already: choose another id")
        if len(self._live) >= self._max_sessions:
            raise AgentError(
                f"max sessions reached ({self._max_sessions}): archive some, or raise max_sessions"
            )
        session = LiveSession(
            session_id, request, build_agent=self._build_agent, clock=self._clock, ids=self._ids
        )
        self._live[session_id] = session
        return session

    async def start_turn(self, session_id: str, request: StartTurnRequest) -> RunResult:
        """See ``SessionService.start_turn``."""
        return await self._session(session_id).start_turn(request)

    async def interrupt(self, session_id: str) -> None:
        """See ``SessionService.interrupt``."""
        self._session(session_id).interrupt()

    async def archive(self, session_id: str) -> None:
        """See ``SessionService.archive``. A running turn ends first, for its own caller."""
        session = self._session(session_id)
        del self._live[session_id]
        self._draining.add(session)
        self._keep_view(session)
        session.shut_down(when_closed=lambda: self._archive_closed(session))
        await session.ended()

    def _archive_closed(self, session: LiveSession) -> None:
        self._draining.discard(session)
        self._keep_view(session)

    def _keep_view(self, session: LiveSession) -> None:
        self._archived[session.id] = session.view()
        while len(self._archived) > ARCHIVED_VIEWS:
            self._archived.popitem(last=False)

    async def discard_live_session(self, session_id: str) -> None:
        """See ``SessionService.discard_live_session``. A running turn is interrupted."""
        session = self._session(session_id)
        del self._live[session_id]
        await self._end(session)

    async def aclose(self) -> None:
        """See ``SessionService.aclose``."""
        sessions = [*self._live.values(), *self._draining]
        self._live.clear()
        async with asyncio.TaskGroup() as group:
            for session in sessions:
                group.create_task(self._end(session))

    async def _end(self, session: LiveSession) -> None:
        if session not in self._draining:
            session.shut_down()
        with contextlib.suppress(SessionNotRunning):
            session.interrupt()
        await session.ended()

    # -- looks ---------------------------------------------------------------------------------

    async def has_live_session(self, session_id: str) -> bool:
        """See ``SessionService.has_live_session``."""
        return session_id in self._live

    async def read(self, session_id: str) -> SessionView:
        """See ``SessionService.read``. Archived sessions answer with their final view."""
        if session_id in self._archived:
            return self._archived[session_id]
        return self._session(session_id).view()

    async def list(self, query: SessionQuery) -> Sequence[SessionSummary]:
        """See ``SessionService.list``."""
        wanted = query.labels.items()
        found = (s.summary() for s in self._live.values() if wanted <= s.labels.items())
        start = max(query.offset, 0)
        end = None if query.limit is None else start + max(query.limit, 0)
        return list(islice(found, start, end))

    async def read_history(
        self, session_id: str, *, offset: int = 0, limit: int | None = None
    ) -> SessionHistory:
        """See ``SessionService.read_history``. Raises ``PersistenceDisabled`` once archived."""
        if session_id in self._archived:
            raise PersistenceDisabled(
                what="the history of an archived session", session_id=session_id
            )
        said = self._session(session_id).committed
        count = len(said)
        start = min(max(offset, 0), count)
        messages = said.slice(start, limit)
        return SessionHistory(
            session_id=session_id,
            message_count=count,
            offset=start,
            limit=limit,
            has_more=start + len(messages) < count,
            messages=messages,
        )

    async def export_session(self, session_id: str) -> Session:
        """See ``SessionService.export_session``."""
        return document_of(self._session(session_id))

    def subscribe_session_events(
        self, session_id: str, *, after: int | None = None
    ) -> AsyncGenerator[EventEnvelope, None]:
        """See ``SessionService.subscribe_session_events``."""
        return self._session(session_id).events.subscribe(after)

    def watch_session_events(
        self, session_id: str, watcher: Callable[[EventEnvelope], None]
    ) -> Callable[[], None]:
        """See ``SessionService.watch_session_events``."""
        return self._session(session_id).events.watch(watcher)

    # -- the runtime's side --------------------------------------------------------------------

    async def apply_runtime_turn(
        self,
        session_id: str,
        run_id: str,
        request: StartTurnRequest,
        boundary: Boundary,
        contributing_input_ids: tuple[str, ...],
    ) -> ApplyOutput:
        """See ``SessionService.apply_runtime_turn``."""
        session = self._session(session_id)
        try:
            result = await session.start_turn(request)
        except NoPendingBoundary:
            result = None
        receipt = Receipt(
            run_id=run_id,
            boundary=boundary,
            contributing_input_ids=contributing_input_ids,
            conversation_digest=session.committed.digest(),
            message_count=len(session.committed),
        )
        return ApplyOutput(receipt=receipt, result=result)

    def _session(self, session_id: str) -> LiveSession:
        session = self._live.get(session_id)
        if session is None:
            raise SessionNotFound(session_id=session_id)
        return session
