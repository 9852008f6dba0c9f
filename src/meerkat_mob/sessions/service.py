"""What every session service promises (spec sessions 2.3), and what it shows of a session.

An agent is a protocol here: this room knows the life of sessions, not how a run thinks.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Protocol

from msgspec import UNSET, UnsetType

from meerkat_mob.core.build_state import MobToolAuthorityContext
from meerkat_mob.core.compaction import Discarded
from meerkat_mob.core.content import Content
from meerkat_mob.core.events import AgentEvent, EventEnvelope, RunResult
from meerkat_mob.core.inputs import ApplyOutput, Boundary
from meerkat_mob.core.messages import RenderMetadata, ToolResult, UserMessage
from meerkat_mob.core.metadata import SessionLlmIdentity
from meerkat_mob.core.requests import CreateSessionRequest, StartTurnRequest
from meerkat_mob.core.run_context import RunContext
from meerkat_mob.core.session import Session
from meerkat_mob.core.system_context import AppendStatus, PendingAppend
from meerkat_mob.core.tool_visibility import ToolFilter
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.core.usage import Usage
from meerkat_mob.llm.client import LlmClient
from meerkat_mob.sessions.ledger import StreamFacts
from meerkat_mob.sessions.recovery import RecoveryOverrides
from meerkat_mob.sessions.run import RunInbox
from meerkat_mob.sessions.views import (
    SessionHistory,
    SessionQuery,
    SessionSummary,
    SessionView,
)
from meerkat_mob.store import Record


class SessionAgent(Protocol):
    """What a session needs of an agent."""

    @property
    def usage(self) -> Usage:
        """What all its runs consumed."""
        ...

    @usage.setter
    def usage(self, usage: Usage, /) -> None: ...

    @property
    def model(self) -> str:
        """The model's name."""
        ...

    @property
    def provider(self) -> str:
        """Who answers for it."""
        ...

    async def run(
        self,
        prompt: Content,
        *,
        preface: Sequence[UserMessage] = (),
        render_metadata: RenderMetadata | UnsetType = ...,
        skills: Sequence[str] = (),
    ) -> RunResult:
        """A run from a prompt; see ``meerkat_mob.agent.Agent.run``."""
        ...

    async def run_pending(self) -> RunResult:
        """A run that continues; see ``meerkat_mob.agent.Agent.run_pending``."""
        ...

    async def aclose(self) -> None:
        """Ends what it does beside its runs. It runs no more."""
        ...

    def swap(self, client: LlmClient, identity: SessionLlmIdentity) -> None:
        """Another client for the calls to come, and who it is asked as."""
        ...


class BuildAgent(Protocol):
    """Makes the agent of a session over its transcript; starts nothing."""

    def __call__(
        self,
        request: CreateSessionRequest,
        *,
        session_id: str,
        transcript: Transcript,
        emit: Callable[[AgentEvent], None],
        context: RunContext,
    ) -> SessionAgent:
        """The agent, or what its builder refuses with."""
        ...


class SessionService(Protocol):
    """The life of many sessions. Every home passes ``meerkat_mob.testing.session_contract``."""

    @property
    def supports_persistent_sessions(self) -> bool:
        """Whether sessions outlive the process. Ask this, never the platform."""
        ...

    async def create_session(self, request: CreateSessionRequest) -> RunResult:
        """Builds and registers a session, then runs its first turn unless deferred (SVC-1).

        It can be read and interrupted from registration on. Raises ``AgentError`` when the
        service is full or the id is taken; a failing first turn raises too, with ``session_id``
        set on the error, and leaves the session usable (SVC-11).
        """
        ...

    async def start_turn(self, session_id: str, request: StartTurnRequest) -> RunResult:
        """One run, from admission to commit.

        Raises ``SessionNotFound``, ``SessionBusy`` at once (SVC-2), ``SessionUnsupported`` for a
        late system prompt, ``NoPendingBoundary`` when there is nothing to do, ``RunCancelled``
        after an interrupt, ``AgentError`` when the run fails.
        """
        ...

    async def interrupt(self, session_id: str) -> None:
        """Cancels the running turn; ``SessionNotRunning`` when there is none (SVC-3)."""
        ...

    async def has_live_session(self, session_id: str) -> bool:
        """Whether the session is in memory, ready for a turn."""
        ...

    async def wait_session_registered(self, session_id: str) -> None:
        """Waits until a session lives; its first turn may still be going on (EPH-3)."""
        ...

    async def fork_session(
        self,
        session_id: str,
        *,
        at: int | None = None,
        new_id: str | UnsetType = UNSET,
        overrides: RecoveryOverrides | None = None,
    ) -> str:
        """A second session with the same past, or its first ``at`` messages; returns its id.

        Usage and metadata are whole (SES-5). Without ``overrides`` it gets the tools of the live
        session. A run that goes on does not show in it. Raises what ``create_session`` raises.
        """
        ...

    # -- control -------------------------------------------------------------------------------

    async def append_system_context(
        self,
        session_id: str,
        text: str,
        *,
        source: str | UnsetType = UNSET,
        idempotency_key: str | UnsetType = UNSET,
    ) -> AppendStatus:
        """A note for the next run: part of what its model is asked, never of the transcript.

        A key is known for ever: the same text and source again is ``duplicate`` (SES-20). Raises
        ``InvalidParams`` for blank text, ``SystemContextConflict``, ``SessionNotFound``.
        """
        ...

    async def stage_tool_results(self, session_id: str, results: Sequence[ToolResult]) -> int:
        """Keeps results of tools that somebody else ran, for the next turn; returns how many.

        Raises ``InvalidParams`` for a video in them, ``SessionNotFound``.
        """
        ...

    async def update_session_keep_alive(self, session_id: str, *, keep_alive: bool) -> None:
        """Whether the session stays awake: kept at once, whatever becomes of a turn (SVC-12)."""
        ...

    async def update_session_mob_authority_context(
        self, session_id: str, context: MobToolAuthorityContext | None
    ) -> None:
        """What the session may do to mobs: kept at once; None clears it."""
        ...

    async def set_session_tool_filter(self, session_id: str, tools: ToolFilter) -> None:
        """Which tools the model sees: kept at once, in force from the next model call on."""
        ...

    async def set_session_client(self, session_id: str, client: LlmClient) -> None:
        """Another client for later calls. Lives as long as the session does in memory."""
        ...

    async def hot_swap_session_llm_identity(
        self, session_id: str, client: LlmClient, identity: SessionLlmIdentity
    ) -> None:
        """Another client and what is kept of who answers, in one step."""
        ...

    async def live_session_llm_identity(self, session_id: str) -> SessionLlmIdentity:
        """Who answers in a live session."""
        ...

    def cancel_all_checkpointers(self) -> None:
        """Closes the gates of all live sessions: their runs write nothing before their ends.

        Everything else is kept as ever: ends of runs, appends, staged results, setters (PER-22).
        """
        ...

    def rearm_all_checkpointers(self) -> None:
        """Opens the gates again."""
        ...

    async def read(self, session_id: str) -> SessionView:
        """The last committed view. Never waits for a run (SVC-4)."""
        ...

    async def list(self, query: SessionQuery) -> Sequence[SessionSummary]:
        """Sessions that are not archived, in the order they were made.

        Raises ``InvalidParams`` for labels that are no texts.
        """
        ...

    async def read_history(
        self, session_id: str, *, offset: int = 0, limit: int | None = None
    ) -> SessionHistory:
        """Committed messages."""
        ...

    async def archive(self, session_id: str) -> None:
        """Takes the session out of life for good; a running turn may end first (SVC-5)."""
        ...

    async def discard_live_session(self, session_id: str) -> None:
        """Drops the live session without a trace."""
        ...

    def subscribe_session_events(
        self, session_id: str, *, after: int | None = None
    ) -> AsyncGenerator[EventEnvelope, None]:
        """Events after a number, or from now; works before the first turn."""
        ...

    def watch_session_events(
        self, session_id: str, watcher: Callable[[EventEnvelope], None]
    ) -> Callable[[], None]:
        """Calls ``watcher`` with each event, at once; returns how to stop that."""
        ...

    async def export_session(self, session_id: str) -> Session:
        """The whole session as a document, as of its last run."""
        ...

    async def append_facts(
        self,
        session_id: str,
        facts: StreamFacts,
        *,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Keeps facts of the session's runtime in the session's own stream.

        ``then`` is done in the step of the commit. Raises
        ``DuplicateKey``, other ``StoreError``, and ``SessionNotFound``.
        """
        ...

    async def read_discarded(self, session_id: str, known: int = 0) -> Discarded | None:
        """What compactions took out of a history; None when ``known`` is where it stands.

        ``known`` is ``Discarded.at`` of an earlier answer; 0 knows nothing. Raises
        ``SessionNotFound`` and ``StoreError``.
        """
        ...

    async def read_facts(
        self, session_id: str, *, after: int = 0, limit: int = 1000
    ) -> tuple[Record, ...]:
        """What is stored of a session, in order; nothing where nothing is stored."""
        ...

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
        """One run with its receipt (EPH-30). ``NoPendingBoundary`` is a success without result.

        ``inbox`` is told of each fact about the inputs in the step in which it is kept, and asked
        at the run's boundaries for inputs that are to join it.
        """
        ...

    async def apply_runtime_context_appends(
        self,
        session_id: str,
        run_id: str,
        appends: Sequence[PendingAppend],
        contributing_input_ids: tuple[str, ...],
        *,
        inbox: RunInbox | None = None,
    ) -> ApplyOutput:
        """Writes context into the System message for good; no model is asked (EPH-32)."""
        ...

    async def aclose(self) -> None:
        """Interrupts every run, awaits their ends, and drops all live sessions. Idempotent."""
        ...
