"""What is seen and done of sessions' inputs and runtimes from outside (5.5, 5.6, 5.10)."""

from __future__ import annotations

import asyncio
import json

import pytest
from msgspec.structs import replace

from meerkat_mob.core.content import Content, ImageBlock
from meerkat_mob.errors import (
    MeerkatError,
    RuntimeNotReady,
    SessionNotFound,
)
from meerkat_mob.llm import ScriptedLlm, fail, hang
from meerkat_mob.runtime import InputPhase, InputRecord, RuntimeTerminated, decide
from meerkat_mob.surfaces.rpc import answer, encode_line
from meerkat_mob.surfaces.rpc.inputs import state_of
from meerkat_mob.testing.builders import a_prompt, a_session
from tests.surfaces.inputs_kit import (
    KINDS,
    QUEUED,
    STEERED,
    a_desk,
    a_lasting_desk,
    header,
    not_ready,
    progress,
    prompt,
    steered,
)
from tests.surfaces.kit import plain

# -- looks -------------------------------------------------------------------------------------


async def test_an_input_is_seen_waiting_at_work_and_consumed() -> None:
    async with a_desk(ScriptedLlm(["one", hang()])) as desk:
        await desk.accept(prompt())
        await desk.idle()
        await desk.accept(prompt(input_id="i-2"))
        await desk.accept(prompt(input_id="i-3"))
        while (await desk.call("input/state", input_id="i-2"))["current_state"] != "staged":
            await asyncio.sleep(0)
        done, works, waits = [await desk.call("input/state", input_id=f"i-{n}") for n in (1, 2, 3)]
        assert (await desk.call("runtime/state"))["state"] == "running"
    assert (done["current_state"], done["terminal_outcome"]) == (
        "consumed",
        {"outcome_type": "consumed"},
    )
    assert (works["current_state"], works["attempt_count"]) == ("staged", 1)
    assert works["last_run_id"] not in (None, done["last_run_id"])
    assert (waits["current_state"], waits["attempt_count"]) == ("queued", 0)
    assert "last_run_id" not in waits
    assert "terminal_outcome" not in works


async def test_an_abandoned_input_says_why_with_the_error_of_its_run() -> None:
    async with a_desk(ScriptedLlm([fail("no such model")])) as desk:
        await desk.accept(prompt())
        await desk.idle()
        seen = await desk.call("input/state", input_id="i-1")
    end = seen["terminal_outcome"]
    assert (seen["current_state"], end["outcome_type"]) == ("abandoned", "abandoned")
    assert end["reason"] == "apply_failed"
    assert end["detail"] == end["error"]["message"]
    assert "no such model" in end["detail"]


def test_an_input_whose_runtime_ended_before_it_says_so() -> None:
    item = a_prompt("go", "i-1")
    record = InputRecord(
        item=item,
        policy=decide(item, silent_intents=(), keep_alive=True),
        admission=1,
        phase=InputPhase.ABANDONED,
        outcome=RuntimeTerminated(reason="the runtime was stopped"),
    )
    assert plain(state_of(record))["terminal_outcome"] == {
        "outcome_type": "abandoned",
        "reason": "runtime_terminated",
        "detail": "the runtime was stopped",
    }


async def test_an_unknown_input_is_null() -> None:
    async with a_desk() as desk:
        assert await desk.call("input/state", input_id="i-1") is None
        request = {"id": 1, "method": "input/state", "params": {"input_id": "i-1"}}
        request["params"] = {"session_id": desk.session_id, "input_id": "i-1"}
        reply = await answer(desk.there.dispatcher.dispatch, json.dumps(request))
    assert encode_line(reply) == '{"id":1,"result":null}'


async def test_the_inputs_that_have_not_ended_are_listed_as_they_were_admitted() -> None:
    async with a_desk() as desk:
        assert await desk.call("input/list") == {"session_id": desk.session_id, "inputs": []}
        await desk.hold()
        for item in (prompt("a", "i-1"), steered("b", "i-2"), prompt("c", "i-3")):
            await desk.accept(item)
        await desk.accept(KINDS["operation"][0] | {"header": header("i-4")})
        listed = await desk.call("input/list")
        seen = [await desk.call("input/state", input_id=f"i-{n}") for n in (1, 2, 3)]
    assert listed == {"session_id": desk.session_id, "inputs": seen}
    assert [one["policy"]["decision"] for one in seen] == [QUEUED, STEERED, QUEUED]


async def test_an_image_is_shown_by_its_name_and_what_is_shown_can_be_sent() -> None:
    async with a_desk() as desk:
        await desk.hold()
        told = await desk.accept(KINDS["prompt with blocks"][0])
        shown = told["state"]["persisted_input"]
        shown["header"]["id"] = "i-2"
        again = await desk.accept(shown)
    (image,) = shown["blocks"]
    assert (image["source"], "data" in image) == ("blob", False)
    assert again["state"]["persisted_input"] == shown


@pytest.mark.parametrize(
    "content",
    ["\ud800", (ImageBlock(media_type="image/\ud800", source="inline", data="aGk="),)],
    ids=["text", "image"],
)
async def test_an_input_that_cannot_be_written_hides_no_other(content: Content) -> None:
    """Nothing asks whether one can be written that is not kept."""
    odd = a_prompt(content, "odd")
    fleeting = replace(odd, header=replace(odd.header, durability="ephemeral"))
    async with a_desk() as desk:
        await desk.hold()
        await desk.adapter.accept_input(desk.session_id, fleeting)
        await desk.accept(prompt())
        listed = (await desk.call("input/list"))["inputs"]
    assert ["persisted_input" in one for one in listed] == [False, True]


# -- runtimes ----------------------------------------------------------------------------------


async def test_the_state_of_a_runtime_is_told() -> None:
    async with a_desk(ScriptedLlm([hang()])) as desk:
        states = [await desk.call("runtime/state")]
        await desk.call("runtime/retire")
        states.append(await desk.call("runtime/state"))
        await desk.call("runtime/reset")
        states.append(await desk.call("runtime/state"))
        await desk.accept(prompt())
        states.append(await desk.call("runtime/state"))
    assert states[0] == {"session_id": desk.session_id, "state": "attached"}
    assert [one["state"] for one in states][:3] == ["attached", "retired", "attached"]


async def test_retiring_lets_what_waits_drain_and_says_how_much_that_is() -> None:
    async with a_desk() as desk:
        await desk.hold()
        for number in (1, 2, 3):
            await desk.accept(prompt(input_id=f"i-{number}"))
        retired = await desk.call("runtime/retire")
        again = await desk.call("runtime/retire")
        await desk.there.call("mob/lifecycle", mob_id="team", action="resume")
        await desk.idle()
        assert await desk.heard() == ["go"] * 3
    assert retired == {"pending_drain": 3, "abandoned": 0}
    assert again == retired


async def test_retiring_abandons_what_no_run_would_take_along() -> None:
    async with a_desk() as desk:
        await desk.accept(progress())
        retired = await desk.call("runtime/retire")
        again = await desk.call("runtime/retire")
        seen = await desk.call("input/state", input_id="i-1")
    assert retired == {"pending_drain": 0, "abandoned": 1}
    assert again == {"pending_drain": 0, "abandoned": 0}
    assert seen["terminal_outcome"] == {"outcome_type": "abandoned", "reason": "retired"}


async def test_a_reset_abandons_what_waits_and_says_how_much_that_was() -> None:
    async with a_desk() as desk:
        await desk.hold()
        await desk.accept(prompt())
        await desk.accept(prompt(input_id="i-2"))
        assert await desk.call("runtime/reset") == {"abandoned": 2}
        assert await desk.call("runtime/reset") == {"abandoned": 0}
        assert await desk.ids() == []
        seen = await desk.call("input/state", input_id="i-1")
    assert seen["terminal_outcome"] == {"outcome_type": "abandoned", "reason": "reset"}


async def test_a_reset_during_a_run_is_an_error_of_the_call_and_changes_nothing() -> None:
    async with a_desk(ScriptedLlm([hang()])) as desk:
        await desk.accept(prompt())
        await desk.accept(prompt(input_id="i-2"))
        while (await desk.call("runtime/state"))["state"] != "running":
            await asyncio.sleep(0)
        with pytest.raises(RuntimeNotReady) as caught:
            await desk.call("runtime/reset")
        assert await desk.ids() == ["i-1", "i-2"]
    assert caught.value.state == "running"


OTHERS = ("runtime/state", "runtime/retire", "runtime/reset", "input/state", "input/list")


@pytest.mark.parametrize("method", OTHERS)
async def test_a_session_that_is_not_there_is_the_same_error_as_in_a_look_at_it(
    method: str,
) -> None:
    more = {"input_id": "i-1"} if method == "input/state" else {}
    async with a_desk() as desk:
        with pytest.raises(SessionNotFound):
            await desk.there.call(method, session_id="nobody", **more)


@pytest.mark.parametrize("method", OTHERS[1:])
async def test_a_session_without_an_inbox_is_not_ready(method: str) -> None:
    more = {"input_id": "i-1"} if method == "input/state" else {}
    async with a_desk() as desk:
        session_id = await a_session(desk.there.realm.sessions)
        with pytest.raises(RuntimeNotReady) as caught:
            await desk.there.call(method, session_id=session_id, **more)
        standing = await desk.there.call("runtime/state", session_id=session_id)
        told = await desk.there.call("runtime/accept", session_id=session_id, input=prompt())
    assert caught.value.state == "destroyed"
    assert standing == {"session_id": session_id, "state": "destroyed"}
    assert told == not_ready("destroyed")


async def test_the_methods_say_the_same_of_a_realm_that_keeps_its_sessions() -> None:
    async with a_lasting_desk() as desk:
        assert (await desk.accept(prompt(idempotency_key="k")))["outcome_type"] == "accepted"
        await desk.idle()
        seen = await desk.call("input/state", input_id="i-1")
        known = await desk.accept(prompt(input_id="i-2", idempotency_key="k"))
        assert await desk.heard() == ["go"]
        await desk.call("runtime/retire")
        assert await desk.accept(prompt(input_id="i-3")) == not_ready("retired")
    assert (seen["current_state"], seen["attempt_count"]) == ("consumed", 1)
    assert known["existing_id"] == "i-1"


async def test_what_python_raises_stays_raised_there() -> None:
    async with a_desk() as desk:
        await desk.call("runtime/retire")
        with pytest.raises(MeerkatError) as caught:
            await desk.adapter.accept_input(desk.session_id, a_prompt("go", "i-1"))
    assert caught.value.code == "NOT_READY"


async def test_a_member_that_takes_nothing_from_outside_takes_an_input_for_its_session() -> None:
    """It is the realm's owner who speaks, and to a session: U-1 is about members."""
    async with a_desk(ScriptedLlm(["gone"])) as desk:
        assert (await desk.accept(prompt()))["outcome_type"] == "accepted"
        await desk.idle()
        assert await desk.heard() == ["go"]
