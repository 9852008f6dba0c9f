"""The run loop of one session: take a batch, run it, say how its inputs ended.

There is a task only while there is work, so an idle session costs nothing. What an input came to
is kept before anybody is told. A run that could not be kept is tried again after a while, a few
times; every other failure ends the inputs it had, with the error their senders are told.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final

from msgspec import UNSET

from meerkat_mob.core.inputs import ApplyOutput, Receipt
from meerkat_mob.errors import AgentError, MeerkatError, RunCancelled, StoreError
from meerkat_mob.runtime.desk import RunDesk
from meerkat_mob.runtime.events import RunCode, Watchers
from meerkat_mob.runtime.executor import Executor
from meerkat_mob.runtime.facts import InputsEnded, InputsPutBack, InputsStaged
from meerkat_mob.runtime.inbox import (
    Abandoned,
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
from meerkat_mob.runtime.log import SessionLog
from meerkat_mob.runtime.recovery import is_exhausted
from meerkat_mob.runtime.state import RuntimeState, Standing

RECEIPTS: Final = 1024
PAUSES_MS: Final = (1_000, 4_000)
"""How long a run that could not be kept waits for its next attempt."""


class RunLoop:
    """Runs what is in an inbox, one batch after the other, while there is an executor.

    ``drained`` is awaited when nothing is left to run, and says whether there may be more now;
    ``rested`` is called when the loop is over.
    """

    def __init__(
        self,
        session_id: str,
        *,
        standing: Standing,
        inbox: Inbox,
        log: SessionLog,
        jobs: Jobs,
        watchers: Watchers,
        ids: Callable[[], str],
        drained: Callable[[], Awaitable[bool]],
        rested: Callable[[], None],
    ) -> None:
        self._session_id, self._standing, self._inbox = session_id, standing, inbox
        self._log, self._jobs, self._watchers, self._ids = log, jobs, watchers, ids
        self._drained, self._rested = drained, rested
        self.executor: Executor | None = None
        self.receipts: OrderedDict[tuple[str, int], Receipt] = OrderedDict()
        self.farewell: Outcome = RuntimeTerminated(reason="the runtime has ended")
        """What those are told whose inputs are left when nothing runs any more."""
        self._held = False
        self._task: asyncio.Task[None] | None = None
        self._pause: asyncio.Future[None] | None = None
        self._desk: RunDesk | None = None

    # -- what it does --------------------------------------------------------------------------

    @property
    def works(self) -> bool:
        """Whether a run is going on, or about to."""
        return self._task is not None

    @property
    def is_free(self) -> bool:
        """Whether an input that asks for a run can have one."""
        return self.executor is not None and not self._held and not self._standing.has_ended

    @property
    def _can_run(self) -> bool:
        return self.is_free and self._inbox.runnable and not self._inbox.is_still

    def wake(self) -> None:
        """Starts it if there is work and it is not at it."""
        if self._task is None and self._can_run:
            name = f"inbox of {self._session_id}"
            self._task = asyncio.create_task(self._drain(), name=name)

    def hold(self, *, held: bool) -> None:
        """While held it starts no run."""
        self._held = held
        self.cut_rest_short()

    async def interrupt(self) -> None:
        """Cancels the run that is going on, also one that is about to begin."""
        if self._desk is not None:
            self._desk.is_cut_off = True
        if self.executor is not None:
            await self.executor.cancel_current_run()

    async def stop(self, *, unfinished: bool = False) -> None:
        """Cancels the run that is going on, and waits until the loop is over.

        ``unfinished``: the run is not ended but left, if anything outlives the process, and unless
        somebody has cancelled it before.
        """
        self.cut_rest_short()
        if unfinished and self._desk is not None and not self._desk.is_cut_off:
            self._desk.is_left = self._log.lasts
        running = self._task
        if running is not None and running is not asyncio.current_task():
            await self.interrupt()
            await asyncio.wait([running])

    # -- running -------------------------------------------------------------------------------

    async def _drain(self) -> None:
        standing = self._standing
        try:
            while True:
                while self._can_run and self.executor is not None:
                    if standing.accepts:
                        standing.go(RuntimeState.RUNNING)
                    await self._run(self.executor, self._ids())
                    if standing.state is RuntimeState.RUNNING:
                        standing.go(standing.resting)
                if not await self._drained():
                    return
        finally:
            self._task = None
            self._rested()

    async def _run(self, executor: Executor, run_id: str) -> None:
        batch = self._inbox.take(run_id)
        news = self._jobs.registry.news
        desk = self._desk = RunDesk(self._inbox, run_id, self._keep_receipt, news)
        self._watchers.run_changed("started", run_id, batch.ids)
        outcome: Outcome
        try:
            await self._log.pay()
            if any(r.recoveries for r in batch.records):
                await self._log.keep(InputsStaged(run_id=run_id, input_ids=batch.ids))
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
        self._watchers.run_changed(_code_of(outcome), run_id, batch.ids)
        await self._conclude(batch, desk, outcome)
        if isinstance(outcome, Applied):
            await self._jobs.told(desk.told)

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

    # -- how it ended --------------------------------------------------------------------------

    async def _conclude(self, batch: Batch, desk: RunDesk, outcome: Outcome) -> None:
        """Ends what the run had, or puts it back.

        Nothing ends that was not kept before, but what is given up because nothing can be kept:
        that end is owed, and kept with the next fact that can be.
        """
        joined = outcome if isinstance(outcome, Applied) else CompletedWithoutResult()
        self._end(desk.joined, joined)
        self._put_back(desk.left(), noted=False)
        if desk.is_left and not desk.is_closed:
            with suppress(StoreError):  # then it counts as an attempt
                await self._log.keep(InputsPutBack(input_ids=batch.ids))
            self._put_back(batch.ids, noted=desk.is_noted or batch.resumes)
            return
        error = outcome.error if isinstance(outcome, Abandoned) else None
        if not desk.is_closed and not isinstance(error, StoreError):
            try:  # it was refused before it began: no run speaks of these inputs
                await self._log.keep(ended(batch.ids, outcome))
                desk.is_closed = True
            except StoreError as fault:
                error = fault
        if desk.is_closed:
            self._end(batch.ids, outcome)
            return
        spent = ids_of(r for r in batch.records if is_exhausted(r))
        if spent:
            given_up = Abandoned(reason="max_attempts_exhausted", error=error)
            self._log.owe(ended(spent, given_up))
            self._end(spent, given_up)
        again = [r for r in batch.records if not is_exhausted(r)]
        if again:
            self._put_back(ids_of(again), noted=desk.is_noted or batch.resumes)
            await self._rest(PAUSES_MS[max(r.attempts for r in again) - 1])

    def _put_back(self, ids: tuple[str, ...], *, noted: bool) -> None:
        """What a run did not come to waits again; where nothing runs any more, it is told so."""
        self._inbox.put_back(ids, noted=noted)
        if self._standing.has_ended:
            self._end(ids, self.farewell)

    def _end(self, ids: Iterable[str], outcome: Outcome) -> None:
        for input_id in ids:
            self._inbox.end(input_id, outcome)

    async def _rest(self, ms: int) -> None:
        """Waits for a better moment; a hold, a retirement or an end cuts it short."""
        if self._held or self._standing.has_ended:
            return
        self._pause = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._pause], timeout=ms / 1000)
        self._pause = None

    def cut_rest_short(self) -> None:
        """The next attempt need not be waited for."""
        if self._pause is not None and not self._pause.done():
            self._pause.set_result(None)


def _code_of(outcome: Outcome) -> RunCode:
    if isinstance(outcome, Applied):
        return "completed"
    cancelled = isinstance(outcome, Abandoned) and outcome.reason == "cancelled"
    return "cancelled" if cancelled else "failed"


def ids_of(records: Iterable[InputRecord]) -> tuple[str, ...]:
    """The ids of some inputs."""
    return tuple(r.item.header.id for r in records)


def ended(ids: tuple[str, ...], outcome: Outcome) -> InputsEnded:
    """The fact that inputs ended without a run that says so."""
    if not isinstance(outcome, Abandoned):
        return InputsEnded(input_ids=ids, reason="apply_failed")
    error = outcome.error
    return InputsEnded(
        input_ids=ids,
        reason=outcome.reason,
        error=UNSET if error is None else error.code,
        told=UNSET if error is None else str(error),
    )
