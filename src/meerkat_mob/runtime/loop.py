"""The run loop of one session: take a batch, run it, say how its inputs ended.

There is a task only while there is work, so an idle session costs nothing. What an input came to
is kept before anybody is told. A run that could not be kept is tried again after a while, a few
times; every other failure ends the inputs it had, with the error their senders are told.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from meerkat_mob.core.blobs import Blob
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.input_wire import kept_input
from meerkat_mob.core.inputs import ApplyOutput, Input, Receipt
from meerkat_mob.errors import (
    AgentError,
    MeerkatError,
    RunCancelled,
    RuntimeNotReady,
    StoreError,
)
from meerkat_mob.runtime.activity import Activity
from meerkat_mob.runtime.desk import RunDesk
from meerkat_mob.runtime.executor import Executor
from meerkat_mob.runtime.facts import (
    InputsEnded,
    InputsRecovered,
    InputsStaged,
    RuntimeFact,
    StateChanged,
    accepted,
    key_of,
)
from meerkat_mob.runtime.inbox import (
    ATTEMPTS,
    BOUND,
    LEGAL,
    Abandoned,
    AbandonReason,
    Batch,
    Completed,
    CompletedWithoutResult,
    Inbox,
    InputPhase,
    InputRecord,
    Outcome,
    RuntimeTerminated,
)
from meerkat_mob.runtime.jobs import Jobs
from meerkat_mob.runtime.log import InboxLog
from meerkat_mob.runtime.operations import OperationFold
from meerkat_mob.runtime.policy import Policy, decide
from meerkat_mob.runtime.recovery import InboxFold, RecoveryReport, is_exhausted
from meerkat_mob.runtime.state import ACCEPTS, ENDED, FROM, Move, RuntimeState

RECEIPTS: Final = 1024
PAUSES_MS: Final = (1_000, 4_000)
"""How long a run that could not be kept waits for its next attempt."""


class SessionRuntime:
    """An inbox, the loop over it, and those who wait for their inputs."""

    def __init__(
        self,
        session_id: str,
        *,
        log: InboxLog,
        keep_alive: bool,
        activity: Activity,
        clock: Clock,
        ids: Callable[[], str],
        bound: int = BOUND,
    ) -> None:
        self.session_id, self.keep_alive = session_id, keep_alive
        self.state = RuntimeState.IDLE
        self.silent_intents: frozenset[str] = frozenset()
        self.inbox = Inbox(session_id, self._tell, clock=clock, bound=bound)
        self.receipts: OrderedDict[tuple[str, int], Receipt] = OrderedDict()
        self._log, self._activity, self._ids = log, activity, ids
        self._executor: Executor | None = None
        self._held = False
        self.jobs = Jobs(session_id, log=log, clock=clock, ids=ids, changed=self._look_at_jobs)
        self._resting = RuntimeState.IDLE
        self._arriving: dict[str, asyncio.Future[None]] = {}
        self._waiters: dict[str, list[asyncio.Future[Outcome]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._pause: asyncio.Future[None] | None = None
        self._desk: RunDesk | None = None

    # -- what it is ----------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a run is going on, or an input asks for one that can be had."""
        return self._task is not None or self._can_run

    @property
    def _can_run(self) -> bool:
        free = self._executor is not None and not self._held and self.state not in ENDED
        return free and self.inbox.runnable

    @property
    def has_executor(self) -> bool:
        """Whether anybody would run a batch."""
        return self._executor is not None

    def attach(self, executor: Executor) -> None:
        """Gives it somebody who runs batches; what waits begins to run. Once."""
        if self._executor is None:
            self._executor = executor
            self._resting = RuntimeState.ATTACHED
            if self.state in FROM[Move.ATTACH]:
                self.state = RuntimeState.ATTACHED
            self.wake()
            self._look_at_jobs()

    async def recover(self) -> RecoveryReport:
        """Takes what a restart finds, and keeps that it did. Nothing runs before ``attach``.

        What was tried often enough by processes that did not live to its end is abandoned. Raises
        ``StoreError``.
        """
        fold, jobs = InboxFold(), OperationFold(self.session_id)
        async with aclosing(self._log.read(self.session_id)) as pages:
            async for page in pages:
                fold.add(page)
                jobs.add(page)
        self.state = fold.state
        self.receipts = OrderedDict(list(fold.receipts.items())[-RECEIPTS:])
        waiting = fold.waiting()
        if waiting:
            await self._keep(InputsRecovered(input_ids=_ids_of(waiting)))
        for record in fold.ended():
            self.inbox.restore(record)
        for record in waiting:
            self.inbox.restore(replace(record, recoveries=record.recoveries + 1))
        spent = _ids_of(r for r in waiting if is_exhausted(r))
        if spent:
            await self._abandon(spent, "max_attempts_exhausted")
        await self.jobs.recover(jobs.book)
        return RecoveryReport(
            recovered=len(waiting), requeued=len(waiting) - len(spent), abandoned=len(spent)
        )

    # -- accepting -----------------------------------------------------------------------------

    async def accept(
        self, item: Input, policy: Policy, waiter: asyncio.Future[Outcome] | None = None
    ) -> str | None:
        """Keeps an input, then queues it: ready, known, bound, in this order (spec sessions 5.3).

        ``waiter`` gets its outcome. Returns the id of the earlier one when it is known. Raises
        ``RuntimeNotReady``, ``InboxFull`` and ``StoreError``; nothing has changed then.
        """
        key = item.header.idempotency_key
        names = [f"id {item.header.id}", *(() if key is UNSET else (f"key {key}",))]
        while True:
            if self.state not in ACCEPTS:
                raise RuntimeNotReady(session_id=self.session_id, state=self.state.value)
            if (existing := self.inbox.known(item)) is not None:
                return existing
            coming = next((self._arriving[n] for n in names if n in self._arriving), None)
            if coming is None:
                break
            await asyncio.wait([coming])  # the same input, a moment earlier
        return await self._keep_input(item, policy, names, waiter)

    async def _keep_input(
        self,
        item: Input,
        policy: Policy,
        names: list[str],
        waiter: asyncio.Future[Outcome] | None,
    ) -> str | None:
        images: tuple[Blob, ...] = ()
        if self._log.lasts:  # elsewhere the transcript keeps them when it is their turn
            item, moved = kept_input(item)
            images = tuple(moved.values())
        admission = self.inbox.make_room()
        here: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arriving |= dict.fromkeys(names, here)
        key = item.header.idempotency_key
        unique = () if key is UNSET else (key_of(self.session_id, key),)

        def admit() -> None:
            if waiter is not None:
                self._waiters.setdefault(item.header.id, []).append(waiter)
            self.inbox.admit(item, policy, admission)
            self.wake()

        try:
            if item.header.durability != "durable" or policy.consumed == "on_accept":
                admit()  # it can be made anew, or has ended already (DUR-2)
                return None
            return await self._log.keep(
                self.session_id,
                (accepted(item, policy, admission),),
                unique=unique,
                blobs=images,
                then=admit,
            )
        finally:
            self.inbox.give_up_room()
            for name in names:
                del self._arriving[name]
            here.set_result(None)

    # -- running -------------------------------------------------------------------------------

    def wake(self) -> None:
        """Starts the loop if there is work and it is not running."""
        if self._task is None and self._can_run:
            self._task = asyncio.create_task(self._drain(), name=f"inbox of {self.session_id}")
        self._activity.changed()

    async def _drain(self) -> None:
        try:
            while self._can_run and self._executor is not None:
                if self.state in FROM[Move.BEGIN_RUN] and self.state is not RuntimeState.RETIRED:
                    self.state = RuntimeState.RUNNING
                await self._run(self._executor, self._ids())
                if self.state is RuntimeState.RUNNING:
                    self.state = self._resting
        finally:
            self._task = None
            await self._end_what_never_runs()
            self._look_at_jobs()
            self._activity.changed()

    async def _run(self, executor: Executor, run_id: str) -> None:
        batch = self.inbox.take(run_id)
        desk = self._desk = RunDesk(self.inbox, run_id, self._keep_receipt, self.jobs.registry.news)
        outcome: Outcome = RuntimeTerminated(reason="the runtime was stopped")
        try:
            if any(r.recoveries for r in batch.records):
                await self._keep(InputsStaged(run_id=run_id, input_ids=batch.ids))
            if desk.is_cut_off:
                raise RunCancelled
            output = await executor.apply(run_id, batch, desk)
        except RunCancelled as error:
            outcome = Abandoned(reason="cancelled", error=error)
        except MeerkatError as error:
            outcome = Abandoned(reason="apply_failed", error=error)
        except Exception as error:  # the next batch must not suffer from it
            fault = AgentError(f"the run broke: {type(error).__name__}: {error}; report this")
            fault.__cause__ = error
            outcome = Abandoned(reason="apply_failed", error=fault)
        else:
            desk.is_closed = True
            outcome = self._of(output)
        self._desk = None
        await self._conclude(batch, desk, outcome)
        if isinstance(outcome, Completed):
            await self.jobs.told(desk.told)

    def _look_at_jobs(self) -> None:
        """Wakes a session that rests for background work that has ended (LP-4)."""
        free = self._executor is not None and not self._held and self.state in ACCEPTS
        item = self.jobs.wake(quiescent=free and not self.busy and not self.inbox.is_full)
        if item is not None and self.inbox.known(item) is None:
            policy = decide(item, silent_intents=self.silent_intents, keep_alive=self.keep_alive)
            self.inbox.admit(item, policy, self.inbox.make_room())
            self.inbox.give_up_room()
            self.wake()

    def _of(self, output: ApplyOutput) -> Outcome:
        self._keep_receipt(output.receipt)
        result = output.result
        return CompletedWithoutResult() if result is None else Completed(result=result)

    def _keep_receipt(self, receipt: Receipt) -> None:
        self.receipts[receipt.run_id, receipt.sequence] = receipt
        while len(self.receipts) > RECEIPTS:
            self.receipts.popitem(last=False)

    async def _conclude(self, batch: Batch, desk: RunDesk, outcome: Outcome) -> None:
        """Ends what the run had, or puts it back. Nothing ends that was not kept before."""
        joined = outcome if isinstance(outcome, Completed) else CompletedWithoutResult()
        for input_id in desk.joined:
            self.inbox.end(input_id, joined)
        self.inbox.put_back(desk.left(), noted=False)
        error = outcome.error if isinstance(outcome, Abandoned) else None
        if not desk.is_closed and not isinstance(error, StoreError):
            try:  # it was refused before it began: no run speaks of these inputs
                await self._keep(_ended(batch.ids, outcome))
                desk.is_closed = True
            except StoreError as fault:
                error = fault
        spent = max(r.attempts for r in batch.records) >= ATTEMPTS
        if desk.is_closed:
            self._end(batch, outcome)
        elif spent:
            self._end(batch, Abandoned(reason="max_attempts_exhausted", error=error))
        else:
            noted = desk.is_noted or batch.resumes
            self.inbox.put_back(batch.ids, noted=noted)
            await self._rest(PAUSES_MS[batch.records[0].attempts - 1])

    def _end(self, batch: Batch, outcome: Outcome) -> None:
        for input_id in batch.ids:
            self.inbox.end(input_id, outcome)

    async def _rest(self, ms: int) -> None:
        """Waits for a better moment; a hold, a retirement or an end cuts it short."""
        if self._held or self.state in ENDED:
            return
        self._pause = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._pause], timeout=ms / 1000)
        self._pause = None

    def _cut_rest_short(self) -> None:
        if self._pause is not None and not self._pause.done():
            self._pause.set_result(None)

    async def _keep(self, *facts: RuntimeFact, then: Callable[[], None] | None = None) -> None:
        await self._log.keep(self.session_id, facts, then=then)

    # -- waiting for an input ------------------------------------------------------------------

    def completion_of(self, input_id: str) -> asyncio.Future[Outcome] | None:
        """A future for the end of an input; None when it has ended. Cancelling it hurts nobody."""
        record = self.inbox.state(input_id)
        if record is None or not LEGAL[record.phase]:
            return None
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(input_id, []).append(future)
        return future

    def _tell(self, record: InputRecord) -> None:
        for future in self._waiters.pop(record.item.header.id, ()):
            if not future.done() and record.outcome is not None:
                future.set_result(record.outcome)

    # -- control -------------------------------------------------------------------------------

    def hold(self, *, held: bool) -> None:
        """While held, inputs are accepted and wait; nothing starts a run."""
        self._held = held
        self._cut_rest_short()
        self.wake()
        self._look_at_jobs()

    async def interrupt(self) -> None:
        """Cancels the run that is going on, also one that is about to begin; the others stay."""
        if self._desk is not None:
            self._desk.is_cut_off = True
        if self._executor is not None:
            await self._executor.cancel_current_run()

    async def retire(self) -> int:
        """Takes no more input and drains what asks for a run; returns how much is left to drain.

        What never would run, because no later input can take it along, ends as retired.
        """
        if self.state is not RuntimeState.RETIRED:
            self._insist(Move.RETIRE)
            await self._change(RuntimeState.RETIRED)
        self._cut_rest_short()
        await self._end_what_never_runs()
        return len(self.inbox.active())

    async def reset(self) -> int:
        """Abandons what waits, and takes input again, also when it was retired."""
        self._insist(Move.RESET)
        if self._task is not None:
            raise RuntimeNotReady(session_id=self.session_id, state=RuntimeState.RUNNING.value)
        count = await self._abandon_all("reset")
        if self.state is RuntimeState.RETIRED:
            await self._change(self._resting)
        return count

    async def end(self, state: RuntimeState, reason: AbandonReason) -> int:
        """Stops or destroys it: what waits is abandoned, the run that goes on is cancelled."""
        self._insist(Move.STOP if state is RuntimeState.STOPPED else Move.DESTROY)
        await self._change(state)
        count = await self._abandon_all(reason)
        await self._end_run()
        await self.jobs.end(f"its session was {reason}")
        return count

    async def leave(self, reason: str) -> None:
        """Ends in memory; what waits is still there for the next process. Idempotent."""
        self.state = RuntimeState.DESTROYED
        for record in self.inbox.active():
            if record.phase is InputPhase.QUEUED:
                self.inbox.end(record.item.header.id, RuntimeTerminated(reason=reason))
        await self._end_run()
        await self.jobs.end(reason)

    async def _end_run(self) -> None:
        self._cut_rest_short()
        running = self._task
        if running is not None and running is not asyncio.current_task():
            await self.interrupt()
            await asyncio.wait([running])

    async def _end_what_never_runs(self) -> None:
        """What a retired runtime has left and no run will take along ends as retired."""
        if self.state is not RuntimeState.RETIRED or self._task is not None:
            return
        if self._executor is None or not self.inbox.runnable:
            await self._abandon_all("retired")

    async def _abandon_all(self, reason: AbandonReason) -> int:
        waiting = _ids_of(r for r in self.inbox.active() if r.phase is InputPhase.QUEUED)
        if waiting:
            await self._abandon(waiting, reason)
        return len(waiting)

    async def _abandon(self, ids: tuple[str, ...], reason: AbandonReason) -> None:
        """Ends inputs that are queued, in one step with the fact that they end."""
        outcome = Abandoned(reason=reason)

        def end() -> None:
            for input_id in ids:
                record = self.inbox.state(input_id)
                if record is not None and record.phase is InputPhase.QUEUED:
                    self.inbox.end(input_id, outcome)

        await self._keep(_ended(ids, outcome), then=end)

    async def _change(self, state: RuntimeState) -> None:
        def change() -> None:
            self.state = state

        await self._keep(StateChanged(state=state), then=change)

    def _insist(self, move: Move) -> None:
        if self.state not in FROM[move]:
            raise RuntimeNotReady(session_id=self.session_id, state=self.state.value)


def _ids_of(records: Iterable[InputRecord]) -> tuple[str, ...]:
    return tuple(r.item.header.id for r in records)


def _ended(ids: tuple[str, ...], outcome: Outcome) -> InputsEnded:
    if not isinstance(outcome, Abandoned):
        return InputsEnded(input_ids=ids, reason="apply_failed")
    error = outcome.error
    return InputsEnded(
        input_ids=ids,
        reason=outcome.reason,
        error=UNSET if error is None else error.code,
        told=UNSET if error is None else str(error),
    )
