"""The background work of a session, as its runtime sees it: what to wake for, what was told.

The rule: whatever changes the registry makes the runtime look, in the step in which it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from meerkat_mob.core.ids import Clock
from meerkat_mob.core.inputs import ContinuationInput
from meerkat_mob.errors import SessionNotFound, StoreError
from meerkat_mob.runtime.log import InboxLog
from meerkat_mob.runtime.operations import (
    OperationBook,
    OperationFact,
    OperationRegistry,
    continuation_for,
)


class Jobs:
    """The registry of one session, and the wake-ups that come of it."""

    def __init__(
        self,
        session_id: str,
        *,
        log: InboxLog,
        clock: Clock,
        ids: Callable[[], str],
        changed: Callable[[], None],
    ) -> None:
        self._session_id, self._log, self._clock, self._ids = session_id, log, clock, ids
        self._changed = changed
        self.registry = self._over(OperationBook(session_id))

    def _over(self, book: OperationBook) -> OperationRegistry:
        return OperationRegistry(book, keep=self._keep, clock=self._clock, ids=self._ids)

    async def recover(self, book: OperationBook) -> None:
        """Goes on from what an earlier process kept; what it left unfinished is terminated.

        Raises ``StoreError``.
        """
        self.registry = self._over(book)
        await self.registry.recover()

    def wake(self, *, quiescent: bool) -> ContinuationInput | None:
        """The input that tells the session's model of the ends it does not know (LP-4)."""
        news = self.registry.wake(quiescent=quiescent)
        if news is None:
            return None
        return continuation_for(
            news, epoch_id=self.registry.epoch_id, input_id=self._ids(), at=self._clock()
        )

    async def told(self, through: int) -> None:
        """A run has told its model of the ends up to here; unkept, the next one tells it again.

        What is told twice does no harm; what is never told would.
        """
        with suppress(StoreError, SessionNotFound):
            await self.registry.told(through)

    async def end(self, reason: str) -> None:
        """Its session ends here, and its work with it; the next process finds what was not kept."""
        with suppress(StoreError, SessionNotFound):
            await self.registry.terminate_owner(reason)

    async def _keep(self, facts: Sequence[OperationFact], then: Callable[[], None]) -> None:
        def seen() -> None:
            then()
            self._changed()

        await self._log.keep(self._session_id, facts, then=seen)
