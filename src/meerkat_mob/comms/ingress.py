"""What arrives, as input for the receiver's runtime.

The model reads who sent it and what, in a form that says it comes from a peer (spec sessions
6.6). The envelope's id is the idempotency key, so a repeated delivery is taken once (W19).
"""

from __future__ import annotations

import msgspec

from meerkat_mob.comms.envelope import Envelope, PeerMessage, PeerRequest
from meerkat_mob.core.inputs import (
    InputHeader,
    MessageConvention,
    PeerInput,
    PeerSource,
    RequestConvention,
)


def message_heading(sender: str) -> str:
    """The line above a peer's message: an address that can be answered."""
    return f"[COMMS MESSAGE from {sender}]"


def render(envelope: Envelope) -> str:
    """The text the receiver's model reads."""
    match envelope.kind:
        case PeerMessage(body=body):
            return f"{message_heading(envelope.sender)}\n{body}"
        case PeerRequest(intent=intent, params=params):
            told = msgspec.json.encode(params).decode()
            return (
                f"[COMMS REQUEST from {envelope.sender} (id: {envelope.id})]\n"
                f"intent: {intent}\nparams: {told}"
            )


def peer_input(envelope: Envelope, *, input_id: str, now: int) -> PeerInput:
    """The input an envelope becomes; ``now`` in ms UTC."""
    header = InputHeader(
        id=input_id,
        timestamp=now,
        source=PeerSource(peer_id=envelope.sender),
        idempotency_key=envelope.id,
        correlation_id=envelope.id,
    )
    match envelope.kind:
        case PeerMessage(handling_mode=mode):
            return PeerInput(
                header=header,
                convention=MessageConvention(),
                body=render(envelope),
                handling_mode=mode,
            )
        case PeerRequest(intent=intent, params=params):
            return PeerInput(
                header=header,
                convention=RequestConvention(request_id=envelope.id, intent=intent, params=params),
                body=render(envelope),
            )
