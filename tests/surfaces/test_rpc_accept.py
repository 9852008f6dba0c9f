"""Giving a session an input: what is taken, known, rejected, and no input at all (5.2, 5.3)."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.input_wire import decode_input, encode_input
from meerkat_mob.core.strict import decode
from meerkat_mob.errors import (
    InvalidParams,
    StoreFailed,
)
from meerkat_mob.llm import ScriptedLlm
from meerkat_mob.runtime.inbox import BOUND
from meerkat_mob.surfaces.rpc.input_params import (
    INPUT_DIALECT,
    AcceptInput,
    in_todays_form,
    input_of,
)
from meerkat_mob.testing.builders import a_prompt
from meerkat_mob.testing.persistence_contract.stores import BreakingStore
from tests import strategies as any_of
from tests.surfaces.inputs_kit import (
    IMAGE,
    KINDS,
    QUEUED,
    a_desk,
    a_lasting_desk,
    header,
    not_ready,
    progress,
    prompt,
)
from tests.surfaces.kit import Plain

# -- accepted ----------------------------------------------------------------------------------


async def test_an_accepted_input_is_told_with_its_policy_and_state_and_is_run() -> None:
    async with a_desk(ScriptedLlm(["gone"])) as desk:
        told = await desk.accept(prompt(idempotency_key="k"))
        await desk.idle()
        assert await desk.heard() == ["go"]
    made = told["state"].pop("created_at"), told["state"].pop("updated_at")
    assert made[0] <= made[1]
    assert told == {
        "outcome_type": "accepted",
        "input_id": "i-1",
        "policy": QUEUED,
        "state": {
            "input_id": "i-1",
            "current_state": "queued",
            "policy": {"version": 1, "decision": QUEUED},
            "durability": "durable",
            "idempotency_key": "k",
            "attempt_count": 0,
            "recovery_count": 0,
            "persisted_input": {
                "input_type": "prompt",
                "header": {
                    "id": "i-1",
                    "timestamp": 7,
                    "source": {"type": "operator"},
                    "durability": "durable",
                    "visibility": {"transcript_eligible": True, "operator_eligible": True},
                    "idempotency_key": "k",
                },
                "text": "go",
            },
        },
    }


@pytest.mark.parametrize(("item", "policy"), KINDS.values(), ids=KINDS)
async def test_an_input_of_every_kind_is_taken_with_the_policy_of_its_row(
    item: object, policy: object
) -> None:
    async with a_desk() as desk:
        await desk.hold()
        told = await desk.accept(item)
        seen = await desk.call("input/state", input_id="i-1")
    assert (told["outcome_type"], told["policy"]) == ("accepted", policy)
    assert seen == told["state"]


@pytest.mark.parametrize("item", [item for item, _ in KINDS.values()], ids=KINDS)
def test_what_is_read_strictly_means_what_it_means_where_inputs_are_kept(item: object) -> None:
    read, faults = decode(AcceptInput, {"session_id": "s", "input": item})
    assert read is not None
    assert faults == ()
    assert input_of(read.input) == decode_input(msgspec.json.encode(item))


@pytest.mark.parametrize(
    ("old", "new"), [("system_generated", "continuation"), ("projected", "operation")]
)
async def test_earlier_names_of_two_kinds_are_still_taken(old: str, new: str) -> None:
    item = KINDS[new][0] | {"input_type": old}
    async with a_desk() as desk:
        await desk.hold()
        told = await desk.accept(item)
    assert told["state"]["persisted_input"]["input_type"] == new


@pytest.mark.parametrize(
    "instant",
    [
        1767225600500,
        "2026-01-01T00:00:00.5Z",
        {"secs_since_epoch": 1767225600, "nanos_since_epoch": 500_000_000},
    ],
    ids=["ms", "text", "table"],
)
async def test_an_instant_is_taken_in_each_of_its_forms(instant: object) -> None:
    async with a_desk() as desk:
        told = await desk.accept(prompt(timestamp=instant))
    assert told["state"]["persisted_input"]["header"]["timestamp"] == 1767225600500


# -- deduplicated ------------------------------------------------------------------------------


async def test_a_known_key_or_id_is_answered_with_the_first_input_also_when_it_has_ended() -> None:
    first, second = prompt(idempotency_key="k"), prompt(input_id="i-2", idempotency_key="k")
    async with a_desk(ScriptedLlm(["once"])) as desk:
        await desk.accept(first)
        waiting = await desk.accept(second)
        await desk.idle()
        ended = await desk.accept(second)
        same = await desk.accept(prompt())
        assert await desk.call("input/state", input_id="i-2") is None
        assert await desk.heard() == ["go"]
    assert waiting == {"outcome_type": "deduplicated", "input_id": "i-2", "existing_id": "i-1"}
    assert ended == waiting
    assert same == {"outcome_type": "deduplicated", "input_id": "i-1", "existing_id": "i-1"}


# -- rejected ----------------------------------------------------------------------------------


async def test_a_runtime_that_takes_nothing_rejects_with_its_state_and_keeps_no_record() -> None:
    async with a_desk() as desk:
        await desk.call("runtime/retire")
        retired = await desk.accept(prompt())
        assert await desk.call("input/state", input_id="i-1") is None
        await desk.call("runtime/reset")
        assert (await desk.accept(prompt()))["outcome_type"] == "accepted"
        await desk.idle()
        await desk.adapter.stop_runtime_executor(desk.session_id)
        stopped = await desk.accept(prompt(input_id="i-2"))
        await desk.adapter.destroy(desk.session_id)
        destroyed = await desk.accept(prompt(input_id="i-3"))
    assert [retired, stopped, destroyed] == [*map(not_ready, ("retired", "stopped", "destroyed"))]


@pytest.mark.parametrize("ended", [True, False], ids=["of a mob that is over", "of nobody"])
async def test_a_session_without_an_inbox_rejects_as_destroyed(*, ended: bool) -> None:
    async with a_desk() as desk:
        if ended:
            await desk.there.call("mob/lifecycle", mob_id="team", action="destroy")
        session_id = desk.session_id if ended else "nobody"
        told = await desk.there.call("runtime/accept", session_id=session_id, input=prompt())
    assert told == not_ready("destroyed")


async def test_an_input_that_contradicts_itself_is_rejected_and_may_be_sent_corrected() -> None:
    async with a_desk() as desk:
        await desk.hold()
        derived = await desk.accept(prompt(durability="derived"))
        steering = await desk.accept(progress("i-2", handling_mode="steer"))
        assert await desk.ids() == []
        for input_id in ("i-1", "i-2"):
            assert await desk.call("input/state", input_id=input_id) is None
        assert (await desk.accept(prompt()))["outcome_type"] == "accepted"
        assert (await desk.accept(progress("i-2")))["outcome_type"] == "accepted"
        assert await desk.ids() == ["i-1", "i-2"]
    assert derived == {
        "outcome_type": "rejected",
        "reason": {
            "reject_type": "durability_violation",
            "detail": ("a prompt from this source could not be derived again; send it as durable"),
        },
    }
    assert steering["reason"] == {
        "reject_type": "peer_handling_mode_invalid",
        "detail": "a response in progress takes no handling_mode; leave that out",
    }


async def test_whether_a_runtime_is_ready_is_asked_before_anything_else() -> None:
    async with a_desk() as desk:
        await desk.call("runtime/retire")
        told = await desk.accept(prompt(durability="derived"))
    assert told == not_ready("retired")


async def test_an_inbox_at_its_bound_rejects_and_says_how_many_it_holds() -> None:
    async with a_desk() as desk:
        await desk.hold()
        for number in range(BOUND):
            await desk.adapter.accept_input(desk.session_id, a_prompt("go", f"i-{number}"))
        told = await desk.accept(prompt(input_id="one more"))
        assert await desk.call("input/state", input_id="one more") is None
        assert len(await desk.ids()) == BOUND
    assert (told["outcome_type"], told["reason"]["reject_type"]) == ("rejected", "inbox_full")
    assert told["reason"]["bound"] == BOUND
    assert "wait until it has worked" in told["reason"]["detail"]


async def test_an_input_that_cannot_be_kept_is_an_error_of_the_call() -> None:
    disk = BreakingStore()
    async with a_lasting_desk(disk) as desk:
        disk.breaks = lambda _: True
        with pytest.raises(StoreFailed):
            await desk.accept(prompt())
        disk.breaks = lambda _: False
        assert await desk.call("input/state", input_id="i-1") is None
        assert (await desk.accept(prompt()))["outcome_type"] == "accepted"
        await desk.idle()


# -- what is no input --------------------------------------------------------------------------


async def test_an_input_is_refused_with_every_fault_and_its_place() -> None:
    item = {
        "input_type": "prompt",
        "header": {
            "id": 3,
            "timestamp": "yesterday",
            "source": {"type": "peer", "peer": "w"},
            "durability": "durabel",
            "supersession_key": "k",
        },
        "txt": "go",
        "turn_metadata": {"handling_mode": "later", "model": "other", "keep_alive": False},
    }
    async with a_desk() as desk:
        with pytest.raises(InvalidParams) as caught:
            await desk.there.call("runtime/accept", input=item)
        assert await desk.ids() == []
    told = str(caught.value)
    for fault in (
        "input.header.id: expected text, found the number 3",
        "input.header.timestamp: expected an integer, found the text 'yesterday'",
        "input.header.source.peer: unknown key 'peer'; did you mean 'peer_id'?",
        "input.header.source.peer_id: 'peer_id' is missing",
        "input.header.durability: expected one of 'derived', 'durable', 'ephemeral'",
        "input.header.supersession_key: 'supersession_key' has no effect: inputs wait in one queue",
        "input.txt: unknown key 'txt'; did you mean 'text'?",
        "input.text: 'text' is missing",
        "input.turn_metadata.handling_mode: expected one of 'queue', 'steer'",
        "input.turn_metadata.model: 'model' has no effect: this version does not do it yet",
        "session_id: 'session_id' is missing",
    ):
        assert fault in told
    assert "keep_alive" not in told


@pytest.mark.parametrize(
    ("item", "fault"),
    [
        (None, "input: 'input' is missing|input: expected a table, found null"),
        ("go", "input: expected a table, found the text 'go'"),
        ({}, "input.input_type: 'input_type' is missing: expected one of"),
        ({"input_type": 3}, "input.input_type: expected one of .* found the number 3"),
        ({"input_type": "promt"}, "input.input_type: .* did you mean 'prompt'"),
        ({"input_type": "prompt", "text": "go"}, "input.header: 'header' is missing"),
        ({"input_type": "prompt", "header": 1, "text": "go"}, "input.header: expected a table"),
        (prompt("\ud800"), "input.text: expected text"),
        (prompt() | {"blocks": [{"type": "sound"}]}, r"input.blocks\[0\].type: expected one of"),
        (progress(convention={"convention_type": "shout"}), "input.convention.convention_type"),
        (prompt(input_id=""), "input.header.id: must not be empty"),
        (prompt(idempotency_key=""), "input.header.idempotency_key: must not be empty"),
        (prompt(timestamp=True), "input.header.timestamp: expected an integer, found true"),
    ],
)
async def test_what_is_no_input_is_refused_and_nothing_is_done(item: object, fault: str) -> None:
    async with a_desk() as desk:
        with pytest.raises(InvalidParams, match=fault):
            await desk.accept(item)
        assert await desk.ids() == []


@pytest.mark.parametrize("name", ["text", "instructions"])
async def test_words_beside_blocks_that_no_block_says_are_refused(name: str) -> None:
    item = {
        "text": prompt("What is\nthis?"),
        "instructions": KINDS["flow step"][0] | {"instructions": "What is\nthis?"},
    }[name] | {"blocks": [IMAGE]}
    also_said = [IMAGE, {"type": "text", "text": "What is this?"}]
    async with a_desk() as desk:
        await desk.hold()
        with pytest.raises(InvalidParams, match=f"input.{name}: says what no block says"):
            await desk.accept(item)
        assert await desk.ids() == []
        for text in ("", "[image: image/png]\nWhat is this?", "What is this?"):
            told = await desk.accept(item | {name: text, "blocks": also_said})
        assert told["existing_id"] == "i-1"


PLACES_IN_IT = ("input_type", "header", "text", "blocks", "convention", "payload", "event", "extra")


@given(
    item=st.sampled_from([item for item, _ in KINDS.values()]),
    said=st.dictionaries(st.sampled_from(PLACES_IN_IT), any_of.json_values, max_size=3),
    head=st.dictionaries(
        st.sampled_from(["id", "timestamp", "source", "visibility"]), any_of.json_values, max_size=2
    ),
)
def test_whatever_is_sent_is_an_input_or_a_fault_of_whoever_sent_it(
    item: dict[str, object], said: dict[str, object], head: dict[str, object]
) -> None:
    sent = {"session_id": "s", "input": item | {"header": header() | head} | said}
    read, faults = decode(AcceptInput, in_todays_form(sent), dialect=INPUT_DIALECT)
    if read is None:
        assert faults
        return
    meant = None
    with suppress(InvalidParams):
        meant = input_of(read.input)
    assert meant is None or decode_input(encode_input(meant)) == meant


async def test_a_payload_that_is_too_deep_is_refused() -> None:
    deep: Plain = []
    for _ in range(195):
        deep = [deep]
    item = KINDS["external event"][0] | {"payload": deep}
    async with a_desk() as desk:
        with pytest.raises(InvalidParams, match=r"input: .*nested deeper than"):
            await desk.accept(item)


@pytest.mark.parametrize("given", [None, [], {"input": []}, {"session_id": "s"}])
def test_what_holds_no_input_is_left_for_the_walk_to_judge(given: object) -> None:
    assert in_todays_form(given) == given


@pytest.mark.parametrize(
    "method", ["runtime/state", "runtime/retire", "runtime/reset", "input/state", "input/list"]
)
async def test_params_of_the_other_methods_are_read_strictly_too(method: str) -> None:
    async with a_desk() as desk:
        with pytest.raises(InvalidParams) as caught:
            await desk.there.call(method, session_id="", sesion=1)
    assert "session_id: must not be empty" in str(caught.value)
    assert "sesion: unknown key 'sesion'; did you mean 'session_id'?" in str(caught.value)
