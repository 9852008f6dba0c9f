"""The session document: all there is to know of a session, as one value (spec sessions 1.1).

Every function here returns a new document and leaves the given one as it was, at the cost of what
is new: documents share their history. A running session works on a ``Transcript`` of its own
(``session.history.fork()``) and never on ``history`` itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from meerkat_mob.core.jsonvalue import Json, JsonObject
from meerkat_mob.core.messages import Message, import_message
from meerkat_mob.core.reserved import upstream_metadata
from meerkat_mob.core.safe_json import refuse_deep
from meerkat_mob.core.times import instant_ms, upstream_instant
from meerkat_mob.core.transcript import Transcript, View
from meerkat_mob.core.usage import Usage

SESSION_VERSION: Final = 1


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session. Times are ms since 1970, UTC; ``usage`` is cumulative."""

    version: int = SESSION_VERSION
    id: str
    history: Transcript
    created_at: int
    updated_at: int
    metadata: Mapping[str, Json] = {}
    usage: Usage = Usage()

    @property
    def messages(self) -> View[Message]:
        """The messages, oldest first; a System message, when there is one, is the first."""
        return self.history.view()


class SessionMeta(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a listing says of a session (SES-7)."""

    id: str
    created_at: int
    updated_at: int
    message_count: int
    total_tokens: int
    metadata: Mapping[str, Json] = {}


def new_session(session_id: str, *, now: int) -> Session:
    """A session in which nothing was said yet."""
    return Session(id=session_id, history=Transcript(), created_at=now, updated_at=now)


def meta_of(session: Session) -> SessionMeta:
    """The listing record of a session."""
    return SessionMeta(
        id=session.id,
        created_at=session.created_at,
        updated_at=session.updated_at,
        message_count=len(session.history),
        total_tokens=session.usage.total,
        metadata=session.metadata,
    )


# -- changes: each moves ``updated_at`` to now (SES-1) -----------------------------------------


def push(session: Session, message: Message, *, now: int) -> Session:
    """With one more message."""
    return push_batch(session, (message,), now=now)


def push_batch(session: Session, messages: Sequence[Message], *, now: int) -> Session:
    """With more messages, all at one time; none changes nothing."""
    if not messages:
        return session
    history = session.history.fork()
    history.push_batch(messages)
    return msgspec.structs.replace(session, history=history, updated_at=now)


def set_system_prompt(session: Session, text: str, *, now: int) -> Session:
    """With this System message at 0, in the place of the one there if there is one (SES-3)."""
    history = session.history.fork()
    history.set_system_prompt(text)
    return msgspec.structs.replace(session, history=history, updated_at=now)


def record_usage(session: Session, usage: Usage, *, now: int) -> Session:
    """With the usage of one more model call."""
    return msgspec.structs.replace(session, usage=session.usage + usage, updated_at=now)


def set_metadata(session: Session, key: str, value: Json, *, now: int) -> Session:
    """With this value under this key. Typed values are written by ``core.reserved``."""
    return with_metadata(session, {**session.metadata, key: value}, now=now)


def remove_metadata(session: Session, key: str, *, now: int) -> Session:
    """Without this key."""
    kept = {name: value for name, value in session.metadata.items() if name != key}
    return with_metadata(session, kept, now=now)


def with_metadata(session: Session, metadata: JsonObject, *, now: int) -> Session:
    """With this metadata in the place of all that was there."""
    return msgspec.structs.replace(session, metadata=metadata, updated_at=now)


def touch(session: Session, *, now: int) -> Session:
    """The same, looked at now."""
    return msgspec.structs.replace(session, updated_at=now)


def fork(session: Session, new_id: str, *, now: int) -> Session:
    """A second session with the same past (SES-5)."""
    return fork_at(session, len(session.history), new_id, now=now)


def fork_at(session: Session, count: int, new_id: str, *, now: int) -> Session:
    """A second session with the first ``count`` messages; usage and metadata are whole (SES-5)."""
    return msgspec.structs.replace(
        session,
        id=new_id,
        history=session.history.fork_at(count),
        created_at=now,
        updated_at=now,
        metadata=dict(session.metadata),
    )


# -- wire --------------------------------------------------------------------------------------


class _Wire(msgspec.Struct, kw_only=True):
    """The document as JSON, in upstream's order of fields; some encoders write absent as null."""

    version: int | None = None
    id: str
    messages: list[msgspec.Raw] | None = None
    created_at: Json
    updated_at: Json
    metadata: Mapping[str, Json] | None = None
    usage: Usage | None = None


_encoder = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(_Wire)


def encode_session(session: Session) -> bytes:
    """The whole document in our form: times as ms, messages as their stored bytes. O(history)."""
    return _encoder.encode(_wire(session))


def export_session(session: Session) -> bytes:
    """The whole document in upstream's form: instants as seconds and nanoseconds."""
    wire = _wire(session)
    wire.created_at = upstream_instant(session.created_at)
    wire.updated_at = upstream_instant(session.updated_at)
    wire.metadata = upstream_metadata(session.metadata)
    return _encoder.encode(wire)


def decode_session(raw: bytes | str) -> Session:
    """A document in our form, in upstream's, or in an older one.

    Messages are brought to the form in which we store them, so ours keep their bytes. Unknown
    fields are dropped. Raises ``ValueError`` for what is no session.
    """
    refuse_deep(raw)
    try:
        wire = _decoder.decode(raw)
    except msgspec.DecodeError as fault:
        raise ValueError(f"not a session: {fault}") from fault
    return Session(
        version=SESSION_VERSION if wire.version is None else wire.version,
        id=wire.id,
        history=Transcript.of(import_message(message) for message in wire.messages or ()),
        created_at=instant_ms(wire.created_at),
        updated_at=instant_ms(wire.updated_at),
        metadata=wire.metadata or {},
        usage=wire.usage or Usage(),
    )


def _wire(session: Session) -> _Wire:
    return _Wire(
        version=session.version,
        id=session.id,
        messages=[msgspec.Raw(raw) for raw in session.history.encoded()],
        created_at=session.created_at,
        updated_at=session.updated_at,
        metadata=session.metadata,
        usage=session.usage,
    )
