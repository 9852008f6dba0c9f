"""What every session service promises (spec sessions 2.3), and what it shows of a session.

An agent is a protocol here: this room knows the life of sessions, not how a run thinks.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import UnsetType

from meerkat_mob.core.content import Content
from meerkat_mob.core.events import AgentEvent, EventEnvelope, RunResult
from meerkat_mob.core.inputs import ApplyOutput, Boundary
from meerkat_mob.core.messages import Message, RenderMetadata, UserMessage
from meerkat_mob.core.requests import CreateSessionRequest, StartTurnRequest
from meerkat_mob.core.session import Session
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.core.usage import Usage


class SessionAgent(Protocol):
    """What a session needs of an agent. ``usage`` is cumulative over its runs."""

    usage: Usage

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
    ) -> RunResult:
        """A run from a prompt; see ``meerkat_mob.agent.Agent.run``."""
        ...

    async def run_pending(self) -> RunResult:
        """A run that continues; see ``meerkat_mob.agent.Agent.run_pending``."""
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
    ) -> SessionAgent:
        """The agent, or what its builder refuses with."""
        ...


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The state of a session as of its last finished run; times in ms UTC."""

    session_id: str
    created_at: int
    updated_at: int
    message_count: int
    is_active: bool
    model: str
    provider: str
    last_assistant_text: str | None
    labels: Mapping[str, str]


class SessionUsage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a session has consumed."""

    total_tokens: int
    usage: Usage


class SessionView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A session read."""

    state: SessionInfo
    billing: SessionUsage


class SessionSummary(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A session listed."""

    session_id: str
    created_at: int
    updated_at: int
    message_count: int
    total_tokens: int
    is_active: bool
    labels: Mapping[str, str]


class SessionQuery(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which sessions to list. Labels must all match; then offset, then limit."""

    limit: int | None = None
    offset: int = 0
    labels: Mapping[str, str] = {}


class SessionHistory(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A page of committed messages, oldest first; ``offset`` is cut to the count."""

    session_id: str
    message_count: int
    offset: int
    limit: int | None
    has_more: bool
    messages: tuple[Message, ...]


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
        """Whether the session can take a turn."""
        ...

    async def read(self, session_id: str) -> SessionView:
        """The last committed view. Never waits for a run (SVC-4)."""
        ...

    async def list(self, query: SessionQuery) -> Sequence[SessionSummary]:
        """Live sessions in the order they were made."""
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
        """The whole session as a document. Costs as much as the history is long."""
        ...

    async def apply_runtime_turn(
        self,
        session_id: str,
        run_id: str,
        request: StartTurnRequest,
        boundary: Boundary,
        contributing_input_ids: tuple[str, ...],
    ) -> ApplyOutput:
        """One run with its receipt (EPH-30). ``NoPendingBoundary`` is a success without result."""
        ...

    async def aclose(self) -> None:
        """Interrupts every run, awaits their ends, and drops all live sessions. Idempotent."""
        ...
