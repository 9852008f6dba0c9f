"""Every session's inbox behind one object: what sends work, and what asks how it went.

``accept_input`` returns once the input is accepted; from then on it is run in order and ends
exactly once. Over a service that persists, accepted means kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from meerkat_mob import _target
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.inputs import Input, Receipt
from meerkat_mob.errors import PersistenceDisabled, RuntimeNotReady
from meerkat_mob.runtime.activity import Activity
from meerkat_mob.runtime.events import Watcher
from meerkat_mob.runtime.executor import Executor
from meerkat_mob.runtime.inbox import BOUND, InputRecord, Outcome
from meerkat_mob.runtime.log import InboxLog, NoLog, StreamLog
from meerkat_mob.runtime.operations import RuntimeBindings
from meerkat_mob.runtime.policy import decide, rejection
from meerkat_mob.runtime.recovery import RecoveryReport
from meerkat_mob.runtime.session import RetireReport, SessionRuntime
from meerkat_mob.runtime.state import ACCEPTS, ENDED, RuntimeState
from meerkat_mob.sessions import SessionService
from meerkat_mob.store import to_the_end


class Accepted(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="outcome_type", tag="accepted"
):
    """The input was taken."""

    input_id: str


class Deduplicated(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="outcome_type",
    tag="deduplicated",
):
    """An input with the same idempotency key was taken before; nothing was written."""

    input_id: str
    existing_id: str


AcceptOutcome = Accepted | Deduplicated


class RuntimeSessionAdapter:
    """The runtimes of many sessions (spec sessions 5.10)."""

    def __init__(
        self, log: InboxLog, *, ids: Callable[[], str], clock: Clock, inbox_bound: int
    ) -> None:
        self._log, self._ids, self._clock, self._bound = log, ids, clock, inbox_bound
        self._runtimes: dict[str, SessionRuntime] = {}
        self._recovering: dict[str, asyncio.Task[RecoveryReport]] = {}
        self.activity = Activity()
        """Changes whenever some session may have become busy or idle."""

    @classmethod
    def ephemeral(
        cls,
        *,
        ids: Callable[[], str],
        clock: Clock = _target.now_ms,
        inbox_bound: int = BOUND,
    ) -> RuntimeSessionAdapter:
        """An adapter whose records end with the process.

        ``inbox_bound`` is how many inputs of a session may wait; one more is refused.
        """
        return cls(NoLog(), ids=ids, clock=clock, inbox_bound=inbox_bound)

    @classmethod
    def persistent(
        cls,
        sessions: SessionService,
        *,
        ids: Callable[[], str],
        clock: Clock = _target.now_ms,
        inbox_bound: int = BOUND,
    ) -> RuntimeSessionAdapter:
        """An adapter whose records are kept in the streams of the sessions of a service.

        Raises ``PersistenceDisabled`` for a service that keeps nothing.
        """
        if not sessions.supports_persistent_sessions:
            raise PersistenceDisabled(what="a durable inbox")
        return cls(StreamLog(sessions), ids=ids, clock=clock, inbox_bound=inbox_bound)

    # -- sessions ------------------------------------------------------------------------------

    async def register_session(
        self, session_id: str, executor: Executor | None = None, *, keep_alive: bool = False
    ) -> RecoveryReport:
        """Gives a session its inbox, with what an earlier process left in it (DUR-5).

        Idempotent: a known session keeps the inbox it has. Without an executor, inputs are
        accepted and wait for one. ``keep_alive`` says whether what peers send wakes it
        (``decide``). Raises ``StoreError`` when what was kept cannot be read.
        """
        report = RecoveryReport()
        runtime = self._runtimes.get(session_id)
        if runtime is None or runtime.state is RuntimeState.DESTROYED:
            report = await self._recover(session_id, keep_alive=keep_alive)
        if executor is not None:
            self._runtime(session_id).attach(executor)
        return report

    async def _recover(self, session_id: str, *, keep_alive: bool) -> RecoveryReport:
        """Once for all who ask for it at the same time."""
        task = self._recovering.get(session_id)
        if task is None:
            former = self._runtimes.get(session_id)
            task = asyncio.create_task(self._read(session_id, former, keep_alive=keep_alive))
            self._recovering[session_id] = task
            task.add_done_callback(lambda _: self._recovering.pop(session_id, None))
        return await to_the_end(task)

    async def _read(
        self, session_id: str, former: SessionRuntime | None, *, keep_alive: bool
    ) -> RecoveryReport:
        """Not before the former runtime has gone: of two that live, each would end its inputs."""
        if former is not None:
            await former.over()
        runtime = SessionRuntime(
            session_id,
            log=self._log,
            keep_alive=keep_alive,
            activity=self.activity,
            clock=self._clock,
            ids=self._ids,
            bound=self._bound,
        )
        report = await runtime.recover()
        self._runtimes[session_id] = runtime
        return report

    async def ensure_session_with_executor(
        self, session_id: str, make: Callable[[str], Executor], *, keep_alive: bool = False
    ) -> None:
        """Registers the session if need be and gives it an executor if it has none.

        Of those who ask at the same time one makes it; what waits begins to run.
        """
        await self.register_session(session_id, keep_alive=keep_alive)
        runtime = self._runtime(session_id)
        if not runtime.has_executor:
            runtime.attach(make(session_id))

    async def unregister_session(self, session_id: str, *, reason: str = "unregistered") -> None:
        """Ends a session's runtime here; whoever waits is told. Unknown ids are fine.

        What is kept of its inputs stays as it is. From the first moment it takes no input; it
        counts as busy until its run has ended.
        """
        await self._let_go(session_id, reason, unfinished=False)

    async def suspend_session(self, session_id: str, *, reason: str = "suspended") -> None:
        """The same for a process that ends: the run that goes on is left, too.

        Over a service that persists the next process goes on with it; it counts as no attempt.
        """
        await self._let_go(session_id, reason, unfinished=True)

    async def _let_go(self, session_id: str, reason: str, *, unfinished: bool) -> None:
        runtime = self._runtimes.get(session_id)
        if runtime is None:
            return
        await runtime.leave(reason, unfinished=unfinished)
        if self._runtimes.get(session_id) is runtime:
            del self._runtimes[session_id]

    def contains_session(self, session_id: str) -> bool:
        """Whether the session has an inbox here."""
        return self.runtime_state(session_id) is not RuntimeState.DESTROYED

    def session_has_executor(self, session_id: str) -> bool:
        """Whether anybody runs what its inbox takes."""
        runtime = self._runtimes.get(session_id)
        return runtime is not None and runtime.has_executor and runtime.state not in ENDED

    def set_session_silent_intents(self, session_id: str, intents: Iterable[str]) -> None:
        """Requests with these intents will not wake the session (POL-1)."""
        self._runtime(session_id).silent_intents = frozenset(intents)

    def prepare_bindings(self, session_id: str) -> RuntimeBindings:
        """What an agent needs of its session's runtime: the same registry on every call (5.10).

        Raises ``RuntimeNotReady`` for a session without an inbox.
        """
        return RuntimeBindings(operations=self._runtime(session_id).jobs.registry)

    # -- inputs --------------------------------------------------------------------------------

    async def accept_input(self, session_id: str, item: Input) -> AcceptOutcome:
        """Takes an input once, and wakes the session as its policy says. It is kept then.

        Raises ``RuntimeNotReady`` when the session takes none, ``InputRejected`` for one that
        contradicts itself, ``InboxFull`` at the bound, ``StoreError`` when it cannot be kept.
        """
        return await self._accept(self._runtime(session_id), item)

    async def accept_input_without_wake(self, session_id: str, item: Input) -> AcceptOutcome:
        """Takes an input that asks for no run: it precedes the next one, whoever asks for that.

        Raises as ``accept_input`` does.
        """
        return await self._accept(self._runtime(session_id), item, wakes=False)

    async def accept_input_with_completion(
        self, session_id: str, item: Input
    ) -> tuple[AcceptOutcome, asyncio.Future[Outcome] | None]:
        """The same, with a future for the input's end; None when it had ended before."""
        runtime = self._runtime(session_id)
        waiter: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        outcome = await self._accept(runtime, item, waiter)
        if isinstance(outcome, Deduplicated):
            return outcome, runtime.completion_of(outcome.existing_id)
        return outcome, waiter

    async def _accept(
        self,
        runtime: SessionRuntime,
        item: Input,
        waiter: asyncio.Future[Outcome] | None = None,
        *,
        wakes: bool = True,
    ) -> AcceptOutcome:
        if runtime.state not in ACCEPTS:
            raise RuntimeNotReady(session_id=runtime.session_id, state=runtime.state.value)
        if (refused := rejection(item)) is not None:
            raise refused
        policy = decide(item, silent_intents=runtime.silent_intents, keep_alive=runtime.keep_alive)
        if not wakes:
            policy = msgspec.structs.replace(policy, wakes=False)
        existing = await runtime.admission.accept(item, policy, waiter)
        if existing is not None:
            return Deduplicated(input_id=item.header.id, existing_id=existing)
        return Accepted(input_id=item.header.id)

    def input_state(self, session_id: str, input_id: str) -> InputRecord | None:
        """The record of an input; None when unknown, or ended long ago."""
        return self._runtime(session_id).inbox.state(input_id)

    def list_active_inputs(self, session_id: str) -> tuple[InputRecord, ...]:
        """Inputs that have not ended."""
        return self._runtime(session_id).inbox.active()

    def load_boundary_receipt(
        self, session_id: str, run_id: str, sequence: int = 0
    ) -> Receipt | None:
        """The receipt of a run; None when there is none, or it is long gone."""
        return self._runtime(session_id).receipts.get((run_id, sequence))

    def watch_runtime_events(self, session_id: str, watcher: Watcher) -> Callable[[], None]:
        """Calls ``watcher`` for whatever happens in the inbox from now on (INP-4).

        Returns how to stop that; it ends with the runtime. Raises ``RuntimeNotReady`` for a
        session without an inbox.
        """
        return self._runtime(session_id).watchers.add(watcher)

    # -- control -------------------------------------------------------------------------------

    def runtime_state(self, session_id: str) -> RuntimeState:
        """The state of a session's runtime; destroyed when it has none."""
        runtime = self._runtimes.get(session_id)
        return RuntimeState.DESTROYED if runtime is None else runtime.state

    async def interrupt_current_run(self, session_id: str) -> None:
        """Cancels the run that is going on, if one is; queued inputs stay."""
        await self._runtime(session_id).interrupt()

    async def retire_runtime(self, session_id: str) -> RetireReport:
        """Takes no more input; what is queued still runs, if anybody would run it."""
        return await self._runtime(session_id).retire()

    async def reset_runtime(self, session_id: str) -> int:
        """Abandons what waits and takes input again; returns how much that was.

        Raises ``RuntimeNotReady`` while a run goes on.
        """
        return await self._runtime(session_id).reset()

    async def recycle_runtime(self, session_id: str, executor: Executor | None = None) -> int:
        """Goes on with another executor; returns how much waits, which stays with its waiters.

        Raises ``RuntimeNotReady`` while a run goes on.
        """
        return await self._runtime(session_id).recycle(executor)

    async def stop_runtime_executor(self, session_id: str) -> int:
        """Ends it for good: abandons what waits, and cancels the run that goes on."""
        return await self._runtime(session_id).end(RuntimeState.STOPPED)

    async def destroy(self, session_id: str) -> int:
        """Ends it for good, whatever its state."""
        return await self._runtime(session_id).end(RuntimeState.DESTROYED)

    def hold(self, session_id: str, *, held: bool) -> None:
        """Keeps accepted inputs waiting, or lets them run again."""
        self._runtime(session_id).hold(held=held)

    def is_busy(self, session_id: str) -> bool:
        """Whether a run is going on, or an input asks for one."""
        runtime = self._runtimes.get(session_id)
        return runtime is not None and runtime.busy

    async def aclose(self) -> None:
        """Suspends every session, all at once, and awaits their ends. Idempotent."""
        reason = "the runtime was closed"
        async with asyncio.TaskGroup() as group:
            for session_id in tuple(self._runtimes):
                group.create_task(self.suspend_session(session_id, reason=reason))

    def _runtime(self, session_id: str) -> SessionRuntime:
        runtime = self._runtimes.get(session_id)
        if runtime is None:
            raise RuntimeNotReady(session_id=session_id, state=RuntimeState.DESTROYED.value)
        return runtime
