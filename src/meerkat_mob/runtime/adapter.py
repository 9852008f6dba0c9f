"""Every session's inbox behind one object: what sends work, and what asks how it went.

``accept_input`` returns once the input is accepted; from then on it is run in order and ends
exactly once. Here the records live in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from meerkat_mob.core.inputs import Input, Receipt
from meerkat_mob.errors import RuntimeNotReady
from meerkat_mob.runtime.activity import Activity
from meerkat_mob.runtime.executor import Executor
from meerkat_mob.runtime.inbox import LEGAL, InputRecord, Outcome
from meerkat_mob.runtime.loop import SessionRuntime
from meerkat_mob.runtime.policy import decide
from meerkat_mob.runtime.state import ACCEPTS, RuntimeState


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

    def __init__(self, *, ids: Callable[[], str]) -> None:
        self._ids = ids
        self._runtimes: dict[str, SessionRuntime] = {}
        self.activity = Activity()
        """Changes whenever some session may have become busy or idle."""

    @classmethod
    def ephemeral(cls, *, ids: Callable[[], str]) -> RuntimeSessionAdapter:
        """An adapter whose records end with the process."""
        return cls(ids=ids)

    # -- sessions ------------------------------------------------------------------------------

    def register_session(self, session_id: str, executor: Executor, *, keep_alive: bool) -> None:
        """Gives a session its inbox. Idempotent: a known session keeps the one it has.

        ``keep_alive`` says whether what peers send wakes it (``decide``).
        """
        if not self.contains_session(session_id):
            self._runtimes[session_id] = SessionRuntime(
                session_id,
                executor=executor,
                keep_alive=keep_alive,
                activity=self.activity,
                ids=self._ids,
            )

    async def unregister_session(self, session_id: str, *, reason: str = "unregistered") -> None:
        """Ends a session's runtime; whoever waits is told. Unknown ids are fine.

        From the first moment it takes no input; it counts as busy until its run has ended.
        """
        runtime = self._runtimes.get(session_id)
        if runtime is None:
            return
        await runtime.destroy(reason)
        if self._runtimes.get(session_id) is runtime:
            del self._runtimes[session_id]

    def contains_session(self, session_id: str) -> bool:
        """Whether the session has an inbox here."""
        return self.runtime_state(session_id) is not RuntimeState.DESTROYED

    def set_session_silent_intents(self, session_id: str, intents: Iterable[str]) -> None:
        """Requests with these intents will not wake the session (POL-1)."""
        self._runtime(session_id).silent_intents = frozenset(intents)

    # -- inputs --------------------------------------------------------------------------------

    async def accept_input(self, session_id: str, item: Input) -> AcceptOutcome:
        """Takes an input once, and wakes the session as its policy says.

        Raises ``RuntimeNotReady`` when the session takes none, ``InboxFull`` at the bound.
        """
        return self._accept(self._runtime(session_id), item)

    async def accept_input_with_completion(
        self, session_id: str, item: Input
    ) -> tuple[AcceptOutcome, asyncio.Future[Outcome] | None]:
        """The same, with a future for the input's end; None when it had ended before."""
        runtime = self._runtime(session_id)
        outcome = self._accept(runtime, item)
        known = outcome.existing_id if isinstance(outcome, Deduplicated) else outcome.input_id
        record = runtime.inbox.state(known)
        pending = record is not None and bool(LEGAL[record.phase])
        return outcome, runtime.completion(known) if pending else None

    def _accept(self, runtime: SessionRuntime, item: Input) -> AcceptOutcome:
        """Ready, known, policy, bound: decided and done in one step (spec sessions 5.3)."""
        if runtime.state not in ACCEPTS:
            raise RuntimeNotReady(session_id=runtime.session_id, state=runtime.state.value)
        if (existing := runtime.inbox.known(item)) is not None:
            return Deduplicated(input_id=item.header.id, existing_id=existing)
        policy = decide(item, silent_intents=runtime.silent_intents, keep_alive=runtime.keep_alive)
        runtime.inbox.admit(item, policy)
        runtime.wake()
        return Accepted(input_id=item.header.id)

    def input_state(self, session_id: str, input_id: str) -> InputRecord | None:
        """The record of an input; None when unknown."""
        return self._runtime(session_id).inbox.state(input_id)

    def list_active_inputs(self, session_id: str) -> tuple[InputRecord, ...]:
        """Inputs that have not ended."""
        return self._runtime(session_id).inbox.active()

    def load_boundary_receipt(
        self, session_id: str, run_id: str, sequence: int = 0
    ) -> Receipt | None:
        """The receipt of a run; None when there is none, or it is long gone."""
        return self._runtime(session_id).receipts.get((run_id, sequence))

    # -- control -------------------------------------------------------------------------------

    def runtime_state(self, session_id: str) -> RuntimeState:
        """The state of a session's runtime; destroyed when it has none."""
        runtime = self._runtimes.get(session_id)
        return RuntimeState.DESTROYED if runtime is None else runtime.state

    async def interrupt_current_run(self, session_id: str) -> None:
        """Cancels the run that is going on, if one is; queued inputs stay."""
        await self._runtime(session_id).interrupt()

    def retire_runtime(self, session_id: str) -> int:
        """Takes no more input; what is queued still runs. Returns how much that is."""
        return self._runtime(session_id).retire()

    def hold(self, session_id: str, *, held: bool) -> None:
        """Keeps accepted inputs waiting, or lets them run again."""
        runtime = self._runtime(session_id)
        runtime.held = held
        runtime.wake()

    def is_busy(self, session_id: str) -> bool:
        """Whether a run is going on, or an input asks for one."""
        runtime = self._runtimes.get(session_id)
        return runtime is not None and runtime.busy

    async def aclose(self) -> None:
        """Ends every runtime, all at once, and awaits their ends. Idempotent."""
        reason = "the runtime was closed"
        async with asyncio.TaskGroup() as group:
            for session_id in tuple(self._runtimes):
                group.create_task(self.unregister_session(session_id, reason=reason))

    def _runtime(self, session_id: str) -> SessionRuntime:
        runtime = self._runtimes.get(session_id)
        if runtime is None:
            raise RuntimeNotReady(session_id=session_id, state=RuntimeState.DESTROYED.value)
        return runtime
