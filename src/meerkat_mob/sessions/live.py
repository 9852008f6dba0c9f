"""A live session: its transcript, its agent, its events, and the one run it may have.

Rule: from admission to the end of a run the session answers reads from what was last committed,
and whatever ends a run leaves the session ready for the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import UNSET

from meerkat_mob.core.content import Content, is_blank, join
from meerkat_mob.core.events import RunResult
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.requests import CreateSessionRequest, StartTurnRequest, with_instructions
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.errors import NoPendingBoundary, RunCancelled, SessionUnsupported
from meerkat_mob.sessions.admission import Admission, Signal
from meerkat_mob.sessions.feed import EventFeed
from meerkat_mob.sessions.service import (
    BuildAgent,
    SessionInfo,
    SessionSummary,
    SessionUsage,
    SessionView,
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn will do: run with a prompt, or continue when it has none."""

    prompt: Content | None
    request: StartTurnRequest


class LiveSession:
    """One session in memory. The service owns it and nobody else keeps it."""

    def __init__(
        self,
        session_id: str,
        request: CreateSessionRequest,
        *,
        build_agent: BuildAgent,
        clock: Clock,
        ids: Callable[[], str],
    ) -> None:
        self.id: Final = session_id
        self.labels: Final = dict(request.labels)
        self.request: Final = request
        self.created_at: Final = clock()
        self.updated_at = self.created_at
        self.transcript: Final = Transcript()
        self.events: Final = EventFeed(f"session:{session_id}", clock=clock, ids=ids)
        self.admission: Final = Admission(session_id)
        self.agent: Final = build_agent(
            request, session_id=session_id, transcript=self.transcript, emit=self.events.emit
        )
        self._clock = clock
        self._window_open = request.initial_turn == "defer"
        staged = self._window_open and request.deferred_prompt_policy == "stage"
        self._staged: Content = request.prompt if staged and not is_blank(request.prompt) else ""
        self._run: asyncio.Task[RunResult] | None = None
        self._ended: asyncio.Event = asyncio.Event()
        self._ended.set()
        if request.system_prompt:
            self.transcript.set_system_prompt(request.system_prompt)
        self._view = self._look()

    # -- turns ---------------------------------------------------------------------------------

    async def start_turn(self, request: StartTurnRequest) -> RunResult:
        """One run, from admission to commit. Its errors are those of ``SessionService``."""
        self.admission.send(Signal.REQUEST_START_TURN)
        window, staged = self._window_open, self._staged
        try:
            plan = self._plan(request)
        except (SessionUnsupported, NoPendingBoundary):
            self._window_open, self._staged = window, staged
            self.admission.send(Signal.ABORT)
            raise
        self.admission.send(Signal.BEGIN_RUN)
        self._ended.clear()
        began = False

        async def run() -> RunResult:
            nonlocal began
            began = True
            return await self._execute(plan)

        self._run = asyncio.ensure_future(run())
        try:
            return await self._run
        except asyncio.CancelledError:
            if self.admission.interrupted and not _caller_is_cancelled():
                raise RunCancelled from None
            raise
        finally:
            if not began:  # cancelled before the first step: nothing was taken (SES-13)
                self._window_open, self._staged = window, staged
            self._finish()

    def _plan(self, request: StartTurnRequest) -> Plan:
        """Decides what to run (spec sessions 3.1, steps 4 to 6) and takes what was staged."""
        if request.system_prompt is not None and not self._window_open:
            raise SessionUnsupported(
                what="a system prompt is taken by the first turn of a deferred session only: "
                "create a new session for another one",
                session_id=self.id,
            )
        prompt = join(
            (self._staged, with_instructions(request.prompt, request.additional_instructions))
        )
        pending = self.transcript.has_pending_boundary
        has_content = not is_blank(prompt) or bool(request.preface)
        resume = request.execution_kind == "resume_pending" or (
            request.execution_kind is UNSET and not has_content
        )
        if resume and not pending:
            raise NoPendingBoundary
        self._window_open, self._staged = False, ""
        if request.system_prompt is not None:
            self.transcript.set_system_prompt(request.system_prompt)
        return Plan(prompt=None if resume else prompt, request=request)

    async def _execute(self, plan: Plan) -> RunResult:
        if plan.prompt is None:
            return await self.agent.run_pending()
        return await self.agent.run(
            plan.prompt,
            preface=plan.request.preface,
            render_metadata=plan.request.render_metadata,
        )

    def _finish(self) -> None:
        self._run = None
        self.admission.send(Signal.RESOLVE_RUN)
        self.updated_at = self._clock()
        self._view = self._look()
        self.admission.send(Signal.FINALIZE_TURN)
        self._ended.set()

    def interrupt(self) -> None:
        """Cancels the run. It stops at once, repairs its transcript and ends as cancelled."""
        self.admission.send(Signal.REQUEST_INTERRUPT)
        if self._run is not None:
            self._run.cancel()

    async def ended(self) -> None:
        """Waits until no run is going on."""
        await self._ended.wait()

    # -- looks: never wait ---------------------------------------------------------------------

    @property
    def committed(self) -> int:
        """How many messages were there when the last run ended."""
        return self._view.state.message_count

    def view(self) -> SessionView:
        """The session as of its last commit, with whether it runs now."""
        state = msgspec.structs.replace(self._view.state, is_active=self.admission.is_active)
        return SessionView(state=state, billing=self._view.billing)

    def summary(self) -> SessionSummary:
        """The same in a line."""
        state = self._view.state
        return SessionSummary(
            session_id=self.id,
            created_at=state.created_at,
            updated_at=state.updated_at,
            message_count=state.message_count,
            total_tokens=self._view.billing.total_tokens,
            is_active=self.admission.is_active,
            labels=self.labels,
        )

    def _look(self) -> SessionView:
        usage = self.agent.usage
        return SessionView(
            state=SessionInfo(
                session_id=self.id,
                created_at=self.created_at,
                updated_at=self.updated_at,
                message_count=len(self.transcript),
                is_active=False,
                model=self.agent.model,
                provider=self.agent.provider,
                last_assistant_text=self.transcript.last_assistant_text,
                labels=self.labels,
            ),
            billing=SessionUsage(total_tokens=usage.total, usage=usage),
        )


def _caller_is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
