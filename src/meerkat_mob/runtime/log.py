"""Where the facts of inboxes go: into the streams of their sessions, or nowhere.

The rule: ``then`` is done in the step in which the facts are kept, and only then.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

import msgspec

from meerkat_mob.core.blobs import Blob
from meerkat_mob.errors import DuplicateKey, SessionNotFound, StoreError
from meerkat_mob.runtime import operations
from meerkat_mob.runtime.facts import InputAccepted, RuntimeFact, record_of
from meerkat_mob.runtime.operations import OperationFact
from meerkat_mob.sessions import SessionService, StreamFacts
from meerkat_mob.store import NewRecord, Record

PAGE: Final = 1000


class InboxLog(Protocol):
    """Keeps the facts of many inboxes."""

    @property
    def lasts(self) -> bool:
        """Whether what it keeps outlives the process."""
        ...

    async def keep(
        self,
        session_id: str,
        facts: Sequence[RuntimeFact] | Sequence[OperationFact],
        *,
        unique: tuple[str, ...] = (),
        blobs: tuple[Blob, ...] = (),
        then: Callable[[], None] | None = None,
    ) -> str | None:
        """Keeps facts, all or none; the first takes the keys.

        When one of the keys is taken, nothing is kept and the id of the input that has it is
        returned. Raises ``StoreError``, and ``SessionNotFound`` for an archived session.
        """
        ...

    def read(self, session_id: str) -> AsyncGenerator[tuple[Record, ...], None]:
        """All that is kept of a session, in pages."""
        ...


class NoLog:
    """Nothing outlives the process."""

    lasts: bool = False

    async def keep(
        self,
        session_id: str,
        facts: Sequence[RuntimeFact] | Sequence[OperationFact],
        *,
        unique: tuple[str, ...] = (),
        blobs: tuple[Blob, ...] = (),
        then: Callable[[], None] | None = None,
    ) -> str | None:
        """See ``InboxLog.keep``."""
        del session_id, facts, unique, blobs
        if then is not None:
            then()
        return None

    async def read(self, session_id: str) -> AsyncGenerator[tuple[Record, ...], None]:
        """See ``InboxLog.read``: nothing."""
        del session_id
        nothing: tuple[tuple[Record, ...], ...] = ()
        for page in nothing:
            yield page


class StreamLog:
    """The streams of a session service's sessions."""

    lasts: bool = True

    def __init__(self, sessions: SessionService) -> None:
        self._sessions = sessions

    async def keep(
        self,
        session_id: str,
        facts: Sequence[RuntimeFact] | Sequence[OperationFact],
        *,
        unique: tuple[str, ...] = (),
        blobs: tuple[Blob, ...] = (),
        then: Callable[[], None] | None = None,
    ) -> str | None:
        """See ``InboxLog.keep``."""
        kept = StreamFacts(records=tuple(map(_record_of, facts)), unique=unique, blobs=blobs)
        try:
            await self._sessions.append_facts(session_id, kept, then=then)
        except DuplicateKey as taken:
            (record,) = await self._sessions.read_facts(session_id, after=taken.seq - 1, limit=1)
            return _id_in(record)
        return None

    async def read(self, session_id: str) -> AsyncGenerator[tuple[Record, ...], None]:
        """See ``InboxLog.read``."""
        after = 0
        while page := await self._sessions.read_facts(session_id, after=after, limit=PAGE):
            yield page
            after = page[-1].seq


class SessionLog:
    """The log of one session, and what is owed to it.

    What could not be kept and is true all the same goes with the next facts that can be.
    """

    def __init__(self, log: InboxLog, session_id: str) -> None:
        self._log, self._session_id = log, session_id
        self._owed: tuple[RuntimeFact, ...] = ()

    @property
    def lasts(self) -> bool:
        """See ``InboxLog.lasts``."""
        return self._log.lasts

    async def keep(self, *facts: RuntimeFact, then: Callable[[], None] | None = None) -> None:
        """See ``InboxLog.keep``. Nothing to write is no commit."""
        owed = self._owed

        def kept() -> None:
            self._owed = tuple(fact for fact in self._owed if fact not in owed)
            if then is not None:
                then()

        if facts or owed:
            await self._log.keep(self._session_id, (*owed, *facts), then=kept)
        else:
            kept()

    def owe(self, fact: RuntimeFact) -> None:
        """A fact for the next time that something can be kept."""
        self._owed = (*self._owed, fact)

    async def pay(self) -> None:
        """Keeps what is owed, if that is possible now."""
        with suppress(StoreError, SessionNotFound):
            await self.keep()

    def read(self) -> AsyncGenerator[tuple[Record, ...], None]:
        """See ``InboxLog.read``."""
        return self._log.read(self._session_id)


def _record_of(fact: RuntimeFact | OperationFact) -> NewRecord:
    return record_of(fact) if isinstance(fact, RuntimeFact) else operations.record_of(fact)


class _Header(msgspec.Struct):
    id: str


class _Item(msgspec.Struct):
    header: _Header


def _id_in(record: Record) -> str:
    item = msgspec.json.decode(record.body, type=InputAccepted).item
    return msgspec.json.decode(item, type=_Item).header.id
