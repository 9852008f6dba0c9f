"""What is written of a session: the facts of its stream, and how they follow from two states.

The rule: a commit says what is new and nothing else, so its cost does not grow with the history.
These structs are the format on disk: a change to one is a new version of its record, and a new
realm in the corpus of the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.build_state import SessionBuildState
from meerkat_mob.core.compaction import Compacted
from meerkat_mob.core.deferred_turn import DeferredTurnState
from meerkat_mob.core.inputs import Receipt
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.metadata import SessionMetadata
from meerkat_mob.core.system_context import PendingAppend, SystemContextState
from meerkat_mob.core.tool_visibility import ToolVisibilityState
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.core.usage import Usage
from meerkat_mob.sessions.state import SessionState
from meerkat_mob.store.protocol import NewRecord

T = TypeVar("T")
RunOutcome: TypeAlias = Literal[
    "completed", "nothing_pending", "callback_pending", "cancelled", "failed"
]

OPENED: Final = "session_opened"
SAID: Final = "messages"
REWRITTEN: Final = "messages_rewritten"
CHANGED: Final = "session_changed"
RUN_BEGAN: Final = "run_began"
APPLIED: Final = "inputs_applied"
RUN_ENDED: Final = "run_ended"


class Opened(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The session began; ``created_at`` in ms."""

    created_at: int


class Rewritten(msgspec.Struct, frozen=True, kw_only=True):
    """``messages`` stand in the place of those from ``start`` to before ``stop``."""

    start: int
    stop: int
    messages: tuple[msgspec.Raw, ...]


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """What is not said in messages. An absent field is as it was; the others are whole values.

    ``staged`` came behind the context that waits, of which the first ``applied`` are gone.
    """

    metadata: SessionMetadata | UnsetType = UNSET
    build: SessionBuildState | UnsetType = UNSET
    labels: Mapping[str, str] | UnsetType = UNSET
    deferred: DeferredTurnState | UnsetType = UNSET
    visibility: ToolVisibilityState | UnsetType = UNSET
    compacted: Compacted | UnsetType = UNSET
    context: SystemContextState | UnsetType = UNSET
    applied: int | UnsetType = UNSET
    staged: tuple[PendingAppend, ...] | UnsetType = UNSET
    extra: Mapping[str, Json] | UnsetType = UNSET
    usage: Usage | UnsetType = UNSET
    answered_by: str | UnsetType = UNSET
    events_until: int | UnsetType = UNSET
    archived: bool | UnsetType = UNSET


class RunBegan(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What these inputs say stands in the transcript, and their run had not ended then."""

    run_id: str
    input_ids: tuple[str, ...]


class Applied(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Inputs were applied in the midst of a run: the receipt names them."""

    receipt: Receipt


class RunEnded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A run is over; ``usage`` is the session's.

    The receipt names the inputs it consumed. One that failed or was cancelled has none: it names
    those that ended with it, and ``error`` is the code of what it failed with.
    """

    outcome: RunOutcome
    usage: Usage
    error: str | UnsetType = UNSET
    receipt: Receipt | UnsetType = UNSET
    run_id: str | UnsetType = UNSET
    input_ids: tuple[str, ...] | UnsetType = UNSET


RunFact: TypeAlias = RunBegan | Applied | RunEnded


_KINDS: Final[Mapping[type[RunFact], str]] = {
    RunBegan: RUN_BEGAN,
    Applied: APPLIED,
    RunEnded: RUN_ENDED,
}
_encoder: Final = msgspec.json.Encoder()


def opening(state: SessionState) -> tuple[NewRecord, ...]:
    """The first records of a session's stream."""
    said = tuple(_said(state.transcript.encoded()))
    return (
        _record(OPENED, Opened(created_at=state.created_at)),
        _record(CHANGED, first_values(state)),
        *said,
    )


def first_values(state: SessionState) -> Changed:
    """All that a new session says beside its messages."""
    return Changed(
        metadata=state.metadata,
        build=_unless(state.build, SessionBuildState()),
        labels=state.labels or UNSET,
        deferred=_unless(state.deferred, DeferredTurnState()),
        visibility=_unless(state.visibility, ToolVisibilityState()),
        compacted=_unless(state.compacted, Compacted()),
        context=_unless(state.context, SystemContextState()),
        extra=state.extra or UNSET,
        usage=_unless(state.usage, Usage()),
        answered_by=state.answered_by,
        events_until=state.events_until or UNSET,
        archived=state.archived or UNSET,
    )


def changes(
    before: SessionState, after: SessionState, run: tuple[RunFact, ...] = ()
) -> tuple[NewRecord, ...]:
    """The records that lead from one state to the next, and say what a run came to."""
    records = list(_messages(before.transcript, after.transcript))
    ended = any(isinstance(fact, RunEnded) for fact in run)
    changed = difference(before, after, usage=not ended)
    if changed != Changed():
        records.append(_record(CHANGED, changed))
    records += (_record(_KINDS[type(fact)], fact) for fact in run)
    return tuple(records)


def _messages(before: Transcript, after: Transcript) -> Iterator[NewRecord]:
    old, new = before.encoded(), after.encoded()
    if after.continues(before):
        yield from _said(new[len(old) :])
        return
    if before == after:
        return
    start = _same(old, new)
    if start == len(old):
        yield from _said(new[start:])
        return
    tail = _same(old[start:][::-1], new[start:][::-1])
    put = tuple(msgspec.Raw(raw) for raw in new[start : len(new) - tail])
    fact = Rewritten(start=start, stop=len(old) - tail, messages=put)
    yield _record(REWRITTEN, fact)


def _said(messages: Sequence[bytes]) -> Iterator[NewRecord]:
    if messages:
        yield NewRecord(kind=SAID, body=b"[" + b",".join(messages) + b"]")


def _same(one: Iterable[bytes], other: Iterable[bytes]) -> int:
    """How many of the first are equal. Walks the history: only what is rare gets here."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def difference(before: SessionState, after: SessionState, *, usage: bool = True) -> Changed:
    """What is new between two states, beside messages; ``usage`` may be said elsewhere."""
    applied, staged = _context(before.context.pending, after.context.pending)
    return Changed(
        metadata=_unless(after.metadata, before.metadata),
        build=_unless(after.build, before.build),
        labels=_unless(after.labels, before.labels),
        deferred=_unless(after.deferred, before.deferred),
        visibility=_unless(after.visibility, before.visibility),
        compacted=_unless(after.compacted, before.compacted),
        applied=applied or UNSET,
        staged=staged or UNSET,
        extra=_unless(after.extra, before.extra),
        usage=_unless(after.usage, before.usage) if usage else UNSET,
        answered_by=_unless(after.answered_by, before.answered_by),
        events_until=_unless(after.events_until, before.events_until),
        archived=_unless(after.archived, before.archived),
    )


def _context(
    before: tuple[PendingAppend, ...], after: tuple[PendingAppend, ...]
) -> tuple[int, tuple[PendingAppend, ...]]:
    """How many were applied from the front, and which were staged behind the others."""
    if before is after:
        return 0, ()
    applied = next(n for n in range(len(before) + 1) if before[n:] == after[: len(before) - n])
    return applied, after[len(before) - applied :]


def _unless(value: T, same_as: T) -> T | UnsetType:
    return UNSET if value is same_as or value == same_as else value


def _record(kind: str, fact: msgspec.Struct) -> NewRecord:
    return NewRecord(kind=kind, body=_encoder.encode(fact))
