"""The tools through which a model speaks to its peers (COM-25)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from meerkat_mob.comms.envelope import PeerMessage
from meerkat_mob.comms.router import Endpoint
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.messages import HandlingMode
from meerkat_mob.core.tools import Tool, ToolProvenance
from meerkat_mob.core.typed_tools import typed_tool
from meerkat_mob.errors import InvalidParams


class SendMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of ``send_message``."""

    to: Annotated[
        str, msgspec.Meta(description="A peer: its id inside this mob, or mob/profile/member.")
    ]
    body: Annotated[str, msgspec.Meta(description="What to tell it.")]
    handling_mode: Annotated[
        HandlingMode,
        msgspec.Meta(description="queue: in order. steer: ahead of what is queued."),
    ] = "queue"


class NoArguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool without arguments."""


def comms_tools(endpoint: Endpoint) -> tuple[Tool, ...]:
    """``send_message`` and ``peers`` for one agent."""

    async def send_message(args: SendMessage) -> Json:
        if not args.body.strip():
            raise InvalidParams(
                what="the body is blank", path="send_message.body", hint="say something"
            )
        await endpoint.send(args.to, PeerMessage(body=args.body, handling_mode=args.handling_mode))
        return {"status": "sent"}

    async def peers(args: NoArguments) -> Json:
        del args
        return {
            "peers": [
                {"name": p.name, "role": p.role, "description": p.description}
                for p in sorted(endpoint.peers.values(), key=lambda p: p.name)
            ]
        }

    origin = ToolProvenance(kind="builtin", source_id="comms")
    return (
        typed_tool(
            "send_message",
            "Send a message to a peer. It is delivered when this returns; the answer, if any, "
            "arrives later as a message of its own.",
            SendMessage,
            send_message,
            provenance=origin,
        ),
        typed_tool(
            "peers", "List the peers you can write to.", NoArguments, peers, provenance=origin
        ),
    )
