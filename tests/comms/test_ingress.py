"""What arrives, as the receiver's runtime and its model see it."""

import pytest
from msgspec import json

from meerkat_mob.comms import PEER_ADDED, Envelope, PeerMessage, PeerRequest, peer_input, render
from meerkat_mob.comms.envelope import EnvelopeKind
from meerkat_mob.core.inputs import (
    InputHeader,
    MessageConvention,
    PeerInput,
    PeerSource,
    RequestConvention,
)


def an_envelope(kind: EnvelopeKind) -> Envelope:
    return Envelope(id="e-1", sender="team/dev/ann", to="team/ops/bob", kind=kind)


HEADER = InputHeader(
    id="in-1",
    timestamp=7,
    source=PeerSource(peer_id="team/dev/ann"),
    idempotency_key="e-1",
    correlation_id="e-1",
)


def test_a_message_is_an_input_that_is_taken_once() -> None:
    """W19: its envelope's id is its key."""
    envelope = an_envelope(PeerMessage(body="ready?", handling_mode="steer"))
    assert peer_input(envelope, input_id="in-1", now=7) == PeerInput(
        header=HEADER,
        convention=MessageConvention(),
        body="[COMMS MESSAGE from team/dev/ann]\nready?",
        handling_mode="steer",
    )


def test_a_request_keeps_its_intent_and_its_parameters() -> None:
    envelope = an_envelope(PeerRequest(intent=PEER_ADDED, params={"peer": "x"}))
    item = peer_input(envelope, input_id="in-1", now=7)
    assert item == PeerInput(
        header=HEADER,
        convention=RequestConvention(request_id="e-1", intent=PEER_ADDED, params={"peer": "x"}),
        body=(
            "[COMMS REQUEST from team/dev/ann (id: e-1)]\n"
            'intent: mob.peer_added\nparams: {"peer":"x"}'
        ),
    )


@pytest.mark.parametrize(
    "kind", [PeerMessage(body="größer\n"), PeerRequest(intent="review", params={"a": [1, None]})]
)
def test_an_envelope_survives_the_wire(kind: EnvelopeKind) -> None:
    envelope = an_envelope(kind)
    raw = json.encode(envelope)
    assert b'"from":"team/dev/ann"' in raw
    assert json.decode(raw, type=Envelope) == envelope
    assert render(envelope).startswith("[COMMS ")
