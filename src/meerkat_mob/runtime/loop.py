"""The run loop of one session: take a batch, run it, say how its inputs ended.

There is a task only while there is work, so an idle session costs nothing. What an input came to
is kept before anybody is told. A run that could not be kept is tried again after a while, a few
times; every other failure ends the inputs it had, with the error their senders are told.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing, suppress
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from meerkat_mob.core.ids import Clock
from meerkat_mob.core.inputs import ApplyOutput, Receipt
from meerkat_mob.errors import (
    AgentError,
    MeerkatError,
    RunCancelled,
    RuntimeNotReady,
    SessionNotFound,
    StoreError,
)
from meerkat_mob.runtime.activity import Activity
from meerkat_mob.runtime.admission import Admission, Waiters
from meerkat_mob.runtime.desk import RunDesk
from meerkat_mob.runtime.executor import Executor
from meerkat_mob.runtime.facts import (
    InputsEnded,
    InputsRecovered,
    InputsStaged,
    RuntimeFact,
    StateChanged,
)
from meerkat_mob.runtime.inbox import (
    BOUND,
    LEGAL,
    Abandoned,
    AbandonReason,
    Applied,
    Batch,
    CallbackPending,
    Completed,
    CompletedWithoutResult,
    Inbox,
    InputRecord,
    Outcome,
    RuntimeTerminated,
)
from meerkat_mob.runtime.jobs import Jobs
from meerkat_mob.runtime.log import InboxLog
from meerkat_mob.runtime.operations import OperationFold
from meerkat_mob.runtime.policy import decide
from meerkat_mob.runtime.recovery import InboxFold, RecoveryReport, is_exhausted
from meerkat_mob.runtime.state import ACCEPTS, ENDED, FROM, LASTING, Move, RuntimeState

RECEIPTS: Final = 1024
_REASON: Final[Mapping[RuntimeState, AbandonReason]] = {
    RuntimeState.STOPPED: "stopped",
    RuntimeState.DESTROYED: "destroyed",
}
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
        self._waiters = Waiters()
        self.inbox = Inbox(session_id, self._waiters.tell, clock=clock, bound=bound)
        self.admission = Admission(
            self.inbox,
            self._waiters,
            session_id=session_id,
            log=log,
            insist=self._insist_on_input,
            at_rest=lambda: self._task is None and self._is_free,
            came=self._go_on,
        )
        self.receipts: OrderedDict[tuple[str, int], Receipt] = OrderedDict()
        self._log, self._activity, self._ids = log, activity, ids
        self._executor: Executor | None = None
        self._held = False
        self.jobs = Jobs(session_id, log=log, clock=clock, ids=ids, changed=self._look_at_jobs)
        self._resting = RuntimeState.IDLE
        self._owed: list[RuntimeFact] = []
        self._farewell = RuntimeTerminated(reason="the runtime has ended")
        self._task: asyncio.Task[None] | None = None
        self._pause: asyncio.Future[None] | None = None
        self._desk: RunDesk | None = None

    # -- what it is ----------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a run is going on, or an input asks for one that can be had."""
        return self._task is not None or (self._is_free and self.inbox.runnable)

    @property
    def _is_free(self) -> bool:
        return self._executor is not None and not self._held and self.state not in ENDED

    @property
    def _can_run(self) -> bool:
        return self._is_free and self.inbox.runnable and not self.inbox.is_still

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
            self._go_on()

    async def recover(self) -> RecoveryReport:
        """Takes what a restart finds, and keeps that it did. Nothing runs before ``attach``.

        What was tried often enough by processes that did not live to its end is abandoned, and so
        is what a retired or ended runtime had no time to end. Raises ``StoreError``.
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
        if self.state in ENDED:
            await self._abandon(self.inbox.queued(), _REASON[self.state])
        else:
            await self._abandon(_ids_of(filter(is_exhausted, waiting)), "max_attempts_exhausted")
        if self._is_stranded:
            await self._abandon(self.inbox.queued(), "retired")
        await self.jobs.recover(jobs.book)
        left = len(self.inbox.queued())
        return RecoveryReport(recovered=len(waiting), requeued=left, abandoned=len(waiting) - left)

    # -- running -------------------------------------------------------------------------------

    def wake(self) -> None:
        """Starts the loop if there is work and it is not running."""
        if self._task is None and self._can_run:
            self._task = asyncio.create_task(self._drain(), name=f"inbox of {self.session_id}")
        self._activity.changed()

    def _go_on(self) -> None:
        self.wake()
        self._look_at_jobs()

    async def _drain(self) -> None:
        try:
            while True:
                while self._can_run and self._executor is not None:
                    if self.state in ACCEPTS:
                        self.state = RuntimeState.RUNNING
                    await self._run(self._executor, self._ids())
                    if self.state is RuntimeState.RUNNING:
                        self.state = self._resting
                if not self._is_stranded or not await self._end_what_never_runs():
                    return
        finally:
            self._task = None
            self._look_at_jobs()
            self._activity.changed()

    async def _run(self, executor: Executor, run_id: str) -> None:
        batch = self.inbox.take(run_id)
        desk = self._desk = RunDesk(self.inbox, run_id, self._keep_receipt, self.jobs.registry.news)
        outcome: Outcome
        try:
            with suppress(StoreError):
                await self._keep()  # what is owed
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
        if isinstance(outcome, Applied):
            await self.jobs.told(desk.told)

    def _look_at_jobs(self) -> None:
        """Wakes a session that rests for background work that has ended (LP-4)."""
        ready = self._is_free and self.state in ACCEPTS and not self.inbox.is_still
        item = self.jobs.wake(quiescent=ready and not self.busy and not self.inbox.is_full)
        if item is not None and self.inbox.known(item) is None:
            policy = decide(item, silent_intents=self.silent_intents, keep_alive=self.keep_alive)
            self.inbox.admit(item, policy, self.inbox.make_room())
            self.inbox.give_up_room()
            self.wake()

    def _of(self, output: ApplyOutput) -> Outcome:
        self._keep_receipt(output.receipt)
        if output.result is not None:
            return Completed(result=output.result)
        if output.pending:
            return CallbackPending(calls=output.pending)
        return CompletedWithoutResult()

    def _keep_receipt(self, receipt: Receipt) -> None:
        self.receipts[receipt.run_id, receipt.sequence] = receipt
        while len(self.receipts) > RECEIPTS:
            self.receipts.popitem(last=False)

    async def _conclude(self, batch: Batch, desk: RunDesk, outcome: Outcome) -> None:
        """Ends what the run had, or puts it back.

        Nothing ends that was not kept before, but what is given up because nothing can be kept:
        that end is owed, and kept with the next fact that can be.
        """
        joined = outcome if isinstance(outcome, Applied) else CompletedWithoutResult()
        for input_id in desk.joined:
            self.inbox.end(input_id, joined)
        self._put_back(desk.left(), noted=False)
        error = outcome.error if isinstance(outcome, Abandoned) else None
        if not desk.is_closed and not isinstance(error, StoreError):
            try:  # it was refused before it began: no run speaks of these inputs
                await self._keep(_ended(batch.ids, outcome))
                desk.is_closed = True
            except StoreError as fault:
                error = fault
        if desk.is_closed:
            self._end(batch.ids, outcome)
            return
        spent = _ids_of(r for r in batch.records if is_exhausted(r))
        if spent:
            given_up = Abandoned(reason="max_attempts_exhausted", error=error)
            self._owed.append(_ended(spent, given_up))
            self._end(spent, given_up)
        again = [r for r in batch.records if not is_exhausted(r)]
        if again:
            self._put_back(_ids_of(again), noted=desk.is_noted or batch.resumes)
            await self._rest(PAUSES_MS[max(r.attempts for r in again) - 1])

    def _put_back(self, ids: tuple[str, ...], *, noted: bool) -> None:
        """What a run did not come to waits again; where nothing runs any more, it is told so."""
        self.inbox.put_back(ids, noted=noted)
        if self.state in ENDED:
            self._end(ids, self._farewell)

    def _end(self, ids: Iterable[str], outcome: Outcome) -> None:
        for input_id in ids:
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
        owed = len(self._owed)

        def kept() -> None:
            del self._owed[:owed]
            if then is not None:
                then()

        if facts or owed:
            await self._log.keep(self.session_id, (*self._owed, *facts), then=kept)
        else:
            kept()

    # -- waiting for an input ------------------------------------------------------------------

    def completion_of(self, input_id: str) -> asyncio.Future[Outcome] | None:
        """A future for the end of an input; None when it has ended. Cancelling it hurts nobody."""
        record = self.inbox.state(input_id)
        if record is None or not LEGAL[record.phase]:
            return None
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiters.add(input_id, future)
        return future

    # -- control -------------------------------------------------------------------------------

    def hold(self, *, held: bool) -> None:
        """While held, inputs are accepted and wait; nothing starts a run."""
        self._held = held
        self._cut_rest_short()
        self._go_on()

    async def interrupt(self) -> None:
        """Cancels the run that is going on, also one that is about to begin; the others stay."""
        if self._desk is not None:
            self._desk.is_cut_off = True
        if self._executor is not None:
            await self._executor.cancel_current_run()

    async def retire(self) -> int:
        """Takes no more input and drains what asks for a run; returns how much is left to drain.

        What never would run, because no later input can take it along, ends as retired. Idempotent.
        """
        async with self.admission.closed():
            if self.state is not RuntimeState.RETIRED:
                self._insist(Move.RETIRE)
            drains = self._task is not None or (self.has_executor and self.inbox.runnable)
            await self._change(
                RuntimeState.RETIRED, () if drains else self.inbox.queued(), "retired"
            )
        self._cut_rest_short()
        return len(self.inbox.active())

    async def reset(self) -> int:
        """Abandons what waits, and takes input again, also when it was retired."""
        async with self.admission.closed():
            self._insist(Move.RESET)
            if self._task is not None:
                raise RuntimeNotReady(session_id=self.session_id, state=RuntimeState.RUNNING.value)
            waiting = self.inbox.queued()
            await self._change(RuntimeState.IDLE, waiting, "reset")
        return len(waiting)

    async def recycle(self, executor: Executor | None) -> int:
        """Goes on with another executor, if one is given; what waits, and who waits, stays.

        Returns how much waits. There is nothing to rebuild: an input has one record.
        """
        async with self.admission.closed():
            self._insist(Move.RECYCLE)
            if self._task is not None:
                raise RuntimeNotReady(session_id=self.session_id, state=RuntimeState.RUNNING.value)
            await self._keep()
            if executor is not None:
                self._executor = None
                self.attach(executor)
        return len(self.inbox.queued())

    async def end(self, state: RuntimeState) -> int:
        """Stops or destroys it: what waits is abandoned, the run that goes on is cancelled."""
        async with self.admission.closed():
            self._insist(Move.STOP if state is RuntimeState.STOPPED else Move.DESTROY)
            waiting = self.inbox.queued()
            self._farewell = RuntimeTerminated(reason=f"the runtime was {_REASON[state]}")
            await self._change(state, waiting, _REASON[state])
        await self._end_run()
        await self.jobs.end(f"its session was {_REASON[state]}")
        return len(waiting)

    async def leave(self, reason: str) -> None:
        """Ends in memory; what waits is still there for the next process. Idempotent."""
        self.state, self._farewell = RuntimeState.DESTROYED, RuntimeTerminated(reason=reason)
        await self._end_run()
        async with self.admission.closed():
            self._end(self.inbox.queued(), self._farewell)
        with suppress(StoreError, SessionNotFound):
            await self._keep()
        await self.jobs.end(reason)

    async def _end_run(self) -> None:
        self._cut_rest_short()
        running = self._task
        if running is not None and running is not asyncio.current_task():
            await self.interrupt()
            await asyncio.wait([running])

    @property
    def _is_stranded(self) -> bool:
        """Whether something waits that no run will take along."""
        retired = self.state is RuntimeState.RETIRED
        return retired and not self.inbox.runnable and bool(self.inbox.queued())

    async def _end_what_never_runs(self) -> bool:
        """Ends it as retired. False when that cannot be kept: then a restart does it."""
        try:
            async with self.admission.closed():
                if self._is_stranded:
                    await self._abandon(self.inbox.queued(), "retired")
        except StoreError:
            return False
        return True

    async def _abandon(self, ids: tuple[str, ...], reason: AbandonReason) -> None:
        """Ends inputs that are queued, in one step with the fact that they end."""
        if ids:
            outcome = Abandoned(reason=reason)
            await self._keep(_ended(ids, outcome), then=lambda: self._end(ids, outcome))

    async def _change(
        self, state: RuntimeState, ids: tuple[str, ...], reason: AbandonReason
    ) -> None:
        """Goes to another state and abandons what that leaves behind, in one step.

        Only a state that a restart finds again is kept, or that it has passed.
        """
        outcome = Abandoned(reason=reason)
        new = state is not self.state and (state in LASTING or self.state in LASTING)

        def change() -> None:
            if self.state is not RuntimeState.DESTROYED:  # it was left meanwhile
                self.state = self._resting if state is RuntimeState.IDLE else state
            self._end(ids, outcome)

        facts: list[RuntimeFact] = [StateChanged(state=state)] if new else []
        if ids:
            facts.append(_ended(ids, outcome))
        await self._keep(*facts, then=change)

    def _insist_on_input(self) -> None:
        if self.state not in ACCEPTS:
            raise RuntimeNotReady(session_id=self.session_id, state=self.state.value)

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
