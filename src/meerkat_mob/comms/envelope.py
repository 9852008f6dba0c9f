"""What one agent sends another (spec sessions 6.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import HandlingMode

PEER_ADDED: Final = "mob.peer_added"
PEER_RETIRED: Final = "mob.peer_retired"
PEER_UNWIRED: Final = "mob.peer_unwired"
KICKOFF_FAILED: Final = "mob.kickoff_failed"
KICKOFF_CANCELLED: Final = "mob.kickoff_cancelled"
LIFECYCLE_INTENTS: Final = frozenset(
    {PEER_ADDED, PEER_RETIRED, PEER_UNWIRED, KICKOFF_FAILED, KICKOFF_CANCELLED}
)
"""Reserved intents: news about peers. They never wake anybody."""


class PeerMessage(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="message"
):
    """A text to a peer."""

    body: str
    handling_mode: HandlingMode = "queue"


class PeerRequest(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="request"
):
    """An intent with its parameters."""

    intent: str
    params: Mapping[str, Json] = {}


EnvelopeKind: TypeAlias = PeerMessage | PeerRequest


class Envelope(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename={"sender": "from"}):
    """A message on its way; ``id`` is also the key by which its receiver takes it only once."""

    id: str
    sender: str
    to: str
    kind: EnvelopeKind
