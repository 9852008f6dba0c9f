"""Sessions that survive: each is a stream of facts, and lives in memory only while it is used.

The rule: what was answered was kept. A session that is only stored is read from its head and its
records, and comes to life when something is asked of it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from itertools import islice
from typing import Final

import msgspec
from msgspec import UNSET

from meerkat_mob.core.compaction import Discarded
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.requests import CreateSessionRequest
from meerkat_mob.core.session import Session
from meerkat_mob.errors import AgentError, SessionNotFound, SessionNotRunning
from meerkat_mob.sessions.catalogue import PAGE, Catalogue
from meerkat_mob.sessions.discarded import DiscardedFold
from meerkat_mob.sessions.fold import STREAM, Fold, SessionHead, head_of
from meerkat_mob.sessions.ledger import Ledger, StreamLedger
from meerkat_mob.sessions.live import LiveSession
from meerkat_mob.sessions.living import LiveSessions, as_archived
from meerkat_mob.sessions.opening import first_state
from meerkat_mob.sessions.recovery import (
    ANYWHERE,
    NOTHING,
    RecoveryContext,
    RecoveryOverrides,
    build_recovered_session,
)
from meerkat_mob.sessions.service import BuildAgent
from meerkat_mob.sessions.state import SessionState, document_of
from meerkat_mob.sessions.views import (
    SessionHistory,
    SessionQuery,
    SessionSummary,
    SessionView,
    checked,
    page_of,
    summary_of,
    view_of,
)
from meerkat_mob.store import Record, Store, to_the_end

FOLDED: Final = 8
"""Stored sessions kept in memory for those who page through their history."""


class PersistentSessionService(LiveSessions):
    """``SessionService`` over a store. Made by ``open``; its store is closed by whoever opened it.

    ``max_sessions`` bounds the live ones; how many are stored has no bound.
    """

    supports_persistent_sessions: bool = True

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        *,
        build_agent: BuildAgent,
        clock: Clock,
        ids: Callable[[], str],
        max_sessions: int = 10_000,
    ) -> None:
        super().__init__(build_agent=build_agent, clock=clock, ids=ids, max_sessions=max_sessions)
        self._store, self._catalogue = store, catalogue
        self._moves: dict[str, asyncio.Task[LiveSession | None]] = {}
        self._folded: OrderedDict[str, SessionState] = OrderedDict()

    @classmethod
    async def open(
        cls,
        store: Store,
        *,
        build_agent: BuildAgent,
        clock: Clock,
        ids: Callable[[], str],
        max_sessions: int = 10_000,
    ) -> PersistentSessionService:
        """A service over all sessions of a store. Costs a look at each head."""
        return cls(
            store,
            await Catalogue.read(store),
            build_agent=build_agent,
            clock=clock,
            ids=ids,
            max_sessions=max_sessions,
        )

    def _is_taken(self, session_id: str) -> bool:
        return session_id in self._catalogue

    def _ledger(self, session_id: str, revision: int = 0) -> Ledger:
        return StreamLedger(self._store, session_id, shown=self._catalogue.put, revision=revision)

    # -- coming to life ------------------------------------------------------------------------

    async def _session(self, session_id: str) -> LiveSession:
        """A live session; one that is only stored comes to life first.

        Raises ``SessionNotFound``, also for an archived one, and ``SessionUnsupported`` for one
        that had tools of its program: only ``resume_session`` can give them back.
        """
        if session := self._live.get(session_id):
            return session
        self._insist_on(session_id)
        task = self._moves.get(session_id)
        if task is None:
            task = self._move(session_id, self._revive(session_id, NOTHING, ANYWHERE))
        return await _living(task, session_id)

    async def resume_session(
        self,
        session_id: str,
        overrides: RecoveryOverrides = NOTHING,
        context: RecoveryContext = ANYWHERE,
    ) -> None:
        """Brings a stored session to life, with the tools and the changes in ``overrides``.

        Raises ``SessionNotFound``, ``AgentError`` when it lives already, ``SessionUnsupported``
        when a tool it was made with is missing, what ``build_recovered_session`` raises, and
        ``StoreCorrupt``.
        """
        self._insist_on(session_id)
        self._insist_on_rest(session_id)
        task = self._move(session_id, self._revive(session_id, overrides, context))
        await to_the_end(task)

    def _insist_on(self, session_id: str) -> None:
        if self._catalogue.get(session_id)[0].archived:
            raise SessionNotFound(session_id=session_id)

    def _insist_on_rest(self, session_id: str) -> None:
        if session_id in self._live or session_id in self._moves:
            raise AgentError(f"session {session_id} lives already: nothing needs doing")

    def _move(
        self, session_id: str, story: Coroutine[None, None, LiveSession | None]
    ) -> asyncio.Task[LiveSession | None]:
        """Something done with a stored session: once for all who wait, whoever is cancelled."""
        task = asyncio.create_task(story, name=f"session {session_id} leaves its rest")
        self._moves[session_id] = task
        task.add_done_callback(lambda _: self._moves.pop(session_id, None))
        return task

    async def _revive(
        self, session_id: str, overrides: RecoveryOverrides, context: RecoveryContext
    ) -> LiveSession:
        stored, revision = await self._at_rest(session_id)
        request = build_recovered_session(document_of(stored), overrides, context)
        return await self._go_on(stored, revision, request)

    async def _go_on(
        self, stored: SessionState, revision: int, request: CreateSessionRequest
    ) -> LiveSession:
        session_id = stored.session_id
        with self._place_for(session_id, known=True):
            state = first_state(request, session_id=session_id, now=self._clock())
            state = msgspec.structs.replace(
                state, events_until=stored.events_until, answered_by=stored.answered_by
            )
            session = self._awaken(state, request, self._ledger(session_id, revision))
            await session.open(stored)
            self._register(session)
        return session

    async def _create(self, request: CreateSessionRequest) -> LiveSession:
        document = request.build.resume_session
        wanted = request.build.session_id
        if document is UNSET or wanted != document.id or document.id not in self._catalogue:
            return await super()._create(request)
        self._insist_on(document.id)
        self._insist_on_rest(document.id)
        task = self._move(document.id, self._go_on_from(document, request))
        return await _living(task, document.id)

    async def _go_on_from(self, document: Session, request: CreateSessionRequest) -> LiveSession:
        """What is stored goes on: a document of an earlier day takes nothing of it back."""
        stored, revision = await self._at_rest(document.id)
        if stored.transcript != document.history:
            raise AgentError(
                f"session {document.id} is stored with other messages: resume what is stored, "
                "or give the document an id of its own"
            )
        build = msgspec.structs.replace(request.build, resume_session=document_of(stored))
        request = msgspec.structs.replace(request, build=build)
        return await self._go_on(stored, revision, request)

    async def archive(self, session_id: str) -> None:
        """See ``SessionService.archive``. One that is only stored needs no life for it."""
        if session_id in self._live or session_id in self._moves:
            await super().archive(session_id)
            return
        self._insist_on(session_id)
        await to_the_end(self._move(session_id, self._archive_at_rest(session_id)))

    async def _archive_at_rest(self, session_id: str) -> None:
        stored, revision = await self._at_rest(session_id)
        after, _ = as_archived(stored)
        await self._ledger(session_id, revision).keep(stored, after, (), lambda _: None)

    async def _at_rest(self, session_id: str) -> tuple[SessionState, int]:
        """What is stored of a session once it has stopped. Raises ``SessionNotFound``."""
        if ending := self._draining.get(session_id):
            await ending.closed()
        self._insist_on(session_id)
        return await self._stored(session_id)

    async def _stored(self, session_id: str) -> tuple[SessionState, int]:
        """What the store holds of a session, and the number of its last record."""
        fold, revision = Fold(session_id), 0
        while page := await self._store.read(STREAM + session_id, after=revision, limit=PAGE):
            fold.add(page)
            revision = page[-1].seq
        return fold.state(), revision

    async def interrupt(self, session_id: str) -> None:
        """See ``SessionService.interrupt``. A session that is only stored runs nothing."""
        if session_id not in self._live:
            self._insist_on(session_id)
            raise SessionNotRunning(session_id=session_id)
        await super().interrupt(session_id)

    async def aclose(self) -> None:
        """See ``SessionService.aclose``. What comes to life now is awaited, and ends as well."""
        while self._moves:
            await asyncio.wait(tuple(self._moves.values()))
        await super().aclose()

    # -- looks ---------------------------------------------------------------------------------

    async def _look(self, session_id: str) -> SessionState:
        session = self._live.get(session_id) or self._draining.get(session_id)
        if session is not None:
            return session.shown
        told = self._catalogue.get(session_id)
        state = self._folded.pop(session_id, None)
        if state is None or (head_of(state), state.updated_at) != told:
            state, _ = await self._stored(session_id)
        self._folded[session_id] = state
        while len(self._folded) > FOLDED:
            self._folded.popitem(last=False)
        return state

    async def read(self, session_id: str) -> SessionView:
        """See ``SessionService.read``. Costs no look at the disk."""
        session = self._live.get(session_id) or self._draining.get(session_id)
        if session is not None:
            return session.view()
        head, at = self._catalogue.get(session_id)
        return view_of(session_id, head, at=at, is_active=False)

    async def list(self, query: SessionQuery) -> Sequence[SessionSummary]:
        """See ``SessionService.list``."""
        query = checked(query)
        wanted = query.labels.items()
        found = (
            self._summary(session_id, head, at)
            for session_id, head, at in self._catalogue.whole()
            if not head.archived and wanted <= head.labels.items()
        )
        end = None if query.limit is None else query.offset + query.limit
        return list(islice(found, query.offset, end))

    def _summary(self, session_id: str, head: SessionHead, at: int) -> SessionSummary:
        if session := self._live.get(session_id) or self._draining.get(session_id):
            return session.summary()
        return summary_of(session_id, head, at=at, is_active=False)

    async def read_history(
        self, session_id: str, *, offset: int = 0, limit: int | None = None
    ) -> SessionHistory:
        """See ``SessionService.read_history``. Archived sessions answer too."""
        state = await self._look(session_id)
        return page_of(session_id, state.transcript, offset, limit)

    async def export_session(self, session_id: str) -> Session:
        """See ``SessionService.export_session``. Sessions that are only stored answer too."""
        return document_of(await self._look(session_id))

    async def read_discarded(self, session_id: str, known: int = 0) -> Discarded | None:
        """See ``SessionService.read_discarded``. Reads the session's records when there is news."""
        live = self._live.get(session_id)
        at = (await self._look(session_id) if live is None else live.kept).compacted.at
        if at is UNSET or at == known:
            return None
        fold, revision = DiscardedFold(), 0
        while page := await self._store.read(STREAM + session_id, after=revision, limit=PAGE):
            fold.add(page)
            revision = page[-1].seq
        return Discarded(at=at, messages=fold.messages())

    async def load_persisted_session(self, session_id: str) -> Session | None:
        """What the store holds of a session, archived or not; None when it never existed."""
        if session_id not in self._catalogue:
            return None
        return document_of((await self._stored(session_id))[0])

    async def read_facts(
        self, session_id: str, *, after: int = 0, limit: int = 1000
    ) -> tuple[Record, ...]:
        """See ``SessionService.read_facts``."""
        return await self._store.read(STREAM + session_id, after=after, limit=limit)


async def _living(move: asyncio.Task[LiveSession | None], session_id: str) -> LiveSession:
    """The session that came to life. Raises ``SessionNotFound`` when it was archived instead."""
    session = await to_the_end(move)
    if session is None:
        raise SessionNotFound(session_id=session_id)
    return session
