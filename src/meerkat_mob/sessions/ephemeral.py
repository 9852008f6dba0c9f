"""Sessions in memory: the service of the browser, and of a realm without a path.

Nothing survives the process, and it says so: what only a durable service can do is refused with
a typed error. Archived sessions stay readable as a bounded number of final views.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from msgspec import UNSET

from meerkat_mob.core.compaction import Discarded
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.session import Session
from meerkat_mob.errors import PersistenceDisabled
from meerkat_mob.sessions.ledger import Ledger, MemoryLedger
from meerkat_mob.sessions.live import LiveSession
from meerkat_mob.sessions.living import LiveSessions
from meerkat_mob.sessions.service import BuildAgent
from meerkat_mob.sessions.state import SessionState, document_of
from meerkat_mob.sessions.views import (
    SessionHistory,
    SessionQuery,
    SessionSummary,
    SessionView,
    checked,
    page_of,
)
from meerkat_mob.store import Record

ARCHIVED_VIEWS: Final = 256


class EphemeralSessionService(LiveSessions):
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
        super().__init__(build_agent=build_agent, clock=clock, ids=ids, max_sessions=max_sessions)
        self._memory = MemoryLedger(clock)
        self._archived: OrderedDict[str, SessionView] = OrderedDict()

    def _is_taken(self, session_id: str) -> bool:
        return session_id in self._archived

    def _ledger(self, session_id: str) -> Ledger:
        del session_id
        return self._memory

    async def _session(self, session_id: str) -> LiveSession:
        return self._alive(session_id)

    def _drained(self, session: LiveSession) -> None:
        super()._drained(session)
        if session.kept.archived:
            self._archived[session.id] = session.view()
            while len(self._archived) > ARCHIVED_VIEWS:
                self._archived.popitem(last=False)

    # -- looks ---------------------------------------------------------------------------------

    async def read(self, session_id: str) -> SessionView:
        """See ``SessionService.read``. Archived sessions answer with their final view."""
        if view := self._archived.get(session_id):
            return view
        return (self._ending(session_id) or self._alive(session_id)).view()

    async def _look(self, session_id: str) -> SessionState:
        return self._alive(session_id).shown

    def _ending(self, session_id: str) -> LiveSession | None:
        """A session that is archived and whose last run has not ended yet."""
        session = self._draining.get(session_id)
        return session if session is not None and session.kept.archived else None

    async def list(self, query: SessionQuery) -> Sequence[SessionSummary]:
        """See ``SessionService.list``."""
        query = checked(query)
        wanted = query.labels.items()
        found = (s.summary() for s in self._live.values() if wanted <= s.kept.labels.items())
        end = None if query.limit is None else query.offset + query.limit
        return list(islice(found, query.offset, end))

    async def read_history(
        self, session_id: str, *, offset: int = 0, limit: int | None = None
    ) -> SessionHistory:
        """See ``SessionService.read_history``. Raises ``PersistenceDisabled`` once archived."""
        if session_id in self._archived or self._ending(session_id):
            raise PersistenceDisabled(
                what="the history of an archived session", session_id=session_id
            )
        return page_of(session_id, self._alive(session_id).shown.transcript, offset, limit)

    async def export_session(self, session_id: str) -> Session:
        """See ``SessionService.export_session``."""
        return document_of(self._alive(session_id).shown)

    async def read_discarded(self, session_id: str, known: int = 0) -> Discarded | None:
        """See ``SessionService.read_discarded``."""
        session = self._alive(session_id)
        at = session.compacted().at
        if at is UNSET or at == known:
            return None
        return Discarded(at=at, messages=tuple(session.discarded))

    async def load_persisted_session(self, session_id: str) -> None:
        """Nothing is: raises ``PersistenceDisabled``."""
        raise PersistenceDisabled(what="a stored session", session_id=session_id)

    async def read_facts(
        self, session_id: str, *, after: int = 0, limit: int = 1000
    ) -> tuple[Record, ...]:
        """See ``SessionService.read_facts``."""
        del session_id, after, limit
        return ()
