"""What a mob needs of a session service beside sessions: the runtime that feeds them.

``for_mobs`` gives a session service that interface (the seed's ``MobSessionService``). The rule: it
is a view. It owns nothing, and one service object has one adapter for as long as it lives, however
many views of it there are.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeAlias, cast, runtime_checkable

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob import _target
from meerkat_mob.core.events import EventEnvelope, RunResult
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.inputs import ApplyOutput, Boundary, Receipt
from meerkat_mob.core.messages import ToolResult, ToolUseData
from meerkat_mob.core.metadata import SessionMetadata
from meerkat_mob.core.requests import CreateSessionRequest, StartTurnRequest
from meerkat_mob.core.reserved import SESSION_METADATA
from meerkat_mob.core.session import Session, encode_session
from meerkat_mob.core.system_context import AppendStatus
from meerkat_mob.errors import AgentError, MeerkatError, SessionUnsupported
from meerkat_mob.runtime import RuntimeSessionAdapter
from meerkat_mob.sessions import (
    RunInbox,
    SessionHistory,
    SessionQuery,
    SessionService,
    SessionSummary,
    SessionView,
)

UNAVAILABLE: Final = "runtime-backed apply is unavailable for this session service"
DIGEST_FAILED: Final = "failed to serialize session for runtime receipt digest"
SNAPSHOT_FAILED: Final = "failed to serialize session snapshot for runtime commit"
_UNWRITABLE: Final = (UnicodeEncodeError, msgspec.EncodeError)
"""What says that a message has no bytes, and so no digest."""


class AppliedTurn(msgspec.Struct, frozen=True, kw_only=True):
    """What a runtime turn came to.

    ``result`` is its terminal, or the ``pending`` calls that somebody else runs; neither when
    nothing was pending. ``session`` is the whole session as of the receipt, and shares its
    history; None when it had gone on by then, or left life.
    """

    receipt: Receipt
    result: RunResult | None = None
    pending: tuple[ToolUseData, ...] = ()
    session: Session | None = None

    def snapshot(self) -> bytes | None:
        """The session encoded, now and not before: O(history). ``decode_session`` reads it.

        Raises ``AgentError`` when something in it cannot be written as JSON.
        """
        if self.session is None:
            return None
        try:
            return encode_session(self.session)
        except (TypeError, ValueError, msgspec.MsgspecError) as fault:
            raise AgentError(f"{SNAPSHOT_FAILED}: {fault}; correct its metadata") from fault


@runtime_checkable
class MobSessionService(Protocol):
    """A session service as a mob sees it (spec mob 6.1): sessions, and the runtime behind them.

    What a service does not have is answered as by a service that keeps nothing: nothing belongs to
    a mob, nothing is stored, gates and discarding do nothing, and a runtime turn is refused.
    """

    @property
    def sessions(self) -> SessionService:
        """The service itself."""
        ...

    # -- what it builds on: sessions, control, history -----------------------------------------

    async def create_session(self, request: CreateSessionRequest) -> RunResult:
        """See ``SessionService.create_session``."""
        ...

    async def start_turn(self, session_id: str, request: StartTurnRequest) -> RunResult:
        """See ``SessionService.start_turn``."""
        ...

    async def interrupt(self, session_id: str) -> None:
        """See ``SessionService.interrupt``."""
        ...

    async def has_live_session(self, session_id: str) -> bool:
        """See ``SessionService.has_live_session``."""
        ...

    async def read(self, session_id: str) -> SessionView:
        """See ``SessionService.read``."""
        ...

    async def list(self, query: SessionQuery) -> Sequence[SessionSummary]:
        """See ``SessionService.list``."""
        ...

    async def archive(self, session_id: str) -> None:
        """See ``SessionService.archive``."""
        ...

    async def append_system_context(
        self,
        session_id: str,
        text: str,
        *,
        source: str | UnsetType = UNSET,
        idempotency_key: str | UnsetType = UNSET,
    ) -> AppendStatus:
        """See ``SessionService.append_system_context``."""
        ...

    async def stage_tool_results(self, session_id: str, results: Sequence[ToolResult]) -> int:
        """See ``SessionService.stage_tool_results``."""
        ...

    async def read_history(
        self, session_id: str, *, offset: int = 0, limit: int | None = None
    ) -> SessionHistory:
        """See ``SessionService.read_history``."""
        ...

    # -- what a mob adds -----------------------------------------------------------------------

    def subscribe_session_events(
        self, session_id: str, *, after: int | None = None
    ) -> AsyncGenerator[EventEnvelope, None]:
        """Every event of a session, whoever asked for the run. Raises ``SessionNotFound``."""
        ...

    @property
    def supports_persistent_sessions(self) -> bool:
        """Whether sessions outlive the process."""
        ...

    def runtime_adapter(self) -> RuntimeSessionAdapter:
        """The inboxes of the sessions: the same object on every call, from whatever thread.

        It lives as long as the service object, and does not keep it alive. Raises
        ``SessionUnsupported`` for a service that keeps sessions, but no facts of their inboxes.
        """
        ...

    async def session_belongs_to_mob(self, session_id: str, mob_id: str) -> bool:
        """Whether what is stored of a session binds it to this mob. O(history).

        False when it cannot be loaded, and for every session that is in memory only.
        """
        ...

    async def load_persisted_session(self, session_id: str) -> Session | None:
        """What is stored of a session; None when nothing is. Raises ``StoreCorrupt``."""
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
    ) -> AppliedTurn:
        """One run, committed with its receipt; the same from every service (EPH-30).

        Raises what ``SessionService.apply_runtime_turn`` raises, and ``AgentError`` where the
        service has no such method.
        """
        ...

    async def discard_live_session(self, session_id: str) -> None:
        """Drops the live session; what is stored stays. Raises ``SessionNotFound`` (EPH-11)."""
        ...

    def cancel_all_checkpointers(self) -> None:
        """See ``SessionService.cancel_all_checkpointers``: when a mob stops."""
        ...

    def rearm_all_checkpointers(self) -> None:
        """See ``SessionService.rearm_all_checkpointers``: when it resumes."""
        ...


def for_mobs(
    service: SessionService, *, ids: Callable[[], str], clock: Clock = _target.now_ms
) -> MobSessionService:
    """The mob's view of a session service. ``ids`` mints input and run ids.

    Ids and clock are those of the first view that is asked for the adapter.
    """
    return _ForMobs(service, ids, clock)


_Load: TypeAlias = Callable[[str], Awaitable[Session | None]]


class _ForMobs:
    def __init__(self, sessions: SessionService, ids: Callable[[], str], clock: Clock) -> None:
        self._sessions, self._ids, self._clock = sessions, ids, clock
        self.create_session = sessions.create_session
        self.start_turn = sessions.start_turn
        self.interrupt = sessions.interrupt
        self.has_live_session = sessions.has_live_session
        self.read = sessions.read
        self.list = sessions.list
        self.archive = sessions.archive
        self.append_system_context = sessions.append_system_context
        self.stage_tool_results = sessions.stage_tool_results
        self.read_history = sessions.read_history
        self.subscribe_session_events = sessions.subscribe_session_events

    @property
    def sessions(self) -> SessionService:
        return self._sessions

    @property
    def supports_persistent_sessions(self) -> bool:
        return self._has("supports_persistent_sessions") and (
            self._sessions.supports_persistent_sessions
        )

    def runtime_adapter(self) -> RuntimeSessionAdapter:
        return _adapter_of(self._sessions, self._new_adapter)

    def _new_adapter(self) -> RuntimeSessionAdapter:
        if not self.supports_persistent_sessions:
            return RuntimeSessionAdapter.ephemeral(ids=self._ids, clock=self._clock)
        if not (self._has("append_facts") and self._has("read_facts")):
            raise SessionUnsupported(
                what="this session service keeps sessions, but no facts of their inboxes: "
                "give it append_facts and read_facts, or use a PersistentSessionService"
            )
        return RuntimeSessionAdapter.persistent(self._sessions, ids=self._ids, clock=self._clock)

    def _has(self, name: str) -> bool:
        """Whether a service that somebody else made has what only mobs and runtimes ask for."""
        return hasattr(self._sessions, name)

    # -- what is stored ------------------------------------------------------------------------

    async def session_belongs_to_mob(self, session_id: str, mob_id: str) -> bool:
        try:
            session = await self.load_persisted_session(session_id)
        except MeerkatError:  # whatever it is, nobody can tell whose session it was
            return False
        metadata = SESSION_METADATA.read(session.metadata) if session is not None else None
        return metadata is not None and is_bound_to(metadata, mob_id)

    async def load_persisted_session(self, session_id: str) -> Session | None:
        if not self.supports_persistent_sessions or not self._has("load_persisted_session"):
            return None
        load = cast("_Load", getattr(self._sessions, "load_persisted_session"))  # noqa: B009 it is an extra of the persistent service
        return await load(session_id)

    # -- turns and gates -----------------------------------------------------------------------

    async def apply_runtime_turn(
        self,
        session_id: str,
        run_id: str,
        request: StartTurnRequest,
        boundary: Boundary,
        contributing_input_ids: tuple[str, ...],
        *,
        inbox: RunInbox | None = None,
    ) -> AppliedTurn:
        if not self._has("apply_runtime_turn"):
            raise AgentError(
                f"{UNAVAILABLE}: use an EphemeralSessionService or a PersistentSessionService"
            )
        try:
            output = await self._sessions.apply_runtime_turn(
                session_id, run_id, request, boundary, contributing_input_ids, inbox=inbox
            )
        except (AgentError, *_UNWRITABLE) as error:
            fault = error.__cause__ if isinstance(error, AgentError) else error
            if not isinstance(fault, _UNWRITABLE):
                raise
            raise AgentError(f"{DIGEST_FAILED}: {fault}; give text that is Unicode") from error
        session = await self._session_as_of(session_id, output)
        return AppliedTurn(
            receipt=output.receipt,
            result=output.result,
            pending=output.pending,
            session=session,
        )

    async def _session_as_of(self, session_id: str, output: ApplyOutput) -> Session | None:
        try:
            session = await self._sessions.export_session(session_id)
        except MeerkatError:  # the turn is committed: that its session went since undoes nothing
            return None
        same = session.history.digest() == output.receipt.conversation_digest
        return session if same else None

    async def discard_live_session(self, session_id: str) -> None:
        if self._has("discard_live_session"):
            await self._sessions.discard_live_session(session_id)

    def cancel_all_checkpointers(self) -> None:
        if self._has("cancel_all_checkpointers"):
            self._sessions.cancel_all_checkpointers()

    def rearm_all_checkpointers(self) -> None:
        if self._has("rearm_all_checkpointers"):
            self._sessions.rearm_all_checkpointers()


# -- whose session it is -----------------------------------------------------------------------


def is_bound_to(metadata: SessionMetadata, mob_id: str) -> bool:
    """Whether a stored session says of itself that it is a member's of this mob (spec mob 2.13).

    Its name has exactly three parts, none of them empty: mob, role, member. Realm and labels say
    the same. One word that differs, or is not there, and it is somebody else's.
    """
    name = (metadata.comms_name or "").split("/")
    if len(name) != 3 or not all(name) or metadata.peer_meta is UNSET:
        return False
    mob, role, member = name
    labels = metadata.peer_meta.labels
    said = (metadata.realm_id, labels.get("mob_id"), labels.get("role"), labels.get("meerkat_id"))
    return mob == mob_id and said == (f"mob:{mob_id}", mob_id, role, member)


# -- one adapter for a service -----------------------------------------------------------------

_PLACE: Final = "_meerkat_mob_runtime_adapter"


def _adapter_of(
    service: SessionService, make: Callable[[], RuntimeSessionAdapter]
) -> RuntimeSessionAdapter:
    """The service's adapter, made when it is first asked for.

    It is kept on the service object itself. An adapter holds its service, by its log and by its
    executors, so a table beside the services, weak keys or not, would hold every service for ever;
    this way the two are a cycle that goes when nobody holds either. ``setdefault`` is one step, so
    of two threads that ask at once both get the same. The class is not asked, nor is a service
    behind this one: each object has its own.
    """
    try:
        own = vars(service)
    except TypeError:
        raise SessionUnsupported(
            what="a session service with __slots__ has no place for its runtime adapter: "
            'add "__dict__" to them, or leave them out'
        ) from None
    kept = own.get(_PLACE)
    return cast("RuntimeSessionAdapter", kept or own.setdefault(_PLACE, make()))
