"""The sessions that can take a turn now: what both services do with them.

The rule: a session is found here by its id or not at all; whoever holds a ``LiveSession`` outside
has it for one call.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Generator, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.build_state import MobToolAuthorityContext
from meerkat_mob.core.content import has_video
from meerkat_mob.core.deferred_turn import stage_tool_results
from meerkat_mob.core.events import EventEnvelope, RunResult
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.inputs import ApplyOutput, Boundary
from meerkat_mob.core.messages import ToolResult
from meerkat_mob.core.metadata import SessionLlmIdentity, identity_of
from meerkat_mob.core.requests import CreateSessionRequest, SessionBuildOptions, StartTurnRequest
from meerkat_mob.core.session import fork_at
from meerkat_mob.core.system_context import AppendStatus, PendingAppend, stage_append
from meerkat_mob.core.tool_visibility import ToolFilter
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import (
    AgentError,
    InvalidParams,
    MeerkatError,
    NoPendingBoundary,
    SessionNotFound,
    SessionNotRunning,
)
from meerkat_mob.llm.client import LlmClient
from meerkat_mob.sessions.ledger import Ledger, StreamFacts
from meerkat_mob.sessions.live import LiveSession
from meerkat_mob.sessions.opening import first_state
from meerkat_mob.sessions.recovery import RecoveryOverrides, build_recovered_session
from meerkat_mob.sessions.run import RunInbox, Ticket, TurnEnd
from meerkat_mob.sessions.service import BuildAgent
from meerkat_mob.sessions.state import SessionState, document_of


class LiveSessions(ABC):
    """Sessions by id. ``max_sessions`` bounds how many live at a time (EPH-1)."""

    def __init__(
        self,
        *,
        build_agent: BuildAgent,
        clock: Clock,
        ids: Callable[[], str],
        max_sessions: int = 10_000,
    ) -> None:
        self._build_agent, self._clock, self._ids = build_agent, clock, ids
        self._max_sessions = max_sessions
        self._live: dict[str, LiveSession] = {}
        self._opening: set[str] = set()
        self._draining: dict[str, LiveSession] = {}
        self._awaited: dict[str, asyncio.Future[None]] = {}

    # -- what the two services do differently --------------------------------------------------

    @abstractmethod
    def _is_taken(self, session_id: str) -> bool:
        """Whether the id belongs to a session that does not live."""

    @abstractmethod
    def _ledger(self, session_id: str) -> Ledger:
        """Where a new session is kept."""

    @abstractmethod
    async def _session(self, session_id: str) -> LiveSession:
        """The session, ready for a turn. Raises ``SessionNotFound``."""

    @abstractmethod
    async def _look(self, session_id: str) -> SessionState:
        """What a session is as of its last run. Raises ``SessionNotFound``."""

    # -- life ----------------------------------------------------------------------------------

    async def create_session(self, request: CreateSessionRequest) -> RunResult:
        """See ``SessionService.create_session``."""
        session = await self._create(request)
        if request.initial_turn == "defer":
            return RunResult(text="", session_id=session.id, usage=Usage())
        turn = StartTurnRequest(
            prompt=request.prompt,
            render_metadata=request.render_metadata,
            skill_references=request.skill_references,
        )
        try:
            return _result(await session.start_turn(turn))
        except MeerkatError as error:
            error.session_id = session.id
            raise

    async def _create(self, request: CreateSessionRequest) -> LiveSession:
        return await self._create_new(request)

    async def _create_new(self, request: CreateSessionRequest) -> LiveSession:
        """A session under an id that nobody has or had."""
        wanted = request.build.session_id
        session_id = self._ids() if wanted is UNSET else wanted
        with self._place_for(session_id):
            state = first_state(request, session_id=session_id, now=self._clock())
            session = self._awaken(state, request, self._ledger(session_id))
            await session.open()
            self._register(session)
        return session

    def _awaken(
        self, state: SessionState, request: CreateSessionRequest, ledger: Ledger
    ) -> LiveSession:
        return LiveSession(
            state,
            request,
            build_agent=self._build_agent,
            ledger=ledger,
            clock=self._clock,
            ids=self._ids,
        )

    @contextlib.contextmanager
    def _place_for(self, session_id: str, *, known: bool = False) -> Generator[None, None, None]:
        """Room for one more, under an id that nobody else gets meanwhile."""
        taken = session_id in self._live or session_id in self._draining
        if taken or session_id in self._opening:
            raise AgentError(f"session {session_id} exists already: choose another id")
        if not known and self._is_taken(session_id):
            raise AgentError(f"session {session_id} exists already: choose another id")
        if len(self._live) + len(self._opening) >= self._max_sessions:
            raise AgentError(
                f"max sessions reached ({self._max_sessions}): archive some, or raise max_sessions"
            )
        self._opening.add(session_id)
        try:
            yield
        finally:
            self._opening.discard(session_id)

    def _register(self, session: LiveSession) -> None:
        self._live[session.id] = session
        if awaited := self._awaited.pop(session.id, None):
            awaited.set_result(None)

    async def wait_session_registered(self, session_id: str) -> None:
        """Waits until a session lives; its first turn may still be going on (EPH-3)."""
        while session_id not in self._live:
            future = self._awaited.get(session_id)
            if future is None:
                future = self._awaited[session_id] = asyncio.get_running_loop().create_future()
            await asyncio.shield(future)

    async def start_turn(self, session_id: str, request: StartTurnRequest) -> RunResult:
        """See ``SessionService.start_turn``."""
        session = await self._session(session_id)
        return _result(await session.start_turn(request))

    async def interrupt(self, session_id: str) -> None:
        """See ``SessionService.interrupt``."""
        self._alive(session_id).interrupt()

    def _alive(self, session_id: str) -> LiveSession:
        session = self._live.get(session_id)
        if session is None:
            raise SessionNotFound(session_id=session_id)
        return session

    async def fork_session(
        self,
        session_id: str,
        *,
        at: int | None = None,
        new_id: str | UnsetType = UNSET,
        overrides: RecoveryOverrides | None = None,
    ) -> str:
        """See ``SessionService.fork_session``."""
        now = self._clock()
        source = await self._look(session_id)
        document = document_of(msgspec.structs.replace(source, archived=False))
        count = len(document.history) if at is None else at
        name = self._ids() if new_id is UNSET else new_id
        if overrides is None:
            live = self._live.get(session_id)
            had = live.request.build if live else SessionBuildOptions()
            overrides = RecoveryOverrides(external_tools=had.external_tools, hooks=had.hooks)
        forked = fork_at(document, count, name, now=now)
        return (await self._create_new(build_recovered_session(forked, overrides))).id

    async def live_session_llm_identity(self, session_id: str) -> SessionLlmIdentity:
        """See ``SessionService.live_session_llm_identity``."""
        return identity_of(self._alive(session_id).kept.metadata)

    async def archive(self, session_id: str) -> None:
        """See ``SessionService.archive``. A running turn ends first, for its own caller."""
        session = await self._session(session_id)
        await session.keep(as_archived, then=lambda: self._drain(session))
        await session.closed()

    async def discard_live_session(self, session_id: str) -> None:
        """See ``SessionService.discard_live_session``. A running turn is interrupted."""
        session = self._alive(session_id)
        self._drain(session)
        await _end(session)

    def _drain(self, session: LiveSession) -> None:
        """Takes a session out of life; it is gone when its run has ended."""
        self._live.pop(session.id, None)
        self._draining[session.id] = session
        session.shut_down(when_closed=lambda: self._drained(session))

    def _drained(self, session: LiveSession) -> None:
        self._draining.pop(session.id, None)

    async def aclose(self) -> None:
        """See ``SessionService.aclose``."""
        ending = (*self._live.values(), *self._draining.values())
        for session in tuple(self._live.values()):
            self._drain(session)
        async with asyncio.TaskGroup() as group:
            for session in ending:
                group.create_task(_end(session))

    # -- what lasts, beside turns --------------------------------------------------------------

    async def append_system_context(
        self,
        session_id: str,
        text: str,
        *,
        source: str | UnsetType = UNSET,
        idempotency_key: str | UnsetType = UNSET,
    ) -> AppendStatus:
        """See ``SessionService.append_system_context``."""

        def change(kept: SessionState) -> tuple[SessionState, AppendStatus]:
            context, status = stage_append(
                kept.context,
                text,
                now=self._clock(),
                source=source,
                key=idempotency_key,
                session_id=session_id,
            )
            if context is kept.context:
                return kept, status
            return msgspec.structs.replace(kept, context=context), status

        session = await self._session(session_id)
        return await session.keep(change)

    async def stage_tool_results(self, session_id: str, results: Sequence[ToolResult]) -> int:
        """See ``SessionService.stage_tool_results``."""
        if any(has_video(result.content) for result in results):
            raise InvalidParams(
                what="a tool's result holds no video", path="results", hint="send text or images"
            )

        def change(kept: SessionState) -> tuple[SessionState, int]:
            named = [
                msgspec.structs.replace(r, content=kept.transcript.keep_images(r.content))
                for r in results
            ]
            deferred, count = stage_tool_results(kept.deferred, named, now=self._clock())
            if not count:
                return kept, 0
            return msgspec.structs.replace(kept, deferred=deferred), count

        session = await self._session(session_id)
        return await session.keep(change)

    async def update_session_keep_alive(self, session_id: str, *, keep_alive: bool) -> None:
        """See ``SessionService.update_session_keep_alive``."""

        def change(kept: SessionState) -> tuple[SessionState, None]:
            if kept.metadata.keep_alive == keep_alive:
                return kept, None
            metadata = msgspec.structs.replace(kept.metadata, keep_alive=keep_alive)
            return msgspec.structs.replace(kept, metadata=metadata), None

        await (await self._session(session_id)).keep(change)

    async def update_session_mob_authority_context(
        self, session_id: str, context: MobToolAuthorityContext | None
    ) -> None:
        """See ``SessionService.update_session_mob_authority_context``."""

        def change(kept: SessionState) -> tuple[SessionState, None]:
            given = UNSET if context is None else context
            if kept.build.mob_tool_authority_context == given:
                return kept, None
            build = msgspec.structs.replace(kept.build, mob_tool_authority_context=given)
            return msgspec.structs.replace(kept, build=build), None

        await (await self._session(session_id)).keep(change)

    async def set_session_tool_filter(self, session_id: str, tools: ToolFilter) -> None:
        """See ``SessionService.set_session_tool_filter``."""

        def change(kept: SessionState) -> tuple[SessionState, None]:
            state = kept.visibility
            if state.staged_filter == tools:
                return kept, None
            visibility = msgspec.structs.replace(
                state, staged_filter=tools, staged_revision=state.staged_revision + 1
            )
            return msgspec.structs.replace(kept, visibility=visibility), None

        await (await self._session(session_id)).keep(change)

    async def set_session_client(self, session_id: str, client: LlmClient) -> None:
        """See ``SessionService.set_session_client``."""
        (await self._session(session_id)).swap_client(client)

    async def hot_swap_session_llm_identity(
        self, session_id: str, client: LlmClient, identity: SessionLlmIdentity
    ) -> None:
        """See ``SessionService.hot_swap_session_llm_identity``."""
        await (await self._session(session_id)).swap(client, identity)

    def cancel_all_checkpointers(self) -> None:
        """See ``SessionService.cancel_all_checkpointers``."""
        for session in self._live.values():
            session.gate_open = False

    def rearm_all_checkpointers(self) -> None:
        """See ``SessionService.rearm_all_checkpointers``."""
        for session in self._live.values():
            session.gate_open = True

    # -- looks ---------------------------------------------------------------------------------

    async def has_live_session(self, session_id: str) -> bool:
        """See ``SessionService.has_live_session``."""
        return session_id in self._live

    def subscribe_session_events(
        self, session_id: str, *, after: int | None = None
    ) -> AsyncGenerator[EventEnvelope, None]:
        """See ``SessionService.subscribe_session_events``."""
        return self._alive(session_id).events.subscribe(after)

    def watch_session_events(
        self, session_id: str, watcher: Callable[[EventEnvelope], None]
    ) -> Callable[[], None]:
        """See ``SessionService.watch_session_events``."""
        return self._alive(session_id).events.watch(watcher)

    async def append_facts(
        self,
        session_id: str,
        facts: StreamFacts,
        *,
        then: Callable[[], None] | None = None,
    ) -> None:
        """See ``SessionService.append_facts``."""
        await (await self._session(session_id)).append(facts, then=then)

    # -- the runtime's side --------------------------------------------------------------------

    async def apply_runtime_turn(
        self,
        session_id: str,
        run_id: str,
        request: StartTurnRequest,
        boundary: Boundary,
        contributing_input_ids: tuple[str, ...],
        *,
        inbox: RunInbox | None = None,
    ) -> ApplyOutput:
        """See ``SessionService.apply_runtime_turn``."""
        session = await self._session(session_id)
        ticket = Ticket(
            run_id=run_id, boundary=boundary, input_ids=contributing_input_ids, inbox=inbox
        )
        return _output(await session.start_turn(request, ticket))

    async def apply_runtime_context_appends(
        self,
        session_id: str,
        run_id: str,
        appends: Sequence[PendingAppend],
        contributing_input_ids: tuple[str, ...],
        *,
        inbox: RunInbox | None = None,
    ) -> ApplyOutput:
        """See ``SessionService.apply_runtime_context_appends``."""
        session = await self._session(session_id)
        ticket = Ticket(
            run_id=run_id, boundary="immediate", input_ids=contributing_input_ids, inbox=inbox
        )
        return _output(await session.write_context(appends, ticket))


async def _end(session: LiveSession) -> None:
    with contextlib.suppress(SessionNotRunning):
        session.interrupt()
    await session.closed()


def as_archived(kept: SessionState) -> tuple[SessionState, None]:
    """The change that takes a session out of life for good."""
    return msgspec.structs.replace(kept, archived=True), None


def _result(end: TurnEnd) -> RunResult:
    if end.result is None:
        raise NoPendingBoundary  # not reached: only a run with a ticket may end without one
    return end.result


def _output(end: TurnEnd) -> ApplyOutput:
    if end.receipt is None:
        raise AgentError("the run left no receipt; report this")  # not reached
    return ApplyOutput(receipt=end.receipt, result=end.result, pending=end.pending)
