"""What arrives from a peer, until the receiver's model reads it (spec sessions 8.7)."""

from __future__ import annotations

import asyncio
from typing import Final, Literal

import pytest
from msgspec.structs import replace

from meerkat_mob.comms import (
    PEER_ADDED,
    PEER_RETIRED,
    Envelope,
    PeerMessage,
    PeerRequest,
    peer_input,
    render,
)
from meerkat_mob.comms.envelope import EnvelopeKind
from meerkat_mob.core.content import ImageBlock, TextBlock
from meerkat_mob.core.events import ToolExecutionStarted
from meerkat_mob.core.inputs import (
    Convention,
    Input,
    InputHeader,
    PeerInput,
    PeerSource,
    ResponseProgressConvention,
    ResponseTerminalConvention,
)
from meerkat_mob.core.messages import HandlingMode, UserMessage
from meerkat_mob.llm import ScriptedLlm, call
from meerkat_mob.runtime import Accepted, Completed, Deduplicated, InputPhase, Outcome
from meerkat_mob.testing.builders import a_prompt, a_tool_that_waits, the_next
from tests.runtime.kit import Office, an_office, settle

SENDER: Final = "team/dev/ann"
IMAGE: Final = ImageBlock(media_type="image/png", source="inline", data="aGVsbG8=")
ACCEPTED: Final = ResponseProgressConvention(request_id="r", phase="accepted")
Status = Literal["completed", "failed"]


def an_envelope(kind: EnvelopeKind, envelope_id: str) -> Envelope:
    return Envelope(id=envelope_id, sender=SENDER, to="team/ops/bob", kind=kind)


def sent(kind: EnvelopeKind, envelope_id: str = "e-1") -> PeerInput:
    return peer_input(an_envelope(kind, envelope_id), input_id=f"in-{envelope_id}", now=0)


def a_response(
    convention: Convention, name: str = "e-2", body: str = "[COMMS RESPONSE] it is done"
) -> PeerInput:
    """No envelope carries one yet: this is the input that it will become."""
    header = InputHeader(
        id=f"in-{name}", timestamp=0, source=PeerSource(peer_id=SENDER), idempotency_key=name
    )
    return PeerInput(header=header, convention=convention, body=body)


def an_end(status: Status) -> PeerInput:
    return a_response(ResponseTerminalConvention(request_id="r", status=status))


HELLO: Final = sent(PeerMessage(body="hello"))
REVIEW: Final = sent(PeerRequest(intent="review", params={"file": "a.py"}))


async def delivered(office: Office, item: Input) -> asyncio.Future[Outcome]:
    accept = office.adapter.accept_input_with_completion
    outcome, ended = await accept(office.session_id, item)
    assert isinstance(outcome, Accepted)
    assert ended is not None
    return ended


# -- who wakes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("item", [HELLO, REVIEW, an_end("completed"), an_end("failed")])
async def test_at_rest_what_a_peer_sends_is_read_at_once(item: PeerInput) -> None:
    """As the very text that it was rendered to, and once."""
    async with an_office(ScriptedLlm(["read"])) as office:
        assert isinstance(await (await delivered(office, item)), Completed)
        assert await office.heard() == [item.body]


def test_the_text_of_messages_and_requests_is_the_one_of_the_envelope() -> None:
    for item, kind in (
        (HELLO, PeerMessage(body="hello")),
        (REVIEW, PeerRequest(intent="review", params={"file": "a.py"})),
    ):
        assert item.body == render(an_envelope(kind, "e-1"))


@pytest.mark.parametrize("status", ["completed", "failed"])
async def test_a_response_behind_a_finished_turn_wakes_again(status: Status) -> None:
    async with an_office(ScriptedLlm(["asked", "thanks"])) as office:
        await (await delivered(office, a_prompt("ask ann", "in-1")))
        await office.idle()
        assert isinstance(await (await delivered(office, an_end(status))), Completed)
        assert await office.heard() == ["ask ann", an_end(status).body]


async def test_that_a_request_was_accepted_wakes_nobody_and_the_response_does() -> None:
    async with an_office(ScriptedLlm(["thanks"])) as office:
        progress = await delivered(office, a_response(ACCEPTED, "e-1", "ann is at it"))
        await settle()
        assert not progress.done()
        assert not office.adapter.is_busy(office.session_id)
        await (await delivered(office, an_end("completed")))
        assert progress.done()
        assert await office.heard() == ["ann is at it", an_end("completed").body]


async def test_an_empty_inbox_asks_nothing_of_the_model() -> None:
    llm = ScriptedLlm([])
    async with an_office(llm) as office:
        office.adapter.hold(office.session_id, held=True)
        office.adapter.hold(office.session_id, held=False)
        await settle(12)
        assert not office.adapter.is_busy(office.session_id)
    assert llm.requests == []


# -- news about peers --------------------------------------------------------------------------


async def test_who_came_and_who_left_are_requests_that_wake_nobody() -> None:
    """Both are taken, and read with the next thing that is."""
    async with an_office(ScriptedLlm(["ok"])) as office:
        news = [
            sent(PeerRequest(intent=intent, params={"peer": "x"}), name)
            for intent, name in ((PEER_ADDED, "e-1"), (PEER_RETIRED, "e-2"))
        ]
        ended = [await delivered(office, item) for item in news]
        await settle(12)
        assert [future.done() for future in ended] == [False, False]
        await (await delivered(office, a_prompt("go", "in-3")))
        assert await office.heard() == [news[0].body, news[1].body, "go"]


@pytest.mark.parametrize(("intent", "wakes"), [("review", False), ("deploy", True)])
async def test_only_the_intents_a_session_named_are_silent(intent: str, wakes: bool) -> None:
    """POL-1."""
    async with an_office(ScriptedLlm(["ok"])) as office:
        office.adapter.set_session_silent_intents(office.session_id, {"review"})
        await delivered(office, sent(PeerRequest(intent=intent)))
        assert office.adapter.is_busy(office.session_id) is wakes
        await office.idle()


# -- during a run ------------------------------------------------------------------------------


@pytest.mark.parametrize("item", [HELLO, REVIEW, an_end("completed"), an_end("failed")])
async def test_during_a_run_it_waits_and_is_read_behind_it(item: PeerInput) -> None:
    gate = asyncio.Event()
    llm = ScriptedLlm([call("wait"), "one", "two"])
    async with an_office(llm, a_tool_that_waits(gate)) as office:
        first = await _a_run(office)
        ended = await delivered(office, item)
        await settle(12)
        record = office.adapter.input_state(office.session_id, item.header.id)
        assert record is not None
        assert (record.phase, len(llm.requests)) == (InputPhase.QUEUED, 1)
        gate.set()
        outcomes = await asyncio.gather(first, ended)
        assert [o.result.text for o in outcomes if isinstance(o, Completed)] == ["one", "two"]
        assert await office.heard() == ["go", item.body]


async def test_a_steered_message_joins_the_run_that_goes_on() -> None:
    gate = asyncio.Event()
    llm = ScriptedLlm([call("wait"), "one"])
    item = sent(PeerMessage(body="stop that", handling_mode="steer"))
    async with an_office(llm, a_tool_that_waits(gate)) as office:
        first = await _a_run(office)
        ended = await delivered(office, item)
        gate.set()
        assert await ended == await first
        assert await office.heard() == ["go", item.body]
        joined = office.receipt("run-1")
        assert (joined.boundary, joined.contributing_input_ids) == (
            "run_checkpoint",
            (item.header.id,),
        )


@pytest.mark.parametrize("mode", ["steer", "queue"])
async def test_at_rest_a_message_wakes_in_either_mode(mode: HandlingMode) -> None:
    item = sent(PeerMessage(body="hello", handling_mode=mode))
    async with an_office(ScriptedLlm(["read"])) as office:
        assert isinstance(await (await delivered(office, item)), Completed)
        boundary = "run_checkpoint" if mode == "steer" else "run_start"
        assert office.receipt("run-1").boundary == boundary


async def test_a_response_and_a_message_that_wait_together_are_one_run() -> None:
    gate = asyncio.Event()
    llm = ScriptedLlm([call("wait"), "one", "two"])
    async with an_office(llm, a_tool_that_waits(gate)) as office:
        await _a_run(office)
        ended = [await delivered(office, item) for item in (an_end("completed"), HELLO)]
        gate.set()
        both = await asyncio.gather(*ended)
        assert both[0] == both[1]
        assert await office.heard() == ["go", an_end("completed").body, HELLO.body]
        assert office.receipt("run-2").contributing_input_ids == ("in-e-2", "in-e-1")


async def _a_run(office: Office) -> asyncio.Future[Outcome]:
    """A run that waits in a tool."""
    events = office.service.subscribe_session_events(office.session_id)
    ended = await delivered(office, a_prompt("go", "in-go"))
    await the_next(ToolExecutionStarted, events)
    await events.aclose()
    return ended


# -- once, and whole ---------------------------------------------------------------------------


@pytest.mark.parametrize("item", [HELLO, an_end("completed")])
async def test_what_is_delivered_twice_is_one_input(item: PeerInput) -> None:
    """W19: the second one has another id and the same envelope."""
    llm = ScriptedLlm(["once"])
    async with an_office(llm) as office:
        ended = await delivered(office, item)
        again = replace(item, header=replace(item.header, id="in-again"))
        outcome = await office.adapter.accept_input(office.session_id, again)
        assert outcome == Deduplicated(input_id="in-again", existing_id=item.header.id)
        await ended
        await office.idle()
        assert (len(llm.requests), await office.heard()) == (1, [item.body])


async def test_the_blocks_of_a_message_reach_the_model() -> None:
    llm = ScriptedLlm(["nice"])
    item = replace(HELLO, blocks=(TextBlock(text="hello"), IMAGE))
    async with an_office(llm) as office:
        await (await delivered(office, item))
        message = (await office.service.read_history(office.session_id)).messages[0]
        assert isinstance(message, UserMessage)
        assert isinstance(message.content, tuple)
        heading, text, image = message.content
        assert (heading, text) == (
            TextBlock(text=f"[COMMS MESSAGE from {SENDER}]"),
            TextBlock(text="hello"),
        )
        assert isinstance(image, ImageBlock)
    assert [blob.data for blob in llm.requests[0].blobs.values()] == [IMAGE.data]
