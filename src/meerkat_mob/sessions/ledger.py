"""Where a session's commits go: to memory alone, or into its stream of the store.

The rule: a commit has happened when ``install`` was called, and only then. It is called in the
same step, also when whoever waits for the commit was cancelled meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol, TypeAlias

import msgspec

from meerkat_mob.core.blobs import Blob
from meerkat_mob.core.ids import Clock
from meerkat_mob.sessions.facts import RunFact, changes, opening
from meerkat_mob.sessions.fold import STREAM, SessionHead, encode_head, head_of
from meerkat_mob.sessions.state import SessionState
from meerkat_mob.store.protocol import Append, NewRecord, Record, Store

Installed: TypeAlias = Callable[[int], None]
"""Told when the commit happened, in ms UTC."""


class StreamFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of somebody else for a session's stream; the first takes the ``unique`` keys."""

    records: tuple[NewRecord, ...]
    unique: tuple[str, ...] = ()
    blobs: tuple[Blob, ...] = ()


class Ledger(Protocol):
    """Keeps one session. Its session makes one commit after another, never two at once."""

    @property
    def lasts(self) -> bool:
        """Whether what it keeps outlives the process."""
        ...

    async def open(self, state: SessionState, install: Installed) -> None:
        """Keeps the beginning of a session."""
        ...

    async def keep(
        self,
        before: SessionState,
        after: SessionState,
        run: tuple[RunFact, ...],
        install: Installed,
    ) -> None:
        """Keeps the difference between two states, and what a run came to.

        Raises ``StoreError``.
        """
        ...

    async def append(
        self,
        state: SessionState,
        facts: StreamFacts,
        install: Installed,
    ) -> None:
        """Keeps facts of somebody else in the session's stream.

        Raises ``DuplicateKey`` and other ``StoreError``.
        """
        ...

    async def blobs(self, ids: Iterable[str]) -> Mapping[str, Blob]:
        """Those of the named images that were kept. Raises ``StoreError``."""
        ...


class MemoryLedger:
    """Nothing outlives the process."""

    lasts: bool = False

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def open(self, state: SessionState, install: Installed) -> None:
        """See ``Ledger.open``."""
        install(state.updated_at)

    async def keep(
        self,
        before: SessionState,
        after: SessionState,
        run: tuple[RunFact, ...],
        install: Installed,
    ) -> None:
        """See ``Ledger.keep``."""
        del before, after, run
        install(self._clock())

    async def append(
        self,
        state: SessionState,
        facts: StreamFacts,
        install: Installed,
    ) -> None:
        """See ``Ledger.append``."""
        del state, facts
        install(self._clock())

    async def blobs(self, ids: Iterable[str]) -> Mapping[str, Blob]:
        """None: the transcript holds all there are."""
        del ids
        return {}


class StreamLedger:
    """A session's stream. ``revision`` is the number of its last record, 0 for a new one.

    ``shown`` is told the head and the time of each commit.
    """

    lasts: bool = True

    def __init__(
        self,
        store: Store,
        session_id: str,
        *,
        shown: Callable[[str, SessionHead, int], None],
        revision: int = 0,
    ) -> None:
        self._store: Final = store
        self._id, self._shown = session_id, shown
        self._stream: Final = STREAM + session_id
        self._revision = revision

    async def open(self, state: SessionState, install: Installed) -> None:
        """See ``Ledger.open``. Raises ``StaleRevision`` when the stream exists."""
        await self._commit(opening(state), state, install)

    async def keep(
        self,
        before: SessionState,
        after: SessionState,
        run: tuple[RunFact, ...],
        install: Installed,
    ) -> None:
        """See ``Ledger.keep``. Nothing new needs no commit, and has happened."""
        records = changes(before, after, run)
        if records:
            await self._commit(records, after, install)
        else:
            install(before.updated_at)

    async def append(
        self,
        state: SessionState,
        facts: StreamFacts,
        install: Installed,
    ) -> None:
        """See ``Ledger.append``."""
        await self._commit(facts.records, state, install, facts)

    async def _commit(
        self,
        records: tuple[NewRecord, ...],
        after: SessionState,
        install: Installed,
        more: StreamFacts | None = None,
    ) -> None:
        head = head_of(after)
        append = Append(
            stream=self._stream,
            expected=self._revision,
            records=records,
            unique=more.unique if more else (),
            head=encode_head(head),
        )
        fresh = (*after.transcript.blobs.values(), *(more.blobs if more else ()))

        def kept(written: tuple[Record, ...]) -> None:
            self._revision = written[-1].seq
            after.transcript.forget_blobs(blob.id for blob in fresh)
            self._shown(self._id, head, written[-1].at)
            install(written[-1].at)

        await self._store.commit((append,), blobs=fresh, install=kept)

    async def blobs(self, ids: Iterable[str]) -> Mapping[str, Blob]:
        """See ``Ledger.blobs``."""
        found = {name: await self._store.blob(name) for name in ids}
        return {name: blob for name, blob in found.items() if blob is not None}
