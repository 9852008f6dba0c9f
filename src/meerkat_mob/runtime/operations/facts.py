"""What is written of a session's background work, in the stream of its session.

The rule: an end and its place in the completion feed are one fact, so neither can be kept without
the other. These structs are the format on disk: a change to one is a new version of its record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.runtime.operations.model import OperationOutcome, OperationSpec, PeerHandle
from meerkat_mob.store import NewRecord

NEWEST: Final = 1
"""The newest format that is known here."""


class EpochBegan(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The feed of this session's ends begins; its numbers belong to this epoch."""

    epoch_id: str


class Registered(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An operation is about to be provisioned; ``at`` in ms UTC, here and below."""

    spec: OperationSpec
    at: int


class Started(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Its provisioning succeeded: it runs."""

    operation_id: str
    at: int


class PeerBecameReady(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """It can be reached."""

    operation_id: str
    peer: PeerHandle


class RetireRequested(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """It was asked to leave."""

    operation_id: str


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """It is over, and ``seq`` is the place of this end in the feed.

    ``progress`` is how often it reported progress: reports have no facts of their own, since the
    count of an operation that lost its process serves nobody. It is absent for such a one.
    """

    operation_id: str
    seq: int
    outcome: OperationOutcome
    at: int
    progress: int | UnsetType = UNSET


class CursorsMoved(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How far the feed was told to the model, or collected by its owner."""

    agent_applied: int | UnsetType = UNSET
    collected: int | UnsetType = UNSET


OperationFact: TypeAlias = (
    EpochBegan | Registered | Started | PeerBecameReady | RetireRequested | Ended | CursorsMoved
)

KINDS: Final[Mapping[type[OperationFact], str]] = {
    EpochBegan: "operation_epoch",
    Registered: "operation_registered",
    Started: "operation_started",
    PeerBecameReady: "operation_peer_ready",
    RetireRequested: "operation_retiring",
    Ended: "operation_ended",
    CursorsMoved: "operation_cursors",
}

DECODERS: Final[Mapping[str, msgspec.json.Decoder[OperationFact]]] = {
    kind: msgspec.json.Decoder(fact) for fact, kind in KINDS.items()
}
_encoder: Final = msgspec.json.Encoder()


def record_of(fact: OperationFact) -> NewRecord:
    """A fact as it is stored."""
    return NewRecord(kind=KINDS[type(fact)], body=_encoder.encode(fact), v=NEWEST)
