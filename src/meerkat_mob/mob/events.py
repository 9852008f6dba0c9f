"""The facts of a mob: everything that must be known to rebuild it, in the order it happened.

Names on the wire are upstream's (``meerkat_id``); inside the code a member is a member (spec mob
1.10, design section 8). A fact is never edited: correct it with another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.events import EventEnvelope
from meerkat_mob.mob.definition import RuntimeMode

TaskStatus: TypeAlias = Literal["open", "in_progress", "completed", "cancelled"]


class SessionRef(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="kind", tag="session"
):
    """A member's session (MemberRef)."""

    session_id: str


class MobCreated(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="mob_created"
):
    """The mob exists, with this definition."""

    definition: msgspec.Raw


class MobStopped(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="mob_stopped"
):
    """Its members were interrupted and take no work until it is resumed."""


class MobResumed(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="mob_resumed"
):
    """It works again."""


class MobDestroyed(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="mob_destroyed"
):
    """It is over; its sessions are archived."""


class MemberSpawned(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="meerkat_spawned",
    rename={"member": "meerkat_id", "profile": "role"},
):
    """A member exists."""

    member: str
    profile: str
    member_ref: SessionRef
    runtime_mode: RuntimeMode = "autonomous_host"
    labels: Mapping[str, str] | UnsetType = UNSET


class PeersWired(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="peers_wired"
):
    """Two members may write to each other. One event per pair."""

    a: str
    b: str


class CapabilityMissing(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="capability_missing",
    rename={"member": "meerkat_id"},
):
    """A member runs without a tool its profile asks for."""

    member: str
    flag: str
    reason: str


class TaskCreated(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="task_created"
):
    """A task is on the board."""

    task_id: str
    subject: str
    description: str
    blocked_by: tuple[str, ...] = ()


class TaskUpdated(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="task_updated"
):
    """A task changed; ``owner`` is the one it has now."""

    task_id: str
    status: TaskStatus
    owner: str | None = None


Fact: TypeAlias = (
    MobCreated
    | MobStopped
    | MobResumed
    | MobDestroyed
    | MemberSpawned
    | PeersWired
    | CapabilityMissing
    | TaskCreated
    | TaskUpdated
)


class MobEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A stored fact with its place; ``cursor`` counts from 1, ``timestamp`` is ms UTC."""

    cursor: int
    timestamp: int
    mob_id: str
    kind: Fact


class MemberEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename={"member": "source"}):
    """Something a member's run said about itself. Not stored."""

    member: str
    profile: str
    envelope: EventEnvelope


class Lagged(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The reader was too slow and missed this many member events; no fact is missing."""

    skipped: int


AnyEvent: TypeAlias = MobEvent | MemberEvent | Lagged

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Fact] = msgspec.json.Decoder(Fact)


def encode_fact(fact: Fact) -> bytes:
    """The stored bytes of a fact."""
    return _encoder.encode(fact)


def decode_fact(raw: bytes) -> Fact:
    """A fact from its stored bytes."""
    return _decoder.decode(raw)
