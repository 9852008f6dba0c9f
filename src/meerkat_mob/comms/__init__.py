"""How members speak to each other."""

from meerkat_mob.comms.envelope import (
    KICKOFF_CANCELLED,
    KICKOFF_FAILED,
    LIFECYCLE_INTENTS,
    PEER_ADDED,
    PEER_RETIRED,
    PEER_UNWIRED,
    Envelope,
    PeerMessage,
    PeerRequest,
)
from meerkat_mob.comms.ingress import message_heading, peer_input, render
from meerkat_mob.comms.router import Endpoint, PeerSpec, Router
from meerkat_mob.comms.tools import NoArguments, comms_tools

__all__ = (
    "KICKOFF_CANCELLED",
    "KICKOFF_FAILED",
    "LIFECYCLE_INTENTS",
    "PEER_ADDED",
    "PEER_RETIRED",
    "PEER_UNWIRED",
    "Endpoint",
    "Envelope",
    "NoArguments",
    "PeerMessage",
    "PeerRequest",
    "PeerSpec",
    "Router",
    "comms_tools",
    "message_heading",
    "peer_input",
    "render",
)
