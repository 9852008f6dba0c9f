"""A live session: its transcript, its agent, its events, and the one run it may have.

Rule: from admission to the end of a run the session answers reads from what was last committed,
and whatever ends a run leaves the session ready for the next one. A turn that ends before its
agent began is as if it had never started (SES-13).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import UNSET

from meerkat_mob.core.content import Content, has_video, is_blank, join
from meerkat_mob.core.deferred_turn import (
    DeferredTurnState,
    TakenTurn,
    allows_build_overrides,
    arm,
    put_back,
    stage_initial_prompt,
    take_turn,
)
from meerkat_mob.core.events import AgentEvent, RunResult, RunStarted
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.requests import CreateSessionRequest, StartTurnRequest, with_instructions
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.errors import InvalidParams, RunCancelled, SessionUnsupported
from meerkat_mob.sessions.admission import Admission, Phase, Signal
from meerkat_mob.sessions.feed import EventFeed
from meerkat_mob.sessions.service import (
    BuildAgent,
    SessionInfo,
    SessionSummary,
    SessionUsage,
    SessionView,
)

TAKES_VIDEO: Final = frozenset({"gemini", "scripted"})
"""Providers that a video can be sent to. The others would lose it, so they are not asked."""


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
        self.deferred = _first_turn(request, now=self.created_at)
        """What waits for the next turn, and whether it would be the first."""
        self.events: Final = EventFeed(f"session:{session_id}", clock=clock, ids=ids)
        self.admission: Final = Admission(session_id)
        self._transcript: Final = Transcript()
        self._agent: Final = build_agent(
            request, session_id=session_id, transcript=self._transcript, emit=self._emit
        )
        self._refuse_video(request.prompt)
        self._clock = clock
        self._run: asyncio.Task[RunResult] | None = None
        self._began = False
        self._ended: asyncio.Event = asyncio.Event()
        self._ended.set()
        self._when_closed: Callable[[], None] | None = None
        if request.system_prompt:
            self._transcript.set_system_prompt(request.system_prompt)
        self._commit()

    # -- turns ---------------------------------------------------------------------------------

    async def start_turn(self, request: StartTurnRequest) -> RunResult:
        """One run, from admission to commit. Its errors are those of ``SessionService``."""
        self._refuse_video(request.prompt, *(message.content for message in request.preface))
        self.admission.send(Signal.REQUEST_START_TURN)
        if request.system_prompt is not None and not allows_build_overrides(self.deferred):
            self.admission.send(Signal.ABORT)
            raise SessionUnsupported(
                what="a system prompt is taken by the first turn of a deferred session only: "
                "create a new session for another one",
                session_id=self.id,
            )
        self.admission.send(Signal.BEGIN_RUN)
        self.deferred, taken = take_turn(self.deferred)
        self._began = False
        self._ended.clear()
        self._run = asyncio.create_task(
            self._perform(request, taken), name=f"run of session {self.id}"
        )
        cancels = _cancels_of_this_task()
        try:
            return await self._run
        except asyncio.CancelledError:
            if _cancels_of_this_task() > cancels:
                raise
            raise RunCancelled from None
        finally:
            self._finish(taken)

    def _refuse_video(self, *contents: Content) -> None:
        """Raises ``InvalidParams`` for a video that the model's provider takes none of (EPH-2)."""
        provider = self._agent.provider
        if provider not in TAKES_VIDEO and any(map(has_video, contents)):
            raise InvalidParams(
                what=f"{provider} takes no video",
                path="prompt",
                hint="send images or text, or choose a model that takes videos",
            )

    async def _perform(self, request: StartTurnRequest, taken: TakenTurn) -> RunResult:
        """Runs a prompt, or what the transcript waits for (spec sessions 3.1, steps 5 and 6)."""
        if request.system_prompt is not None:
            self._transcript.set_system_prompt(request.system_prompt)
        staged = "" if taken.prompt is UNSET else taken.prompt.prompt
        said = with_instructions(request.prompt, request.additional_instructions)
        prompt = join((staged, said))
        has_content = not is_blank(prompt) or bool(request.preface)
        if request.execution_kind == "resume_pending" or (
            request.execution_kind is UNSET and not has_content
        ):
            return await self._agent.run_pending()
        return await self._agent.run(
            prompt, preface=request.preface, render_metadata=request.render_metadata
        )

    def _emit(self, event: AgentEvent) -> None:
        """What the agent says goes to the feed; its first word tells that it began."""
        self._began = self._began or isinstance(event, RunStarted)
        self.events.emit(event)

    def _finish(self, taken: TakenTurn) -> None:
        self._run = None
        self.admission.send(Signal.RESOLVE_RUN)
        if self._began:
            self.updated_at = self._clock()
            self._commit()
        else:
            self.deferred = put_back(self.deferred, taken)
            if self._transcript != self.committed:
                self._transcript.replace_all(self.committed.view())
        self.admission.send(Signal.FINALIZE_TURN)
        self._ended.set()
        if self.admission.phase is Phase.SHUTTING_DOWN:
            self._close()

    def interrupt(self) -> None:
        """Cancels the run. It stops at once, repairs its transcript and ends as cancelled.

        A second one, while the first takes effect, changes nothing. Raises ``SessionNotRunning``.
        """
        already = self.admission.interrupted
        self.admission.send(Signal.REQUEST_INTERRUPT)
        if self._run is not None and not already:
            self._run.cancel()

    # -- the end -------------------------------------------------------------------------------

    def shut_down(self, *, when_closed: Callable[[], None] | None = None) -> None:
        """Takes no more turns. Closes, and says so, at once or when the present run has ended."""
        self._when_closed = when_closed
        self.admission.send(Signal.REQUEST_SHUTDOWN)
        if not self.admission.is_active:
            self._close()

    def _close(self) -> None:
        self.events.close()
        if self._when_closed is not None:
            self._when_closed()

    async def ended(self) -> None:
        """Waits until no run is going on."""
        await self._ended.wait()

    # -- looks: never wait ---------------------------------------------------------------------

    def _commit(self) -> None:
        """What is here now is what reads answer from, until the next commit. Costs no history."""
        self.committed = self._transcript.fork()
        usage = self._agent.usage
        self._view = SessionView(
            state=SessionInfo(
                session_id=self.id,
                created_at=self.created_at,
                updated_at=self.updated_at,
                message_count=len(self.committed),
                is_active=False,
                model=self._agent.model,
                provider=self._agent.provider,
                last_assistant_text=self.committed.last_assistant_text,
                labels=self.labels,
            ),
            billing=SessionUsage(total_tokens=usage.total, usage=usage),
        )

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


def _first_turn(request: CreateSessionRequest, *, now: int) -> DeferredTurnState:
    """A deferred create arms the first turn, and stages its prompt if it says so (DEF-1)."""
    if request.initial_turn != "defer":
        return DeferredTurnState()
    armed = arm(DeferredTurnState())
    if request.deferred_prompt_policy == "discard":
        return armed
    return stage_initial_prompt(armed, request.prompt, now=now)


def _cancels_of_this_task() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()
