"""One member's session behind a dispatcher, and inputs for it as JSON. No tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from meerkat_mob.llm import Clients, LlmClient, ScriptedLlm
from meerkat_mob.mob import Realm
from meerkat_mob.testing.builders import a_clock, a_persistent_service, some_ids
from meerkat_mob.testing.persistence_contract.stores import BreakingStore
from tests.contracts.places import PLACES
from tests.mob.teams import a_team
from tests.surfaces.kit import Plain, Wire, wire

QUEUED = {
    "apply_mode": "stage_run_start",
    "wake_mode": "wake_if_idle",
    "consume_point": "on_run_complete",
    "drain_policy": "queue_next_turn",
    "routing_disposition": "queue",
    "record_transcript": True,
    "policy_version": 1,
}
STEERED = QUEUED | {
    "apply_mode": "stage_run_boundary",
    "drain_policy": "steer_batch",
    "routing_disposition": "steer",
}
DROPPED = QUEUED | {
    "apply_mode": "ignore",
    "wake_mode": "none",
    "consume_point": "on_accept",
    "drain_policy": "ignore",
    "routing_disposition": "drop",
    "record_transcript": False,
}
PROGRESS = {"convention_type": "response_progress", "request_id": "r", "phase": "in_progress"}
IMAGE = {"type": "image", "media_type": "image/png", "source": "inline", "data": "aGk="}


def header(input_id: str = "i-1", **more: object) -> dict[str, object]:
    return {"id": input_id, "timestamp": 7, "source": {"type": "operator"}} | more


def prompt(text: str = "go", input_id: str = "i-1", **more: object) -> dict[str, object]:
    return {"input_type": "prompt", "header": header(input_id, **more), "text": text}


def steered(text: str, input_id: str) -> dict[str, object]:
    return prompt(text, input_id) | {"turn_metadata": {"handling_mode": "steer"}}


def progress(input_id: str = "i-1", **more: object) -> dict[str, object]:
    """An input that never wakes anybody."""
    source = {"type": "peer", "peer_id": "team/worker/w"}
    told = {"input_type": "peer", "header": header(input_id, source=source), "body": "half"}
    return told | {"convention": PROGRESS} | more


class Desk:
    """One member's session, and calls about it."""

    def __init__(self, there: Wire, session_id: str) -> None:
        self.there, self.session_id = there, session_id
        self.adapter = there.realm.service.runtime_adapter()

    async def call(self, method: str, /, **params: object) -> Plain:
        return await self.there.call(method, session_id=self.session_id, **params)

    async def accept(self, item: object) -> Plain:
        return await self.call("runtime/accept", input=item)

    async def ids(self) -> list[str]:
        """The inputs that have not ended."""
        return [one["input_id"] for one in (await self.call("input/list"))["inputs"]]

    async def idle(self) -> None:
        await self.there.call("mob/wait_idle", mob_id="team")

    async def hold(self) -> None:
        """What is accepted from now on waits."""
        await self.there.call("mob/lifecycle", mob_id="team", action="stop")

    async def heard(self) -> list[str]:
        """What the model was told."""
        page = await self.call("session/history")
        return [m["content"] for m in page["messages"] if m["role"] == "user"]


@asynccontextmanager
async def a_desk(llm: LlmClient | None = None) -> AsyncGenerator[Desk, None]:
    async with wire(llm) as there:
        yield await _a_member(there)


async def _a_member(there: Wire) -> Desk:
    await there.create(a_team("lead"))
    spawned = await there.call("mob/spawn", mob_id="team", profile="lead", meerkat_id="lead")
    return Desk(there, spawned["session_id"])


@asynccontextmanager
async def a_lasting_desk(
    disk: BreakingStore | None = None, llm: LlmClient | None = None
) -> AsyncGenerator[Desk, None]:
    """The same over a realm that keeps its sessions."""
    with PLACES["memory"]() as open_store:
        async with open_store() as behind:
            store = behind if disk is None else disk.over(behind)
            model = llm or ScriptedLlm(lambda _: "noted")
            sessions = await a_persistent_service(model, store)
            clients = Clients(llm=model, env={})
            async with Realm(
                sessions, store, clients=clients, clock=a_clock(step=1), ids=some_ids("new")
            ) as realm:
                there = Wire(realm)
                yield await _a_member(there)
                await there.dispatcher.aclose()


def not_ready(state: str) -> Plain:
    reason = {"reject_type": "not_ready", "state": state}
    return {"outcome_type": "rejected", "reason": reason}


KINDS: dict[str, tuple[dict[str, object], Plain]] = {
    "prompt": (prompt(), QUEUED),
    "prompt with blocks": (
        prompt("[image: image/png]") | {"blocks": [IMAGE], "turn_metadata": None},
        QUEUED,
    ),
    "prompt with all of its turn": (
        prompt()
        | {
            "turn_metadata": {
                "handling_mode": "steer",
                "additional_instructions": ["Be brief."],
                "render_metadata": {"class": "user_prompt", "salience": "urgent"},
            }
        },
        STEERED,
    ),
    "peer message": (
        {"input_type": "peer", "header": header(), "body": "hi", "convention": None},
        QUEUED,
    ),
    "peer request": (
        {
            "input_type": "peer",
            "header": header(source={"type": "peer", "peer_id": "p", "runtime_id": "r"}),
            "body": "?",
            "convention": {
                "convention_type": "request",
                "request_id": "r",
                "intent": "ask",
                "params": {"a": None},
            },
            "handling_mode": "steer",
        },
        STEERED,
    ),
    "peer response in progress": (progress(), STEERED | {"wake_mode": "none"}),
    "peer response": (
        {
            "input_type": "peer",
            "header": header(),
            "body": "no",
            "convention": {
                "convention_type": "response_terminal",
                "request_id": "r",
                "status": "failed",
            },
        },
        QUEUED,
    ),
    "flow step": (
        {
            "input_type": "flow_step",
            "header": header(source={"type": "flow", "flow_id": "f", "step_index": 2}),
            "step_id": "s",
            "instructions": "Do it",
        },
        QUEUED,
    ),
    "external event": (
        {
            "input_type": "external_event",
            "header": header(source={"type": "external", "source_name": "mail"}),
            "event_type": "mail.came",
            "payload": {"from": None, "size": [1, 2.5]},
            "render_metadata": {"class": "external_event"},
        },
        QUEUED,
    ),
    "external event with blocks in its payload": (
        {
            "input_type": "external_event",
            "header": header(),
            "event_type": "photo",
            "payload": {"blocks": [IMAGE], "from": "door"},
        },
        QUEUED,
    ),
    "continuation": (
        {"input_type": "continuation", "header": header(), "reason": "go on", "request_id": None},
        QUEUED | {"record_transcript": False},
    ),
    "operation": (
        {"input_type": "operation", "header": header(), "operation_id": "o", "event": None},
        DROPPED,
    ),
}
