"""The tools through which a model speaks to its peers, over real inboxes."""

from __future__ import annotations

from typing import cast

import msgspec
import pytest

from meerkat_mob.agent import ToolSet
from meerkat_mob.comms import Endpoint, Envelope, PeerSpec, Router, comms_tools, peer_input
from meerkat_mob.core.jsonvalue import Json, JsonObject
from meerkat_mob.core.tools import ToolCall
from meerkat_mob.runtime import RuntimeSessionAdapter
from meerkat_mob.runtime.inbox import BOUND
from meerkat_mob.testing.builders import a_peer_message, some_ids
from tests.runtime.kit import a_desk


class Pair:
    """Ann, who has the tools, and bob, whose inbox is held so that what arrives can be read."""

    def __init__(self, adapter: RuntimeSessionAdapter) -> None:
        self.adapter = adapter
        self.adapter.hold("s", held=True)
        router, inputs = Router(ids=some_ids("envelope")), some_ids("in")

        async def deliver(envelope: Envelope) -> None:
            item = peer_input(envelope, input_id=inputs(), now=7)
            await self.adapter.accept_input("s", item)

        async def ignore(envelope: Envelope) -> None:
            del envelope

        bob = PeerSpec(name="team/ops/bob", role="ops", description="knows the servers")
        ann = PeerSpec(name="team/dev/ann", role="dev")
        self.bob: Endpoint = router.open(bob, deliver)
        self.ann: Endpoint = router.open(ann, ignore)
        self.ann.trust(bob)
        self.bob.trust(ann)
        self.tools = ToolSet(comms_tools(self.ann))

    async def call(self, name: str, **args: Json) -> tuple[JsonObject, bool]:
        """The result of ann's call as JSON, and whether it is an error."""
        raw = msgspec.Raw(msgspec.json.encode(args))
        outcome = await self.tools.dispatch(ToolCall(id="call-1", name=name, args=raw))
        result = cast("JsonObject", msgspec.json.decode(cast("str", outcome.content)))
        return result, outcome.is_error

    def arrived(self) -> list[tuple[str, str]]:
        """The lane and the text of what bob's inbox holds."""
        found = self.adapter.list_active_inputs("s")
        return [(r.policy.lane, str(getattr(r.item, "body", ""))) for r in found]


async def test_a_message_is_in_the_receiver_s_inbox_when_the_tool_returns() -> None:
    pair = Pair((await a_desk())[0])
    assert await pair.call("send_message", to="bob", body="ready?") == ({"status": "sent"}, False)
    args: dict[str, Json] = {"to": "team/ops/bob", "body": "now!", "handling_mode": "steer"}
    assert await pair.call("send_message", **args) == ({"status": "sent"}, False)
    assert pair.arrived() == [
        ("queue", "[COMMS MESSAGE from team/dev/ann]\nready?"),
        ("steer", "[COMMS MESSAGE from team/dev/ann]\nnow!"),
    ]
    await pair.adapter.aclose()


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ({"to": "eve", "body": "hi"}, "execution_failed", "you can write to: team/ops/bob"),
        ({"to": "bob", "body": " \n"}, "invalid_arguments", "blank"),
        ({"to": "bob"}, "invalid_arguments", "send_message.body"),
        ({"to": "bob", "text": "hi"}, "invalid_arguments", "unknown key 'text'"),
        ({"to": "bob", "body": "hi", "handling_mode": "steal"}, "invalid_arguments", "'steer'"),
        ({"to": 7, "body": "hi"}, "invalid_arguments", "send_message.to"),
    ],
)
async def test_a_message_that_cannot_be_sent_tells_the_model_why(
    args: dict[str, Json], code: str, words: str
) -> None:
    pair = Pair((await a_desk())[0])
    result, is_error = await pair.call("send_message", **args)
    assert (is_error, result["error"]) == (True, code)
    assert words in str(result["message"])
    assert pair.arrived() == []


async def test_a_full_or_retired_receiver_refuses_and_the_model_is_told() -> None:
    pair = Pair((await a_desk())[0])
    for n in range(BOUND):
        await pair.adapter.accept_input("s", a_peer_message("x", f"before-{n}"))
    result, is_error = await pair.call("send_message", to="bob", body="hi")
    assert (is_error, result["reason"]) == (True, "inbox_full")
    await pair.adapter.retire_runtime("s")
    result, is_error = await pair.call("send_message", to="bob", body="hi")
    assert (is_error, result["reason"]) == (True, "not_ready")
    assert len(pair.arrived()) == BOUND
    await pair.adapter.aclose()


async def test_peers_lists_who_can_be_written_to() -> None:
    pair = Pair((await a_desk())[0])
    pair.ann.trust(PeerSpec(name="team/dev/al", role="dev"))
    listed: Json = [
        {"name": "team/dev/al", "role": "dev", "description": ""},
        {"name": "team/ops/bob", "role": "ops", "description": "knows the servers"},
    ]
    assert await pair.call("peers") == ({"peers": listed}, False)
    result, is_error = await pair.call("peers", of="bob")
    assert (is_error, result["error"]) == (True, "invalid_arguments")
