"""Background work of one session as data: what it is, where it stands, how it ended.

The rule: ``STEPS`` is the only statement of what may follow what. An operation that has ended
stays as it is (spec sessions 5.12).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.jsonvalue import Json

OperationKind: TypeAlias = Literal["mob_member_child", "background_tool_op"]

EXPECTS_PEER: Final[Mapping[OperationKind, bool]] = {
    "mob_member_child": True,
    "background_tool_op": False,
}
"""Whether an operation of a kind comes to be reached as a peer, if its spec does not say."""

WAKES: Final[Mapping[OperationKind, bool]] = {
    "mob_member_child": False,
    "background_tool_op": True,
}
"""Whether the model of the owner is told of an end, and woken for it (LP-4)."""


# -- the table ---------------------------------------------------------------------------------


class OperationStatus(StrEnum):
    """Where an operation stands; absent is one that nobody has registered."""

    ABSENT = "absent"
    PROVISIONING = "provisioning"
    RUNNING = "running"
    RETIRING = "retiring"
    COMPLETED = "completed"
    FAILED = "failed"
    ABORTED = "aborted"
    CANCELLED = "cancelled"
    RETIRED = "retired"
    TERMINATED = "terminated"


class OperationMove(StrEnum):
    """What may happen to it."""

    REGISTER = "register"
    PROVISIONED = "provisioning_succeeded"
    PROVISIONING_FAILED = "provisioning_failed"
    ABORT = "abort_provisioning"
    PEER_READY = "peer_ready"
    PROGRESS = "report_progress"
    COMPLETE = "complete"
    FAIL = "fail"
    CANCEL = "cancel"
    RETIRE = "request_retire"
    MARK_RETIRED = "mark_retired"
    TERMINATE = "terminate"


_S = OperationStatus
_AT_WORK: Final = (_S.RUNNING, _S.RETIRING)
_NOT_OVER: Final = (_S.PROVISIONING, *_AT_WORK)
LIVING: Final = frozenset(_NOT_OVER)
"""It goes on. What a restart finds so has lost the process that did it."""

STEPS: Final[Mapping[OperationMove, Mapping[OperationStatus, OperationStatus]]] = {
    OperationMove.REGISTER: {_S.ABSENT: _S.PROVISIONING},
    OperationMove.PROVISIONED: {_S.PROVISIONING: _S.RUNNING},
    OperationMove.PROVISIONING_FAILED: {_S.PROVISIONING: _S.FAILED},
    OperationMove.ABORT: {_S.PROVISIONING: _S.ABORTED},
    OperationMove.PEER_READY: {status: status for status in _AT_WORK},
    OperationMove.PROGRESS: {status: status for status in _AT_WORK},
    OperationMove.COMPLETE: dict.fromkeys(_AT_WORK, _S.COMPLETED),
    OperationMove.FAIL: dict.fromkeys(_NOT_OVER, _S.FAILED),
    OperationMove.CANCEL: dict.fromkeys(_NOT_OVER, _S.CANCELLED),
    OperationMove.RETIRE: {_S.RUNNING: _S.RETIRING},
    OperationMove.MARK_RETIRED: {_S.RETIRING: _S.RETIRED},
    OperationMove.TERMINATE: dict.fromkeys(_NOT_OVER, _S.TERMINATED),
}
"""From which status each may happen, and to which it leads. Anything else is refused."""


# -- how it ends (OPS-4) -----------------------------------------------------------------------


class OperationCompleted(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="outcome", tag="completed"
):
    """It did what it was there for."""

    result: Json = None


class OperationFailed(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="outcome", tag="failed"
):
    """It could not."""

    error: str


class OperationAborted(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="outcome", tag="aborted"
):
    """It was given up before it began."""

    reason: str | UnsetType = UNSET


class OperationCancelled(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="outcome", tag="cancelled"
):
    """Somebody stopped it."""

    reason: str | UnsetType = UNSET


class OperationRetired(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="outcome", tag="retired"
):
    """It was asked to leave, and left."""


class OperationTerminated(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="outcome", tag="terminated"
):
    """Its owner, or the process that did it, ended first. What it had done by then is unknown."""

    reason: str


OperationOutcome: TypeAlias = (
    OperationCompleted
    | OperationFailed
    | OperationAborted
    | OperationCancelled
    | OperationRetired
    | OperationTerminated
)

MOVE_TO: Final[Mapping[type[OperationOutcome], OperationMove]] = {
    OperationCompleted: OperationMove.COMPLETE,
    OperationFailed: OperationMove.FAIL,
    OperationAborted: OperationMove.ABORT,
    OperationCancelled: OperationMove.CANCEL,
    OperationRetired: OperationMove.MARK_RETIRED,
    OperationTerminated: OperationMove.TERMINATE,
}
"""What leads to each end. A provisioning that fails is a failure in its first status."""


def status_of(outcome: OperationOutcome) -> OperationStatus:
    """The status of an operation that ended so."""
    (status,) = set(STEPS[MOVE_TO[type(outcome)]].values())
    return status


def detail_of(outcome: OperationOutcome) -> str:
    """What an end says beside its name, for people and models; empty when it says nothing."""
    match outcome:
        case OperationCompleted(result=None) | OperationRetired():
            return ""
        case OperationCompleted(result=str(text)):
            return text
        case OperationCompleted(result=value):
            return msgspec.json.encode(value).decode()
        case OperationFailed(error=text):
            return text
        case OperationAborted() | OperationCancelled() | OperationTerminated():
            return outcome.reason or ""


# -- operations --------------------------------------------------------------------------------


class OperationSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is to be done in the background, for whom.

    ``source_label`` names what started it. Unless ``expect_peer_channel`` says otherwise, a kind
    expects what ``EXPECTS_PEER`` says.
    """

    id: str
    kind: OperationKind
    owner_session_id: str
    display_name: str
    source_label: str = ""
    child_session_id: str | UnsetType = UNSET
    expect_peer_channel: bool | UnsetType = UNSET

    @property
    def expects_peer(self) -> bool:
        """Whether ``peer_ready`` is to come."""
        said = self.expect_peer_channel
        return EXPECTS_PEER[self.kind] if said is UNSET else said


class PeerHandle(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a child is reached: its comms name, and its key or local name."""

    peer_name: str
    peer_id: str = ""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of an operation; times in ms UTC.

    ``progress`` is None when the process that counted it did not live to its end. ``seq`` is the
    place of its end in the feed.
    """

    spec: OperationSpec
    status: OperationStatus = OperationStatus.PROVISIONING
    peer: PeerHandle | None = None
    progress: int | None = 0
    outcome: OperationOutcome | None = None
    seq: int | None = None
    created_at: int
    started_at: int | None = None
    completed_at: int | None = None


class OperationSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """An operation as it is shown (OPS-1).

    ``elapsed_ms`` is the time since it started, or since it was registered while it has not; it
    stands still when the operation has ended.
    """

    spec: OperationSpec
    status: OperationStatus
    peer_ready: bool
    progress_count: int | None
    watcher_count: int
    terminal_outcome: OperationOutcome | None
    peer_handle: PeerHandle | None
    created_at: int
    started_at: int | None
    completed_at: int | None
    elapsed_ms: int


def snapshot_of(operation: Operation, *, watchers: int, now: int) -> OperationSnapshot:
    """What is shown of an operation at a moment."""
    began = operation.created_at if operation.started_at is None else operation.started_at
    until = now if operation.completed_at is None else operation.completed_at
    return OperationSnapshot(
        spec=operation.spec,
        status=operation.status,
        peer_ready=operation.peer is not None,
        progress_count=operation.progress,
        watcher_count=watchers,
        terminal_outcome=operation.outcome,
        peer_handle=operation.peer,
        created_at=operation.created_at,
        started_at=operation.started_at,
        completed_at=operation.completed_at,
        elapsed_ms=max(0, until - began),
    )
