"""From the facts of a session's stream to its state, and to the summary that its head holds.

The rule: the summary follows from the records alone, so ``verify`` can hold one against the other.
Kinds of record that are not known here belong to others in the same stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET

from meerkat_mob.core.messages import Message, decode_message
from meerkat_mob.core.metadata import SessionMetadata
from meerkat_mob.core.system_context import (
    PendingAppend,
    SeenAppend,
    SystemContextState,
    mark_pending_applied,
)
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import StoreCorrupt
from meerkat_mob.sessions import facts
from meerkat_mob.sessions.facts import Changed, Opened, Rewritten, RunEnded
from meerkat_mob.sessions.state import SessionState
from meerkat_mob.store.protocol import Record

STREAM: Final = "session:"
"""How the name of a session's stream begins; its id follows."""
_NEWEST: Final = 1

_said: Final = msgspec.json.Decoder(tuple[msgspec.Raw, ...])
_messages: Final = msgspec.json.Decoder(tuple[Message, ...])
_rewritten: Final = msgspec.json.Decoder(Rewritten)
_changed: Final = msgspec.json.Decoder(Changed)
_run_ended: Final = msgspec.json.Decoder(RunEnded)
_opened: Final = msgspec.json.Decoder(Opened)


class SessionHead(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What reads and lists are answered from. When it was updated, its store says."""

    created_at: int
    message_count: int
    usage: Usage
    model: str
    answered_by: str
    last_assistant_text: str | None
    labels: Mapping[str, str] = {}
    events_until: int = 0
    archived: bool = False


encode_head: Final = msgspec.json.Encoder().encode
decode_head: Final = msgspec.json.Decoder(SessionHead).decode


def head_of(state: SessionState) -> SessionHead:
    """The head of a session in this state. Costs nothing in history."""
    return SessionHead(
        created_at=state.created_at,
        message_count=len(state.transcript),
        usage=state.usage,
        model=state.metadata.model,
        answered_by=state.answered_by,
        last_assistant_text=state.transcript.last_assistant_text,
        labels=state.labels,
        events_until=state.events_until,
        archived=state.archived,
    )


class Fold:
    """A session's state, from its records in their order."""

    def __init__(self, session_id: str) -> None:
        self._id = session_id
        self._transcript = Transcript()
        self._fields: dict[str, Any] = {}
        self._created_at: int | None = None
        self._updated_at = 0
        self._context = SystemContextState()
        self._runs = 0
        self._last_run: Record | None = None  # whose usage counts, if it is the last to say one

    @property
    def runs(self) -> int:
        """How many runs have ended so far."""
        return self._runs

    def add(self, records: Sequence[Record]) -> None:
        """Takes more records. Raises ``StoreCorrupt`` for one that says what it cannot."""
        for record in records:
            self._updated_at = record.at
            if record.kind not in _KNOWN:
                continue
            if record.v > _NEWEST:
                raise _unlike(record, f"it has format {record.v}, which a later version wrote")
            if record.kind == facts.RUN_ENDED:
                self._last_run = record
                self._runs += 1
                continue
            try:
                self._take(record.kind, record.body)
            except (ValueError, IndexError, msgspec.MsgspecError) as fault:
                raise _unlike(record, f"it is no fact of a session: {fault}") from fault

    def state(self) -> SessionState:
        """The state after the records so far. Raises ``StoreCorrupt`` when they are not whole."""
        metadata = self._fields.get("metadata")
        if self._created_at is None or not isinstance(metadata, SessionMetadata):
            raise StoreCorrupt(stream=STREAM + self._id, seq=1, why="it does not open a session")
        if self._last_run is not None:
            self._fields["usage"] = _usage_in(self._last_run)
        return SessionState(
            session_id=self._id,
            created_at=self._created_at,
            updated_at=self._updated_at,
            transcript=self._transcript,
            context=self._context,
            **self._fields,
        )

    # -- one kind each -------------------------------------------------------------------------

    def _take(self, kind: str, body: bytes) -> None:
        match kind:
            case facts.OPENED:
                self._open(body)
            case facts.SAID:
                self._say(body)
            case facts.REWRITTEN:
                self._rewrite(body)
            case _:
                self._change(body)

    def _open(self, body: bytes) -> None:
        self._created_at = _opened.decode(body).created_at

    def _say(self, body: bytes) -> None:
        """All messages of a record at once; those of an older form one by one."""
        encoded = [bytes(raw) for raw in _said.decode(body)]
        try:
            self._transcript.extend_stored(_messages.decode(body), encoded)
        except msgspec.ValidationError:
            for raw in encoded:
                self._transcript.push_encoded(raw)

    def _rewrite(self, body: bytes) -> None:
        fact = _rewritten.decode(body)
        self._transcript.rewrite(
            fact.start, fact.stop, [decode_message(raw) for raw in fact.messages]
        )

    def _change(self, body: bytes) -> None:
        fact = _changed.decode(body)
        if fact.usage is not UNSET:
            self._last_run = None
        for name in _WHOLE:
            value = getattr(fact, name)
            if value is not UNSET:
                self._fields[name] = value
        if fact.context is not UNSET:
            self._context = fact.context
        if fact.applied is not UNSET:
            taken = self._context.pending[: fact.applied]
            self._context = mark_pending_applied(self._context, taken)
        if fact.staged is not UNSET:
            self._context = _staged(self._context, fact.staged)


_WHOLE: Final = (
    "metadata",
    "build",
    "labels",
    "deferred",
    "visibility",
    "compacted",
    "extra",
    "usage",
    "answered_by",
    "events_until",
    "archived",
)
_KNOWN: Final = frozenset(
    {facts.OPENED, facts.SAID, facts.REWRITTEN, facts.CHANGED, facts.RUN_ENDED}
)
"""All others belong to somebody else, or change nothing of a session's state."""


def _usage_in(run: Record) -> Usage:
    try:
        return _run_ended.decode(run.body).usage
    except msgspec.MsgspecError as fault:
        raise _unlike(run, f"it is no fact of a session: {fault}") from fault


def _staged(context: SystemContextState, appends: tuple[PendingAppend, ...]) -> SystemContextState:
    seen = dict(context.seen)
    for append in appends:
        if append.idempotency_key is not UNSET:
            seen[append.idempotency_key] = SeenAppend(
                text=append.text, source=append.source, state="pending"
            )
    return SystemContextState(pending=(*context.pending, *appends), seen=seen)


def _unlike(record: Record, why: str) -> StoreCorrupt:
    return StoreCorrupt(stream=record.stream, seq=record.seq, why=why)


def summary_from(records: tuple[Record, ...]) -> bytes:
    """The summary that follows from all records of one session: what ``verify`` compares."""
    fold = Fold(records[0].stream.removeprefix(STREAM))
    fold.add(records)
    return encode_head(head_of(fold.state()))
