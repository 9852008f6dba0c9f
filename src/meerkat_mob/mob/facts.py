"""The facts of a mob: everything that must be known to rebuild it, in the order it happened.

Names on the wire are upstream's (``meerkat_id``); inside the code a member is a member (spec mob
1.10, design section 8). A fact is never edited: correct it with another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.mob.definition import RuntimeMode
from meerkat_mob.mob.profiles import RealmProfile
from meerkat_mob.mob.request import SpawnSpec

TaskStatus: TypeAlias = Literal["open", "in_progress", "completed", "cancelled"]
KickoffPhase: TypeAlias = Literal[
    "pending", "starting", "callback_pending", "started", "failed", "cancelled"
]


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


class MobCompleted(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="mob_completed"
):
    """Its work is done; all members have retired."""


class MobReset(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="mob_reset"
):
    """It begins anew: no members, no tasks. Kept with the ``mob_created`` it begins from."""


class MobRedefined(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="mob_redefined"
):
    """Members to come are made from this definition; ``revision`` counts from 1."""

    definition: msgspec.Raw
    revision: int


class MemberSpawned(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="meerkat_spawned",
    rename={"member": "meerkat_id", "profile": "role"},
):
    """A member exists. ``request`` is how it was asked for, as far as that must be known later.

    ``realm_profile`` is what it was made from, where its role is a profile of the realm.
    """

    member: str
    profile: str
    member_ref: SessionRef
    runtime_mode: RuntimeMode = "autonomous_host"
    labels: Mapping[str, str] | UnsetType = UNSET
    request: SpawnSpec | UnsetType = UNSET
    realm_profile: RealmProfile | UnsetType = UNSET


class MemberRetired(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="meerkat_retired",
    rename={"member": "meerkat_id", "profile": "role"},
):
    """A member is gone. What it leaves (its session, its jobs) is put away after this."""

    member: str
    profile: str
    member_ref: SessionRef


class MemberBroken(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="meerkat_broken",
    rename={"member": "meerkat_id"},
):
    """A member could not be brought back, and why."""

    member: str
    reason: str


class MemberRestored(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="meerkat_restored",
    rename={"member": "meerkat_id"},
):
    """A member that was broken is back."""

    member: str


class Kickoff(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a member's first input stands (spec mob 2.5); ``updated_at`` is ms UTC."""

    phase: KickoffPhase
    error: str | UnsetType = UNSET
    updated_at: int = 0


class KickoffUpdated(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="meerkat_kickoff_updated",
    rename={"member": "meerkat_id"},
):
    """A member's first input stands so (K-1)."""

    member: str
    kickoff: Kickoff


class PeersWired(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="peers_wired"
):
    """Two members may write to each other. One event per pair."""

    a: str
    b: str


class PeersUnwired(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="peers_unwired"
):
    """Two members may no longer write to each other."""

    a: str
    b: str


class ExternalPeer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Somebody outside the mob (TrustedPeerSpec); ``name`` is ``mob/profile/member``."""

    name: str
    peer_id: str = ""
    address: str = ""


class ExternalPeerWired(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="external_peer_wired",
):
    """A member may write to somebody outside, and be written to."""

    local: str
    spec: ExternalPeer


class ExternalPeerUnwired(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    tag_field="type",
    tag="external_peer_unwired",
):
    """That is over."""

    local: str
    peer_name: str


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
    | MobCompleted
    | MobReset
    | MobRedefined
    | MobDestroyed
    | MemberSpawned
    | MemberRetired
    | MemberBroken
    | MemberRestored
    | KickoffUpdated
    | PeersWired
    | PeersUnwired
    | ExternalPeerWired
    | ExternalPeerUnwired
    | CapabilityMissing
    | TaskCreated
    | TaskUpdated
)


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Fact] = msgspec.json.Decoder(Fact)


def encode_fact(fact: Fact) -> bytes:
    """The stored bytes of a fact."""
    return _encoder.encode(fact)


def decode_fact(raw: bytes) -> Fact:
    """A fact from its stored bytes."""
    return _decoder.decode(raw)
