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
from meerkat_mob.errors import AgentError, MeerkatError, RunCancelled
from meerkat_mob.runtime.activity import Activity
from meerkat_mob.runtime.executor import Executor
from meerkat_mob.runtime.inbox import (
    Abandoned,
    Completed,
    CompletedWithoutResult,
    Inbox,
    InputPhase,
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
            self._task = asyncio.create_task(self._drain(), name=f"inbox of {self.session_id}")
        self._activity.changed()

    async def _drain(self) -> None:
        try:
            while not self.held and self.inbox.runnable:
                self._enter(RuntimeState.RUNNING)
                await self._run(self._ids())
                self._enter(RuntimeState.IDLE)
        finally:
            self._task = None
            self._end_what_never_runs()
            self._activity.changed()

    async def _run(self, run_id: str) -> None:
        batch = self.inbox.take(run_id)
        outcome: Outcome = RuntimeTerminated(reason="the runtime was stopped")
        try:
            output = await self._executor.apply(run_id, batch)
        except RunCancelled as error:
            outcome = Abandoned(reason="cancelled", error=error)
        except MeerkatError as error:
            outcome = Abandoned(reason="apply_failed", error=error)
        except Exception as error:  # the next batch must not suffer from it
            fault = AgentError(f"the run broke: {type(error).__name__}: {error}; report this")
            fault.__cause__ = error
            outcome = Abandoned(reason="apply_failed", error=fault)
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
        """Takes no more input and drains what asks for a run; returns how much is left to drain.

        What never would run, because no later input can take it along, ends as retired.
        """
        self._enter(RuntimeState.RETIRED)
        self._end_what_never_runs()
        return len(self.inbox.active())

    def _end_what_never_runs(self) -> None:
        if self.state is RuntimeState.RETIRED and self._task is None and not self.inbox.runnable:
            self.inbox.end_all(Abandoned(reason="retired"))

    async def destroy(self, reason: str) -> None:
        """Ends everything at once and awaits the end of the run that is going on. Idempotent."""
        self._enter(RuntimeState.DESTROYED)
        for record in self.inbox.active():
            if record.phase is InputPhase.QUEUED:
                self.inbox.end(record.item.header.id, RuntimeTerminated(reason=reason))
        running = self._task
        if running is not None:
            await self._executor.cancel_current_run()
            await asyncio.wait([running])
