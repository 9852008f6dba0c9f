"""A live session: its transcript, its agent, its events, and the one run it may have.

Rule: from admission to the end of a run the session answers reads from what was last committed;
memory never runs ahead of what was kept; and whatever ends a run leaves the session ready for the
next one. A turn that ends before its agent began is as if it had never started (SES-13).
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET

from meerkat_mob.core.blobs import Blob
from meerkat_mob.core.compaction import Compacted
from meerkat_mob.core.content import Content, has_video
from meerkat_mob.core.deferred_turn import allows_build_overrides
from meerkat_mob.core.events import AgentEvent, RunOver, RunResult, RunStarted
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.inputs import Receipt
from meerkat_mob.core.messages import Message, ToolResult, ToolUseData
from meerkat_mob.core.metadata import SessionLlmIdentity, identity_of, with_identity
from meerkat_mob.core.repair import OUTCOME_UNKNOWN, close_open_calls
from meerkat_mob.core.requests import CreateSessionRequest, StartTurnRequest
from meerkat_mob.core.run_context import News
from meerkat_mob.core.system_context import PendingAppend, render_prompt
from meerkat_mob.core.tool_visibility import ToolsInForce
from meerkat_mob.core.tools import callback_pending
from meerkat_mob.errors import (
    CallbackPending,
    InvalidParams,
    NoPendingBoundary,
    RunCancelled,
    SessionNotFound,
    SessionUnsupported,
)
from meerkat_mob.llm.client import LlmClient
from meerkat_mob.sessions.admission import Admission, Phase, Signal
from meerkat_mob.sessions.facts import Applied, RunFact
from meerkat_mob.sessions.feed import EventFeed
from meerkat_mob.sessions.fold import head_of
from meerkat_mob.sessions.form import insist_on_form, insist_on_params, keepable
from meerkat_mob.sessions.ledger import Ledger, StreamFacts
from meerkat_mob.sessions.run import Run, RunInbox, Steered, Ticket, TurnEnd
from meerkat_mob.sessions.service import BuildAgent
from meerkat_mob.sessions.state import SessionState, with_answerer
from meerkat_mob.sessions.views import SessionSummary, SessionView, summary_of, view_of
from meerkat_mob.store import to_the_end

T = TypeVar("T")
Change: TypeAlias = Callable[[SessionState], tuple[SessionState, T]]
"""From what is kept to what shall be, with an answer. The same state back is no change."""
Work: TypeAlias = Callable[[Run], Awaitable[RunResult | None]]

EVENTS: Final = 1_000_000
"""Event numbers reserved at a time: more than a run says between two commits."""
TAKES_VIDEO: Final = frozenset({"gemini", "scripted"})
"""Providers that a video can be sent to. The others would lose it, so they are not asked."""


class LiveSession:
    """A session that can take a turn. The service owns it and nobody else keeps it.

    ``kept`` is what was committed last; ``shown`` is the same without the messages of a run that
    goes on. ``gate_open`` says whether checkpoints are written. ``discarded`` is what compactions
    took out, where no store has it.
    """

    def __init__(
        self,
        state: SessionState,
        request: CreateSessionRequest,
        *,
        build_agent: BuildAgent,
        ledger: Ledger,
        clock: Clock,
        ids: Callable[[], str],
    ) -> None:
        self.id: Final = state.session_id
        self.request: Final = request
        self.events: Final = EventFeed(
            f"session:{self.id}", clock=clock, ids=ids, after=state.events_until
        )
        self.admission: Final = Admission(self.id)
        self.gate_open = True
        self.discarded: Final[list[Message]] = []
        self._transcript: Final = state.transcript.fork()
        self._agent: Final = build_agent(
            request,
            session_id=self.id,
            transcript=self._transcript,
            emit=self._emit,
            context=self,
        )
        self._agent.usage = state.usage
        self.refuse_video(request.prompt)
        self.kept = with_answerer(state, self._agent.provider)
        self.shown = self.kept
        self._ledger, self._lock = ledger, asyncio.Lock()
        self._run: Run | None = None
        self._changing, self._closed = 0, asyncio.Event()
        self._when_closed: Callable[[], None] | None = None

    async def open(self, stored: SessionState | None = None) -> None:
        """Keeps the beginning of a new session, or how one that is ``stored`` goes on.

        Raises ``StoreError``.
        """
        after = msgspec.structs.replace(self.kept, events_until=self.events.last + EVENTS)
        install = self._installing(after, shown=after)
        if stored is None:
            await self._ledger.open(after, install)
        else:
            await self._ledger.keep(stored, after, (), install)

    # -- what lasts ----------------------------------------------------------------------------

    async def keep(self, change: Change[T], *, then: Callable[[], None] | None = None) -> T:
        """Commits a change of what lasts, now; ``then`` is done in the step of the commit.

        Raises what ``change`` raises, ``InvalidParams`` for what could not be read back,
        ``StoreError``, and ``SessionNotFound`` once archived.
        """
        async with self._at_rest_or_not():
            kept = self.kept
            after, answer = change(kept)
            if after is not kept:
                insist_on_form(after, kept)
                shown = after if self.shown is kept else change(self.shown)[0]
                install = self._installing(after, shown, then)
                await self._ledger.keep(kept, after, (), install)
            return answer

    async def append(
        self,
        facts: StreamFacts,
        *,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Keeps facts that belong to somebody else, in this session's stream.

        Raises ``DuplicateKey`` and other ``StoreError``, and ``SessionNotFound`` once archived.
        """
        async with self._at_rest_or_not():
            install = self._installing(self.kept, self.shown, then)
            await self._ledger.append(self.kept, facts, install)

    @asynccontextmanager
    async def _at_rest_or_not(self) -> AsyncGenerator[None, None]:
        """One change at a time, beside a run or without one. It closes only behind the last."""
        self._changing += 1
        try:
            async with self._lock:
                if self.kept.archived:
                    raise SessionNotFound(session_id=self.id)
                yield
        finally:
            self._changing -= 1
            self._close_when_over()

    async def swap(self, client: LlmClient, identity: SessionLlmIdentity) -> None:
        """Another client for later calls, with what is kept of who answers, in one step."""
        insist_on_params(identity.provider_params)

        def change(kept: SessionState) -> tuple[SessionState, None]:
            metadata = with_identity(kept.metadata, identity)
            after = msgspec.structs.replace(kept, metadata=metadata, answered_by=client.provider)
            return after, None

        await self.keep(change, then=lambda: self._agent.swap(client, identity))

    def swap_client(self, client: LlmClient) -> None:
        """Another client for later calls. Nothing of it is kept."""
        self._agent.swap(client, identity_of(self.kept.metadata))

    def _installing(
        self, after: SessionState, shown: SessionState, then: Callable[[], None] | None = None
    ) -> Callable[[int], None]:
        def install(at: int) -> None:
            kept = self.kept = msgspec.structs.replace(after, updated_at=at)
            same = shown is after
            self.shown = kept if same else msgspec.structs.replace(shown, updated_at=at)
            if then is not None:
                then()

        return install

    def _roll_back(self) -> None:
        self._transcript.restore(self.kept.transcript)
        self._agent.usage = self.kept.usage

    # -- turns ---------------------------------------------------------------------------------

    async def start_turn(self, request: StartTurnRequest, ticket: Ticket | None = None) -> TurnEnd:
        """One run, from admission to commit. Its errors are those of ``SessionService``."""
        self.refuse_video(request.prompt, *(message.content for message in request.preface))
        self.admission.send(Signal.REQUEST_START_TURN)
        if request.system_prompt is not None and not allows_build_overrides(self.kept.deferred):
            self.admission.send(Signal.ABORT)
            raise SessionUnsupported(
                what="a system prompt is taken by the first turn of a deferred session only: "
                "create a new session for another one",
                session_id=self.id,
            )
        return await self._go(Run(request, self.kept, ticket), self._ask_agent)

    async def write_context(self, appends: Sequence[PendingAppend], ticket: Ticket) -> TurnEnd:
        """Writes context into the System message for good; asks no model (SES-23b, EPH-32)."""

        async def write(_: Run) -> None:
            if appends:
                prompt = render_prompt(self._transcript.system_prompt or "", appends)
                with keepable("appends"):
                    self._transcript.set_system_prompt(prompt)

        self.admission.send(Signal.REQUEST_START_TURN)
        return await self._go(Run(StartTurnRequest(), self.kept, ticket), write)

    async def _go(self, run: Run, work: Work) -> TurnEnd:
        self.admission.send(Signal.BEGIN_RUN)
        self._run = run
        run.task = asyncio.create_task(
            self._to_its_end(run, work), name=f"run of session {self.id}"
        )
        try:
            return await asyncio.shield(run.task)
        except asyncio.CancelledError:  # whoever asked for the run has gone: it ends, and is kept
            run.cut_off()
            with suppress(Exception):
                await to_the_end(run.task)
            raise

    async def _to_its_end(self, run: Run, work: Work) -> TurnEnd:
        result, receipt = None, None
        error: Exception | None = None
        unkept: Exception | None = None
        try:
            run.insist()
            result = await work(run)
        except asyncio.CancelledError:
            if run.task is not None:
                run.task.uncancel()
            error = RunCancelled()
        except Exception as fault:  # whatever it is, the run must end in order
            error = fault
        run.over = True
        self.admission.send(Signal.RESOLVE_RUN)
        try:
            receipt = await self._conclude(run, error)
        except Exception as fault:
            unkept = fault
        finally:
            self._finish(run, unkept)
        if unkept is not None:
            raise unkept from error
        if error is not None and receipt is None:
            raise error
        return TurnEnd(result=result, receipt=receipt, pending=run.left)

    async def _conclude(self, run: Run, error: Exception | None) -> Receipt | None:
        """Commits what the run did; what never began, or cannot be kept, has not happened.

        What is left to the next process ends here as a kill would end it.
        """
        if run.is_left and isinstance(error, RunCancelled):
            self._roll_back()
            return None
        if error is not None and not run.began:
            self._roll_back()
            if run.ticket is None or not isinstance(error, NoPendingBoundary | CallbackPending):
                return None
        try:
            async with self._lock:
                usage = self._agent.usage
                after = run.applied_to(self.kept, self._transcript, usage, ends=True)
                if self.events.last + EVENTS // 2 > after.events_until:
                    until = self.events.last + EVENTS
                    after = msgspec.structs.replace(after, events_until=until)
                ended = run.ended(after, error)
                receipt = None if ended.receipt is UNSET else ended.receipt
                install = self._installing(after, after, lambda: run.closed(receipt))
                await self._ledger.keep(self.kept, after, (ended,), install)
        except BaseException:
            self._roll_back()
            raise
        return receipt

    def _finish(self, run: Run, unkept: Exception | None) -> None:
        self._run = None
        self.shown = self.kept  # also when only its checkpoints could be kept
        self.admission.send(Signal.FINALIZE_TURN)
        word = run.last_word(self.id, unkept)
        if word is not None:
            self.events.emit(word)
        self._close_when_over()

    async def _ask_agent(self, run: Run) -> RunResult:
        """Runs a prompt, or what the transcript waits for (spec sessions 3.1, steps 5 to 7)."""
        request, prompt = run.request, run.prompt()
        if request.system_prompt is not None:
            with keepable("system_prompt"):
                self._transcript.set_system_prompt(request.system_prompt)
        continues = run.continues(prompt)
        if continues and (calls := run.missing(self._transcript)):
            run.leave(calls, ())  # nothing is taken: it waits for the rest
            raise callback_pending(calls[0])
        close_open_calls(
            self._transcript,
            run.results(),
            otherwise=OUTCOME_UNKNOWN,
            awaited=run.taken.awaited,
        )
        if continues:
            return await self._agent.run_pending()
        return await self._agent.run(
            prompt,
            preface=request.preface,
            render_metadata=request.render_metadata,
            skills=request.skill_references,
        )

    def _emit(self, event: AgentEvent) -> None:
        """What the agent says goes to the feed; that it ended is said once it is committed."""
        run = self._run
        if run is not None:
            run.began = run.began or isinstance(event, RunStarted)
            if isinstance(event, RunOver):
                run.terminal = event
                return
        self.events.emit(event)

    def refuse_video(self, *contents: Content) -> None:
        """Raises ``InvalidParams`` for a video that the model's provider takes none of (EPH-2)."""
        provider = self._agent.provider
        if provider not in TAKES_VIDEO and any(map(has_video, contents)):
            raise InvalidParams(
                what=f"{provider} takes no video",
                path="prompt",
                hint="send images or text, or choose a model that takes videos",
            )

    def interrupt(self) -> None:
        """Cancels the run. It stops at once, repairs its transcript and ends as cancelled.

        A second one, while the first takes effect, changes nothing. Raises ``SessionNotRunning``.
        """
        self.admission.send(Signal.REQUEST_INTERRUPT)
        if self._run is not None:
            self._run.cut_off()

    # -- what the agent asks: see RunContext ---------------------------------------------------

    def take_system_context(self) -> tuple[PendingAppend, ...]:
        """The notes that wait for this run."""
        return self._run.take_context() if self._run is not None else ()

    def tools_in_force(self) -> ToolsInForce:
        """What the next model call goes by."""
        return ToolsInForce() if self._run is None else self._run.take_tools(self.kept)

    def tools_before(self) -> ToolsInForce:
        """What the last run went by."""
        state = self.kept.visibility
        return ToolsInForce(
            filters=(state.inherited_base_filter, state.active_filter),
            loaded=frozenset(state.active_requested_deferred_names),
        )

    def load_tools(self, names: Iterable[str]) -> frozenset[str]:
        """The model asks for deferred tools."""
        return frozenset() if self._run is None else self._run.load_tools(self.kept, names)

    def compacted(self) -> Compacted:
        """What compactions took out of the history."""
        return self.kept.compacted if self._run is None else self._run.compacted(self.kept)

    def note_compaction(self, compacted: Compacted, gone: Sequence[Message]) -> None:
        """The run made the transcript shorter. What is gone is in the store, if there is one."""
        if self._run is not None:
            self._run.note_compaction(compacted)
        if not self._ledger.lasts:
            self.discarded.extend(gone)

    async def checkpoint(self) -> None:
        """Keeps what the run has said so far; nothing else is written while a run goes on."""
        run = self._run
        if run is None or not self._ledger.lasts or not self.gate_open:
            return
        async with self._lock:
            if self._transcript != self.kept.transcript:
                after = run.applied_to(self.kept, self._transcript, self._agent.usage)
                install = self._installing(after, self.shown, run.was_noted)
                await self._ledger.keep(self.kept, after, run.began_now(), install)

    async def steer(self) -> bool:
        """Lets inputs that came meanwhile join the run, with a receipt of their own."""
        run = self._run
        if run is None or run.ticket is None or run.ticket.inbox is None:
            return False
        ticket, inbox = run.ticket, run.ticket.inbox
        steered = inbox.steered()
        if steered is None:
            return False
        before, sequence = self._transcript.fork(), run.sequence
        try:
            self._transcript.push_batch(steered.messages)
            async with self._lock:
                await self._keep_steered(run, ticket, inbox, steered)
        except BaseException:
            if run.sequence == sequence:  # it is not kept, so it was not said
                self._transcript.restore(before)
            raise
        return True

    async def _keep_steered(
        self, run: Run, ticket: Ticket, inbox: RunInbox, steered: Steered
    ) -> None:
        after = run.applied_to(self.kept, self._transcript, self._agent.usage)
        receipt = run.receipt(ticket, after, steered.input_ids)

        def then() -> None:
            run.sequence += 1
            run.was_noted()
            inbox.applied(steered, receipt)

        facts: tuple[RunFact, ...] = (*run.began_now(), Applied(receipt=receipt))
        install = self._installing(after, self.shown, then)
        await self._ledger.keep(self.kept, after, facts, install)

    def news(self) -> News | None:
        """What the model has not been told of background work."""
        run = self._run
        inbox = None if run is None or run.ticket is None else run.ticket.inbox
        return None if inbox is None else inbox.news()

    def leave(self, calls: Sequence[ToolUseData], done: Sequence[ToolResult]) -> None:
        """The run ends with calls that somebody else runs."""
        if self._run is not None:
            keep = self._transcript.keep_images
            named = [msgspec.structs.replace(r, content=keep(r.content)) for r in done]
            self._run.leave(calls, named)

    async def blobs(self, ids: Iterable[str]) -> Mapping[str, Blob]:
        """Those of the named images that were kept."""
        return await self._ledger.blobs(ids)

    # -- the end -------------------------------------------------------------------------------

    def shut_down(self, *, when_closed: Callable[[], None] | None = None) -> None:
        """Takes no more turns. Closes, and says so, when no run and no change is going on."""
        self._when_closed = when_closed
        self.admission.send(Signal.REQUEST_SHUTDOWN)
        self._close_when_over()

    def _close_when_over(self) -> None:
        over = self.admission.phase is Phase.SHUTTING_DOWN and not self._changing
        if over and not self._closed.is_set():
            self._closed.set()
            self.events.close()
            if self._when_closed is not None:
                self._when_closed()

    async def closed(self) -> None:
        """Waits until it has closed after ``shut_down``: it writes nothing any more."""
        await self._closed.wait()
        await self._agent.aclose()

    # -- looks: never wait ---------------------------------------------------------------------

    def view(self) -> SessionView:
        """The session as of its last commit, with whether it runs now."""
        shown = self.shown
        return view_of(
            self.id, head_of(shown), at=shown.updated_at, is_active=self.admission.is_active
        )

    def summary(self) -> SessionSummary:
        """The same in a line."""
        shown = self.shown
        return summary_of(
            self.id, head_of(shown), at=shown.updated_at, is_active=self.admission.is_active
        )
