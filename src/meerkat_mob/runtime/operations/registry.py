"""The background work of one living session: who changes it, who watches it, who waits.

The rule: a change is kept first, and is seen in the step in which it is kept: its status, its
place in the feed and its watchers' outcome together (W22). A change that cannot be kept has not
happened.

Departures from OPS-3, on purpose. An operation that had not ended when its process did is not
stripped: it ends as terminated when the session is opened again, so the model and whoever asks
learn of it. And what cannot be read is damage that is reported, never a new epoch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.ids import Clock
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.errors import OperationRefused, WaitRefused
from meerkat_mob.runtime.operations.book import CONCURRENT, OperationBook
from meerkat_mob.runtime.operations.facts import CursorsMoved, Ended, EpochBegan, OperationFact
from meerkat_mob.runtime.operations.feed import CompletionFeed, FeedEntry
from meerkat_mob.runtime.operations.model import (
    Operation,
    OperationAborted,
    OperationCancelled,
    OperationCompleted,
    OperationFailed,
    OperationMove,
    OperationOutcome,
    OperationRetired,
    OperationSnapshot,
    OperationSpec,
    OperationTerminated,
    PeerHandle,
    snapshot_of,
)
from meerkat_mob.runtime.operations.news import (
    JobNews,
    OperationCursors,
    decide_wake,
    news_since,
)

PROCESS_ENDED: Final = "the process that did it ended"
"""Why what a restart found unfinished was terminated."""

KeepOperations: TypeAlias = Callable[
    [Sequence[OperationFact], Callable[[], None]], Awaitable[object]
]
"""Keeps facts, all or none, and does the second argument in the step in which they are kept.

Raises when it cannot; who waits for it and is cancelled learns so only after its end.
"""


class OperationRegistry:
    """One session's operations (spec sessions 5.12). Times in ms UTC from ``clock``."""

    def __init__(
        self,
        book: OperationBook,
        *,
        keep: KeepOperations,
        clock: Clock,
        ids: Callable[[], str],
        max_concurrent: int = CONCURRENT,
    ) -> None:
        self.session_id: Final = book.session_id
        self.completion_feed: Final = CompletionFeed(book.feed)
        self._book, self._keep, self._clock, self._ids = book, keep, clock, ids
        self._limit, self._epoch_id = max_concurrent, book.epoch_id
        self._changing = asyncio.Lock()
        self._watchers: dict[str, list[asyncio.Future[OperationOutcome]]] = {}
        self._waiting: str | None = None
        self._owner_s_end: OperationTerminated | None = None
        self._observed = self._injected = book.agent_applied

    @property
    def epoch_id(self) -> str:
        """Whose numbers the feed has. It is kept with the first operation."""
        if self._epoch_id is None:
            self._epoch_id = self._ids()
        return self._epoch_id

    async def recover(self) -> int:
        """Ends what an earlier process left unfinished; returns how much that was.

        Once, before anything is registered. Raises ``StoreError``; then nothing has changed.
        """
        return await self._end_all(OperationTerminated(reason=PROCESS_ENDED), lost=True)

    # -- one operation -------------------------------------------------------------------------

    async def register_operation(self, spec: OperationSpec) -> None:
        """Takes an operation that is about to be provisioned.

        Raises ``OperationExists``, ``TooManyOperations``, and ``OperationRefused`` for the owner
        of another registry, or one that has ended; like every change, also ``StoreError``.
        """
        await self._change(
            lambda: self._book.registering(spec, at=self._clock(), limit=self._limit),
            spec.id,
            OperationMove.REGISTER,
        )

    async def provisioning_succeeded(self, operation_id: str) -> None:
        """It runs. Like every change, raises ``OperationNotFound`` and ``OperationRefused``."""
        await self._change(
            lambda: self._book.starting(operation_id, at=self._clock()),
            operation_id,
            OperationMove.PROVISIONED,
        )

    async def provisioning_failed(self, operation_id: str, error: str) -> None:
        """It never came to run."""
        await self._end(
            operation_id, OperationFailed(error=error), OperationMove.PROVISIONING_FAILED
        )

    async def abort_provisioning(self, operation_id: str, reason: str | UnsetType = UNSET) -> None:
        """It was given up before it ran."""
        await self._end(operation_id, OperationAborted(reason=reason), OperationMove.ABORT)

    async def peer_ready(self, operation_id: str, peer: PeerHandle) -> None:
        """It can be reached as a peer: once, and only if that was expected."""
        await self._change(
            lambda: self._book.readying(operation_id, peer),
            operation_id,
            OperationMove.PEER_READY,
        )

    def report_progress(self, operation_id: str) -> int:
        """It goes on; returns how often it said so. Costs no write: the end keeps the count."""
        self._refuse_after_the_owner(operation_id, OperationMove.PROGRESS)
        return self._book.count_progress(operation_id)

    async def complete(self, operation_id: str, result: Json = None) -> None:
        """It did what it was there for."""
        await self._end(operation_id, OperationCompleted(result=result), OperationMove.COMPLETE)

    async def fail(self, operation_id: str, error: str) -> None:
        """It could not."""
        await self._end(operation_id, OperationFailed(error=error), OperationMove.FAIL)

    async def cancel(self, operation_id: str, reason: str | UnsetType = UNSET) -> None:
        """Somebody stopped it."""
        await self._end(operation_id, OperationCancelled(reason=reason), OperationMove.CANCEL)

    async def request_retire(self, operation_id: str) -> None:
        """It is asked to leave; it goes on until it has."""
        await self._change(
            lambda: self._book.retiring(operation_id), operation_id, OperationMove.RETIRE
        )

    async def mark_retired(self, operation_id: str) -> None:
        """It was asked to leave, and left."""
        await self._end(operation_id, OperationRetired(), OperationMove.MARK_RETIRED)

    async def terminate_owner(self, reason: str) -> int:
        """The session ends here: so does what it has at work; returns how much that was.

        From the first moment nothing is taken any more. Whoever watches is told, also when the
        ends cannot be kept: the process that opens the session next will end them as terminated
        too. Raises ``StoreError`` then, and may be asked again. The first reason holds.
        """
        outcome = self._owner_s_end = self._owner_s_end or OperationTerminated(reason=reason)
        try:
            return await self._end_all(outcome, lost=False)
        finally:
            for operation_id in tuple(self._watchers):
                self._tell(operation_id, outcome)
            self.completion_feed.close()

    # -- looks ---------------------------------------------------------------------------------

    def snapshot(self, operation_id: str) -> OperationSnapshot:
        """How an operation stands. Raises ``OperationNotFound``."""
        return self._shown(self._book.find(operation_id))

    def list_operations(self) -> tuple[OperationSnapshot, ...]:
        """Those that are remembered: the ended ones first, in the order of their ends."""
        return tuple(map(self._shown, self._book.all()))

    def _shown(self, operation: Operation) -> OperationSnapshot:
        watchers = self._watchers.get(operation.spec.id, ())
        count = sum(not future.done() for future in watchers)
        return snapshot_of(operation, watchers=count, now=self._clock())

    # -- waiting -------------------------------------------------------------------------------

    def register_watcher(self, operation_id: str) -> asyncio.Future[OperationOutcome]:
        """A future of its end, there at once if it has ended. Cancelling it hurts nobody.

        Raises ``OperationNotFound``.
        """
        operation = self._book.find(operation_id)
        future: asyncio.Future[OperationOutcome] = asyncio.get_running_loop().create_future()
        if operation.outcome is not None:
            future.set_result(operation.outcome)
        elif self.completion_feed.closed and self._owner_s_end is not None:
            future.set_result(self._owner_s_end)
        else:
            watchers = self._watchers.setdefault(operation_id, [])
            watchers[:] = [other for other in watchers if not other.done()]
            watchers.append(future)
        return future

    async def wait_all(
        self, run_id: str, operation_ids: Sequence[str]
    ) -> Mapping[str, OperationOutcome]:
        """The ends of several, in their order, once all have come. Cancelling it stops nothing.

        Raises ``WaitRefused`` while another wait goes on and for an id that is named twice, and
        ``OperationNotFound``.
        """
        if self._waiting is not None:
            raise WaitRefused(
                session_id=self.session_id, why=f"run {self._waiting} waits for others already"
            )
        twice = sorted({i for i in operation_ids if operation_ids.count(i) > 1})
        if twice:
            raise WaitRefused(session_id=self.session_id, why=f"{', '.join(twice)} is named twice")
        for operation_id in operation_ids:
            self._book.find(operation_id)
        futures = {i: self.register_watcher(i) for i in operation_ids}
        self._waiting = run_id
        try:
            return {i: await future for i, future in futures.items()}
        finally:
            self._waiting = None
            for future in futures.values():
                future.cancel()

    @property
    def waiting_run(self) -> str | None:
        """The run that waits for several; None when none does, as after every restart."""
        return self._waiting

    async def collect_completed(self) -> tuple[FeedEntry, ...]:
        """The ends that were not collected before, oldest first; they are now.

        Their records stay readable for a while. What left the feed's buffer is not among them.
        """
        async with self._changing:
            found = self.completion_feed.list_since(self._book.collected).entries
            if found:
                await self._write(CursorsMoved(collected=found[-1].seq))
            return found

    # -- news for the model --------------------------------------------------------------------

    @property
    def cursors(self) -> OperationCursors:
        """How far the feed was read, by whom."""
        return OperationCursors(
            agent_applied=self._book.agent_applied,
            runtime_observed=self._observed,
            runtime_last_injected=self._injected,
        )

    def wake(self, *, quiescent: bool) -> JobNews | None:
        """The news to inject one continuation for, now; None otherwise (``decide_wake``)."""
        decided = decide_wake(self.completion_feed, self.cursors, quiescent=quiescent)
        self._observed = decided.cursors.runtime_observed
        self._injected = decided.cursors.runtime_last_injected
        return decided.news

    def news(self) -> JobNews | None:
        """What the model has not been told yet; the next request says it (4.4)."""
        return news_since(self.completion_feed, self._book.agent_applied)

    async def told(self, through: int) -> None:
        """A request has told the model of the ends up to this number. It never goes back."""
        async with self._changing:
            if through > self._book.agent_applied:
                await self._write(CursorsMoved(agent_applied=through))

    # -- one change ----------------------------------------------------------------------------

    async def _end(self, operation_id: str, outcome: OperationOutcome, by: OperationMove) -> None:
        await self._change(
            lambda: self._book.ending(operation_id, outcome, at=self._clock(), by=by),
            operation_id,
            by,
        )

    async def _end_all(self, outcome: OperationOutcome, *, lost: bool) -> int:
        async with self._changing:
            ends = self._book.ending_all(outcome, at=self._clock(), lost=lost)
            if ends:
                await self._write(*ends)
            return len(ends)

    async def _change(
        self, decide: Callable[[], OperationFact], operation_id: str, move: OperationMove
    ) -> None:
        """One after another: what is decided still holds when it is kept."""
        async with self._changing:
            fact = decide()
            self._refuse_after_the_owner(operation_id, move)
            await self._write(fact)

    def _refuse_after_the_owner(self, operation_id: str, move: OperationMove) -> None:
        if self._owner_s_end is not None:
            raise OperationRefused(
                operation_id=operation_id, move=move, status="ownerless", why="its owner has ended"
            )

    async def _write(self, *facts: OperationFact) -> None:
        first = () if self._book.epoch_id else (EpochBegan(epoch_id=self.epoch_id),)
        written = (*first, *facts)

        def seen() -> None:
            for fact in written:
                self._book.apply(fact)
            ends = [fact for fact in facts if isinstance(fact, Ended)]
            for end in ends:
                self._tell(end.operation_id, end.outcome)
            if ends:
                self.completion_feed.advanced()

        await self._keep(written, seen)

    def _tell(self, operation_id: str, outcome: OperationOutcome) -> None:
        for future in self._watchers.pop(operation_id, ()):
            if not future.done():
                future.set_result(outcome)


class RuntimeBindings(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent needs of its session's runtime (5.10 ``prepare_bindings``).

    Every call gives the same registry, and with it the same epoch, feed and cursors.
    """

    operations: OperationRegistry

    @property
    def session_id(self) -> str:
        """Whose they are."""
        return self.operations.session_id

    @property
    def epoch_id(self) -> str:
        """Whose numbers the feed has; another session has another, a restart the same."""
        return self.operations.epoch_id

    @property
    def cursor_state(self) -> OperationCursors:
        """How far the feed was read, now."""
        return self.operations.cursors
