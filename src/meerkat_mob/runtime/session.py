"""The runtime of one session: its inbox, the way in, the loop over it, and how it begins and ends.

A change of its state is kept in one commit with what it ends, while the way in is closed. So
nobody who was acknowledged is left in a queue that nothing runs, whatever a crash cuts off.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Final

import msgspec
from msgspec.structs import replace

from meerkat_mob.core.ids import Clock
from meerkat_mob.core.inputs import Receipt
from meerkat_mob.errors import StoreError
from meerkat_mob.runtime.activity import Activity
from meerkat_mob.runtime.admission import Admission, Waiters
from meerkat_mob.runtime.events import Watchers
from meerkat_mob.runtime.executor import Executor
from meerkat_mob.runtime.facts import InputsRecovered, RuntimeFact, StateChanged
from meerkat_mob.runtime.inbox import (
    BOUND,
    LEGAL,
    Abandoned,
    AbandonReason,
    Inbox,
    InputRecord,
    Outcome,
    RuntimeTerminated,
)
from meerkat_mob.runtime.jobs import Jobs
from meerkat_mob.runtime.log import InboxLog, SessionLog
from meerkat_mob.runtime.loop import RECEIPTS, RunLoop, ended, ids_of
from meerkat_mob.runtime.operations import OperationFold
from meerkat_mob.runtime.policy import decide
from meerkat_mob.runtime.recovery import InboxFold, RecoveryReport, is_exhausted
from meerkat_mob.runtime.state import FROM, LASTING, Move, RuntimeState, Standing

_REASON: Final[Mapping[RuntimeState, AbandonReason]] = {
    RuntimeState.STOPPED: "stopped",
    RuntimeState.DESTROYED: "destroyed",
}


class RetireReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How many inputs still run before it is empty, and how many never will."""

    pending_drain: int
    abandoned: int


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
        self.silent_intents: frozenset[str] = frozenset()
        self.watchers = Watchers(session_id, clock=clock, ids=ids)
        self.standing = Standing(session_id, self.watchers.state_changed)
        self.inbox = Inbox(session_id, self._changed, clock=clock, bound=bound)
        self.jobs = Jobs(session_id, log=log, clock=clock, ids=ids, changed=self._look_at_jobs)
        self._activity, self._waiters = activity, Waiters()
        self._ends, self._over = 0, asyncio.Event()
        self._over.set()
        self._log = SessionLog(log, session_id)
        self._loop = RunLoop(
            session_id,
            standing=self.standing,
            inbox=self.inbox,
            log=self._log,
            jobs=self.jobs,
            watchers=self.watchers,
            ids=ids,
            drained=self._end_what_never_runs,
            rested=self._rest,
        )
        self.admission = Admission(
            self.inbox,
            self._waiters,
            session_id=session_id,
            log=log,
            watchers=self.watchers,
            insist=self.standing.insist_on_input,
            at_rest=lambda: self._loop.is_free and not self._loop.works,
            came=self._go_on,
        )

    # -- what it is ----------------------------------------------------------------------------

    @property
    def state(self) -> RuntimeState:
        """Where it stands."""
        return self.standing.state

    @property
    def busy(self) -> bool:
        """Whether a run is going on, or an input asks for one that can be had."""
        return self._loop.works or (self._loop.is_free and self.inbox.runnable)

    @property
    def has_executor(self) -> bool:
        """Whether anybody would run a batch."""
        return self._loop.executor is not None

    @property
    def receipts(self) -> Mapping[tuple[str, int], Receipt]:
        """The latest receipts, by run and sequence."""
        return self._loop.receipts

    def completion_of(self, input_id: str) -> asyncio.Future[Outcome] | None:
        """A future for the end of an input; None when it has ended. Cancelling it hurts nobody."""
        record = self.inbox.state(input_id)
        if record is None or not LEGAL[record.phase]:
            return None
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiters.add(input_id, future)
        return future

    # -- what happens in it --------------------------------------------------------------------

    def _go_on(self) -> None:
        self._loop.wake()
        self._activity.changed()
        self._look_at_jobs()

    def _rest(self) -> None:
        self._look_at_jobs()
        self._activity.changed()

    def _look_at_jobs(self) -> None:
        """Wakes a session that rests for background work that has ended (LP-4)."""
        ready = self._loop.is_free and self.standing.accepts and not self.inbox.is_still
        item = self.jobs.wake(quiescent=ready and not self.busy and not self.inbox.is_full)
        if item is not None and self.inbox.known(item) is None:
            policy = decide(item, silent_intents=self.silent_intents, keep_alive=self.keep_alive)
            self.inbox.admit(item, policy, self.inbox.make_room())
            self.inbox.give_up_room()
            self._loop.wake()
            self._activity.changed()

    def _changed(self, record: InputRecord) -> None:
        if record.outcome is not None:
            self._waiters.tell(record)
        self.watchers.input_changed(record)

    # -- its life ------------------------------------------------------------------------------

    async def recover(self) -> RecoveryReport:
        """Takes what a restart finds, and keeps that it did. Nothing runs before ``attach``.

        What was tried often enough by processes that did not live to its end is abandoned, and so
        is what a retired or ended runtime had no time to end. Raises ``StoreError``.
        """
        fold, jobs = InboxFold(), OperationFold(self.session_id)
        async with aclosing(self._log.read()) as pages:
            async for page in pages:
                fold.add(page)
                jobs.add(page)
        self.standing.state = fold.state
        self._loop.receipts = OrderedDict(list(fold.receipts.items())[-RECEIPTS:])
        waiting = fold.waiting()
        if waiting:
            await self._log.keep(InputsRecovered(input_ids=ids_of(waiting)))
        for record in fold.ended():
            self.inbox.restore(record)
        for record in waiting:
            self.inbox.restore(replace(record, recoveries=record.recoveries + 1))
        if self.standing.has_ended:
            await self._abandon(self.inbox.queued(), _REASON[self.state])
        else:
            await self._abandon(ids_of(filter(is_exhausted, waiting)), "max_attempts_exhausted")
        if self._is_stranded:
            await self._abandon(self.inbox.queued(), "retired")
        await self.jobs.recover(jobs.book)
        left = len(self.inbox.queued())
        return RecoveryReport(recovered=len(waiting), requeued=left, abandoned=len(waiting) - left)

    def attach(self, executor: Executor) -> None:
        """Gives it somebody who runs batches; what waits begins to run. Once."""
        if self._loop.executor is None:
            self._set_executor(executor)

    def _set_executor(self, executor: Executor) -> None:
        self._loop.executor = executor
        self.standing.resting = RuntimeState.ATTACHED
        if self.state in FROM[Move.ATTACH]:
            self.standing.go(RuntimeState.ATTACHED)
        self._go_on()

    def hold(self, *, held: bool) -> None:
        """While held, inputs are accepted and wait; nothing starts a run."""
        self._loop.hold(held=held)
        self._go_on()

    async def interrupt(self) -> None:
        """Cancels the run that is going on, also one that is about to begin; the others stay."""
        await self._loop.interrupt()

    async def retire(self) -> RetireReport:
        """Takes no more input and drains what asks for a run.

        What never would run, because no later input can take it along, ends as retired. Idempotent.
        """
        async with self.admission.closed():
            if self.state is not RuntimeState.RETIRED:
                self.standing.insist(Move.RETIRE)
            drains = self._loop.works or (self.has_executor and self.inbox.runnable)
            left_over = () if drains else self.inbox.queued()
            await self._change(RuntimeState.RETIRED, left_over, "retired")
        self._loop.cut_rest_short()
        return RetireReport(pending_drain=len(self.inbox.active()), abandoned=len(left_over))

    async def reset(self) -> int:
        """Abandons what waits, and takes input again, also when it was retired."""
        async with self.admission.closed():
            self._insist_on_rest(Move.RESET)
            waiting = self.inbox.queued()
            await self._change(RuntimeState.IDLE, waiting, "reset")
        return len(waiting)

    async def recycle(self, executor: Executor | None) -> int:
        """Goes on with another executor, if one is given; what waits, and who waits, stays.

        Returns how much waits. There is nothing to rebuild: an input has one record.
        """
        async with self.admission.closed():
            self._insist_on_rest(Move.RECYCLE)
            await self._log.keep()  # what is owed
            if executor is not None:
                self._set_executor(executor)
        return len(self.inbox.queued())

    async def end(self, state: RuntimeState) -> int:
        """Stops or destroys it: what waits is abandoned, the run that goes on is cancelled."""
        reason = _REASON[state]
        async with self._going():
            async with self.admission.closed():
                self.standing.insist(Move.STOP if state is RuntimeState.STOPPED else Move.DESTROY)
                waiting = self.inbox.queued()
                self._loop.farewell = RuntimeTerminated(reason=f"the runtime was {reason}")
                await self._change(state, waiting, reason)
            await self._loop.stop()
            await self.jobs.end(f"its session was {reason}")
        return len(waiting)

    async def leave(self, reason: str, *, unfinished: bool = False) -> None:
        """Ends in memory; what waits is still there for the next process. Idempotent.

        The run that goes on is cancelled, and its inputs end with it; ``unfinished`` leaves it to
        the next process, too.
        """
        if not self.standing.has_ended:
            waits = unfinished and self._log.lasts
            self._loop.farewell = RuntimeTerminated(reason=reason, waits=waits)
        self.standing.go(RuntimeState.DESTROYED)
        async with self._going():
            await self._loop.stop(unfinished=unfinished)
            async with self.admission.closed():
                self._end(self.inbox.queued(), self._loop.farewell)
            await self._log.pay()
            await self.jobs.end(reason)

    @asynccontextmanager
    async def _going(self) -> AsyncGenerator[None, None]:
        self._ends += 1
        self._over.clear()
        try:
            yield
        finally:
            self._ends -= 1
            if not self._ends:
                self._over.set()

    async def over(self) -> None:
        """Waits until whoever ends it has done so: then it writes nothing any more."""
        await self._over.wait()

    def _insist_on_rest(self, move: Move) -> None:
        self.standing.insist(move)
        if self._loop.works:
            raise self.standing.refusal(RuntimeState.RUNNING)

    # -- what nothing will run -----------------------------------------------------------------

    @property
    def _is_stranded(self) -> bool:
        """Whether something waits that no run will take along."""
        retired = self.state is RuntimeState.RETIRED
        return retired and not self.inbox.runnable and bool(self.inbox.queued())

    async def _end_what_never_runs(self) -> bool:
        """Ends it as retired. False when there is none, or it cannot be kept: a restart does it."""
        if not self._is_stranded:
            return False
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
            await self._log.keep(ended(ids, outcome), then=lambda: self._end(ids, outcome))

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
                resting = self.standing.resting
                self.standing.go(resting if state is RuntimeState.IDLE else state)
            self._end(ids, outcome)

        facts: list[RuntimeFact] = [StateChanged(state=state)] if new else []
        if ids:
            facts.append(ended(ids, outcome))
        await self._log.keep(*facts, then=change)

    def _end(self, ids: tuple[str, ...], outcome: Outcome) -> None:
        for input_id in ids:
            self.inbox.end(input_id, outcome)
