"""One run of a session: what it was asked, what it took, and how it ended.

The rule: what a run takes of its session is gone only when it is committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec
from msgspec import UNSET

from meerkat_mob.core.compaction import Compacted
from meerkat_mob.core.content import Content, is_blank, join
from meerkat_mob.core.deferred_turn import await_calls, consume, take_turn
from meerkat_mob.core.events import (
    AgentEvent,
    RunCallbackPending,
    RunCompleted,
    RunFailed,
    RunResult,
)
from meerkat_mob.core.inputs import Boundary, Receipt
from meerkat_mob.core.messages import ToolResult, ToolUseData, UserMessage
from meerkat_mob.core.repair import open_calls
from meerkat_mob.core.requests import StartTurnRequest, with_instructions
from meerkat_mob.core.run_context import News
from meerkat_mob.core.system_context import PendingAppend, mark_pending_applied
from meerkat_mob.core.tool_visibility import ToolFilter, ToolsInForce, ToolVisibilityState
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import CallbackPending, MeerkatError, NoPendingBoundary, RunCancelled
from meerkat_mob.sessions.facts import RunBegan, RunEnded, RunOutcome
from meerkat_mob.sessions.state import SessionState


class Steered(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Inputs that join a run that goes on, as messages."""

    input_ids: tuple[str, ...]
    messages: tuple[UserMessage, ...]


class RunInbox(Protocol):
    """The inbox of a run's inputs: told of each fact in the step in which it is kept."""

    @property
    def is_cut_off(self) -> bool:
        """Whether the run was interrupted before the session knew of it."""
        ...

    @property
    def is_left(self) -> bool:
        """Whether the run, being cut off, is left as it is: the next process goes on with it."""
        ...

    def steered(self) -> Steered | None:
        """What is to join the run now. Nothing of it is consumed before ``applied``."""
        ...

    def news(self) -> News | None:
        """What the model has not been told of the session's background work."""
        ...

    def applied(self, steered: Steered, receipt: Receipt) -> None:
        """What joined the run is kept, with its receipt."""
        ...

    def noted(self) -> None:
        """What the run's inputs say is kept, though the run has not ended."""
        ...

    def closed(self, receipt: Receipt | None) -> None:
        """How the run ended is kept; without a receipt it failed. None of its inputs runs again."""
        ...


class Ticket(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Whose inputs a run applies: what its receipt says, and the inbox that they came from."""

    run_id: str
    boundary: Boundary
    input_ids: tuple[str, ...] = ()
    inbox: RunInbox | None = None


class TurnEnd(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A run that is committed. No result: there was nothing to do, or no model was to be asked."""

    result: RunResult | None
    receipt: Receipt | None
    pending: tuple[ToolUseData, ...] = ()


class Run:
    """A run from its admission to its commit."""

    def __init__(
        self, request: StartTurnRequest, kept: SessionState, ticket: Ticket | None
    ) -> None:
        self.request, self.ticket = request, ticket
        self.taken = take_turn(kept.deferred)
        self.began = False
        """Whether the agent has begun: only then anything is consumed."""
        self.terminal: AgentEvent | None = None
        """The agent's last word, said aloud once it is committed."""
        self.task: asyncio.Task[TurnEnd] | None = None
        self.over = False
        """Whether only its commit is left: then nothing stops it any more."""
        self._is_cut_off = self._is_on = False
        self.sequence = 0
        """The number of the run's next receipt."""
        self.noted = ticket is None or not ticket.input_ids
        """Whether a crash would find what its inputs say, and need not say it again."""
        self._context = kept.context.pending  # what comes during the run waits for the next one
        self._context_taken = False
        self.left: tuple[ToolUseData, ...] = ()
        """Calls with which it ended, because somebody else runs them."""
        self._done: tuple[ToolResult, ...] = ()
        self._went_by: tuple[ToolFilter, int, frozenset[str]] | None = None
        self._loaded: frozenset[str] = frozenset()
        self._compacted: Compacted | None = None

    # -- interrupts ----------------------------------------------------------------------------

    def insist(self) -> None:
        """The first step. Raises ``CancelledError`` when it was interrupted before it."""
        self._is_on = True
        inbox = None if self.ticket is None else self.ticket.inbox
        if self._is_cut_off or (inbox is not None and inbox.is_cut_off):
            raise asyncio.CancelledError

    def cut_off(self) -> None:
        """Stops it, once and unless it is over. A task that was not begun could not clean up."""
        if self._is_cut_off or self.over:
            return
        self._is_cut_off = True
        if self._is_on and self.task is not None:
            self.task.cancel()

    @property
    def is_left(self) -> bool:
        """Whether nobody is to hear how it ended: it goes on in the next process."""
        inbox = None if self.ticket is None else self.ticket.inbox
        return self._is_cut_off and inbox is not None and inbox.is_left

    # -- what the agent takes ------------------------------------------------------------------

    def take_context(self) -> tuple[PendingAppend, ...]:
        """See ``RunContext.take_system_context``."""
        self._context_taken = True
        return self._context

    def take_tools(self, kept: SessionState) -> ToolsInForce:
        """See ``RunContext.tools_in_force``."""
        state = kept.visibility
        loaded = self._loaded.union(state.staged_requested_deferred_names)
        self._went_by = (state.staged_filter, state.staged_revision, loaded)
        return ToolsInForce(
            filters=(state.inherited_base_filter, state.staged_filter),
            overlay=self.request.flow_tool_overlay,
            loaded=loaded,
        )

    def load_tools(self, kept: SessionState, names: Iterable[str]) -> frozenset[str]:
        """See ``RunContext.load_tools``."""
        new = frozenset(names).difference(
            self._loaded, kept.visibility.staged_requested_deferred_names
        )
        self._loaded |= new
        return new

    def compacted(self, kept: SessionState) -> Compacted:
        """See ``RunContext.compacted``."""
        return self._compacted or kept.compacted

    def note_compaction(self, compacted: Compacted) -> None:
        """See ``RunContext.note_compaction``."""
        self._compacted = compacted

    def results(self) -> tuple[ToolResult, ...]:
        """What was staged of tools that somebody else ran."""
        return tuple(result for staged in self.taken.results for result in staged.results)

    def missing(self, transcript: Transcript) -> tuple[ToolUseData, ...]:
        """The calls whose results must come from outside, and have not."""
        if not self.taken.awaited:
            return ()
        known = {result.tool_use_id for result in self.results()}
        waits = set(self.taken.awaited) - known
        return tuple([call for call in open_calls(transcript) if call.id in waits])

    def leave(self, calls: Sequence[ToolUseData], done: Sequence[ToolResult]) -> None:
        """See ``RunContext.leave``."""
        self.left, self._done = tuple(calls), tuple(done)

    def prompt(self) -> Content:
        """What was staged, and what this run was asked; blank when there is neither."""
        staged = "" if self.taken.prompt is UNSET else self.taken.prompt.prompt
        request = self.request
        return join((staged, with_instructions(request.prompt, request.additional_instructions)))

    def continues(self, prompt: Content) -> bool:
        """Whether it goes on from what is pending (spec sessions 3.1, step 6)."""
        kind = self.request.execution_kind
        if kind is not UNSET:
            return kind == "resume_pending"
        return is_blank(prompt) and not self.request.preface

    # -- what is committed ---------------------------------------------------------------------

    def applied_to(
        self, kept: SessionState, transcript: Transcript, usage: Usage, *, ends: bool = False
    ) -> SessionState:
        """The session with all that this run did so far.

        The notes it took are gone at its end only: if it is cut off before, the run that goes on
        from there needs them again.
        """
        after = msgspec.structs.replace(kept, transcript=transcript.fork(), usage=usage)
        if not self.began:
            return after
        deferred = consume(kept.deferred, self.taken)
        if self.left:
            ids = [call.id for call in self.left]
            deferred = await_calls(deferred, ids, self._done, now=kept.updated_at)
        if deferred != kept.deferred:
            after = msgspec.structs.replace(after, deferred=deferred)
        if ends and self._context_taken:
            context = mark_pending_applied(kept.context, self._context)
            after = msgspec.structs.replace(after, context=context)
        if self._compacted is not None:
            after = msgspec.structs.replace(after, compacted=self._compacted)
        visibility = self._visibility(kept.visibility)
        if visibility != kept.visibility:
            after = msgspec.structs.replace(after, visibility=visibility)
        return after

    def _visibility(self, state: ToolVisibilityState) -> ToolVisibilityState:
        """What the run made of which tools are shown: the filter it took, the tools it loaded."""
        if self._loaded:
            names = self._loaded.union(state.staged_requested_deferred_names)
            state = msgspec.structs.replace(state, staged_requested_deferred_names=tuple(names))
        if self._went_by is not None:
            active, revision, loaded = self._went_by
            state = msgspec.structs.replace(
                state,
                active_filter=active,
                active_revision=revision,
                active_requested_deferred_names=tuple(loaded),
            )
        return state

    def began_now(self) -> tuple[RunBegan, ...]:
        """The fact that goes with the first checkpoint."""
        if self.noted or self.ticket is None:
            return ()
        return (RunBegan(run_id=self.ticket.run_id, input_ids=self.ticket.input_ids),)

    def was_noted(self) -> None:
        """The first checkpoint is kept."""
        if not self.noted and self.ticket is not None and self.ticket.inbox is not None:
            self.ticket.inbox.noted()
        self.noted = True

    def ended(self, after: SessionState, error: Exception | None) -> RunEnded:
        """How it ended, with a receipt unless it failed."""
        ticket = self.ticket
        if error is not None and not isinstance(error, NoPendingBoundary | CallbackPending):
            return RunEnded(
                outcome="cancelled" if isinstance(error, RunCancelled) else "failed",
                usage=after.usage,
                error=error.code if isinstance(error, MeerkatError) else MeerkatError.code,
                run_id=UNSET if ticket is None else ticket.run_id,
                input_ids=UNSET if ticket is None else ticket.input_ids,
            )
        outcome: RunOutcome = "completed"
        if error is not None:
            waits = isinstance(error, CallbackPending)
            outcome = "callback_pending" if waits else "nothing_pending"
        receipt = UNSET if ticket is None else self.receipt(ticket, after)
        return RunEnded(outcome=outcome, usage=after.usage, receipt=receipt)

    def receipt(
        self, ticket: Ticket, after: SessionState, steered: tuple[str, ...] | None = None
    ) -> Receipt:
        """Proof that inputs were applied: those of the run, or some that were ``steered`` in."""
        return Receipt(
            run_id=ticket.run_id,
            boundary=ticket.boundary if steered is None else "run_checkpoint",
            contributing_input_ids=ticket.input_ids if steered is None else steered,
            conversation_digest=after.transcript.digest(),
            message_count=len(after.transcript),
            sequence=self.sequence,
        )

    def closed(self, receipt: Receipt | None) -> None:
        """How the run ended is kept."""
        if self.ticket is not None and self.ticket.inbox is not None:
            self.ticket.inbox.closed(receipt)

    def last_word(self, session_id: str, unkept: Exception | None) -> AgentEvent | None:
        """The run's terminal event: the agent's own, or that what it did could not be kept."""
        if unkept is None or not isinstance(self.terminal, RunCompleted | RunCallbackPending):
            return self.terminal
        code = unkept.code if isinstance(unkept, MeerkatError) else MeerkatError.code
        return RunFailed(session_id=session_id, error=str(unkept), code=code)
