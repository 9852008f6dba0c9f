"""The run loop of one session: take a batch, run it, say how its inputs ended.

There is a task only while there is work, so an idle session costs nothing. Each input of a run
ends with that run: applied with a receipt, or abandoned with the error its sender is told; a
failed run leaves the loop ready for the next batch.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from meerkat_mob.core.inputs import ApplyOutput, Receipt
from meerkat_mob.errors import MeerkatError, RunCancelled
from meerkat_mob.runtime.activity import Activity
from meerkat_mob.runtime.executor import Executor
from meerkat_mob.runtime.inbox import (
    Abandoned,
    Batch,
    Completed,
    CompletedWithoutResult,
    Inbox,
    InputRecord,
    Outcome,
    RuntimeTerminated,
)
from meerkat_mob.runtime.state import LEGAL, RuntimeState

RECEIPTS: Final = 1024


class SessionRuntime:
    """An inbox, the loop over it, and those who wait for their inputs."""

    def __init__(
        self,
        session_id: str,
        *,
        executor: Executor,
        keep_alive: bool,
        activity: Activity,
        ids: Callable[[], str],
    ) -> None:
        self.session_id, self.keep_alive = session_id, keep_alive
        self.state = RuntimeState.IDLE
        self.silent_intents: frozenset[str] = frozenset()
        self.held = False
        """While held, inputs are accepted and wait; nothing starts a run."""
        self.inbox = Inbox(session_id, self._tell)
        self.receipts: OrderedDict[tuple[str, int], Receipt] = OrderedDict()
        self._executor, self._activity, self._ids = executor, activity, ids
        self._waiters: dict[str, list[asyncio.Future[Outcome]]] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a run is going on, or an input asks for one."""
        return self._task is not None or (self.inbox.runnable and not self.held)

    def wake(self) -> None:
        """Starts the loop if there is work and it is not running."""
        if self._task is None and self.inbox.runnable and not self.held:
            self._task = asyncio.ensure_future(self._drain())
        self._activity.changed()

    async def _drain(self) -> None:
        try:
            while not self.held and (batch := self.inbox.take(run_id := self._ids())):
                self._enter(RuntimeState.RUNNING)
                await self._run(run_id, batch)
                self._enter(RuntimeState.IDLE)
        finally:
            self._task = None
            self._activity.changed()

    async def _run(self, run_id: str, batch: Batch) -> None:
        outcome: Outcome = RuntimeTerminated(reason="the runtime was stopped")
        try:
            output = await self._executor.apply(run_id, batch)
        except RunCancelled as error:
            outcome = Abandoned(reason="cancelled", error=error)
        except MeerkatError as error:
            outcome = Abandoned(reason="apply_failed", error=error)
        else:
            outcome = self._keep(output)
        finally:
            for input_id in batch.ids:
                self.inbox.end(input_id, outcome)

    def _keep(self, output: ApplyOutput) -> Outcome:
        receipt = output.receipt
        self.receipts[receipt.run_id, receipt.sequence] = receipt
        while len(self.receipts) > RECEIPTS:
            self.receipts.popitem(last=False)
        result = output.result
        return CompletedWithoutResult() if result is None else Completed(result=result)

    def _enter(self, state: RuntimeState) -> None:
        """Moves on where the table allows it; a retired runtime stays retired while it drains."""
        if state in LEGAL[self.state]:
            self.state = state

    # -- waiting for an input ------------------------------------------------------------------

    def completion(self, input_id: str) -> asyncio.Future[Outcome]:
        """A future for the end of an input that has not ended. Cancelling it hurts nobody."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(input_id, []).append(future)
        return future

    def _tell(self, record: InputRecord) -> None:
        for future in self._waiters.pop(record.item.header.id, ()):
            if not future.done() and record.outcome is not None:
                future.set_result(record.outcome)

    # -- control -------------------------------------------------------------------------------

    async def interrupt(self) -> None:
        """Cancels the run that is going on; queued inputs stay."""
        await self._executor.cancel_current_run()

    def retire(self) -> int:
        """Takes no more input and drains what is queued; returns how much that is."""
        self._enter(RuntimeState.RETIRED)
        self._activity.changed()
        return len(self.inbox.active())

    async def destroy(self, reason: str) -> int:
        """Ends everything at once and awaits the loop's end; returns how many inputs it ended."""
        self._enter(RuntimeState.DESTROYED)
        self.held = True
        queued = [r for r in self.inbox.active() if r.run_id is None]
        for record in queued:
            self.inbox.end(record.item.header.id, RuntimeTerminated(reason=reason))
        running = self._task
        if running is not None:
            await self._executor.cancel_current_run()
            await asyncio.wait([running])
        return len(queued) + self.inbox.end_all(RuntimeTerminated(reason=reason))
