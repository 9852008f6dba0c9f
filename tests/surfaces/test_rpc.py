"""The dispatcher: what each method takes and gives, and how it refuses."""

from __future__ import annotations

import asyncio
import re

import pytest

from meerkat_mob.errors import (
    DefinitionInvalid,
    InvalidParams,
    MemberNotFound,
    MethodNotFound,
    MobNotFound,
    NotExternallyAddressable,
    SessionNotFound,
    WaitTimedOut,
)
from meerkat_mob.llm import PlainLlm, ScriptedLlm, hang
from meerkat_mob.surfaces.rpc import METHODS, answer, call_error, encode_line
from tests.mob.teams import a_profile, a_team
from tests.surfaces.kit import Plain, Wire, plain, wire

OPEN_LEAD = {"lead": a_profile(external_addressable=True)}


async def with_lead(there: Wire, *more: str) -> None:
    await there.create(a_team("lead", *more, profiles=OPEN_LEAD))
    await there.call("mob/spawn", mob_id="team", profile="lead", meerkat_id="lead")


# -- calls in general --------------------------------------------------------------------------


async def test_initialize_lists_every_method_and_what_is_offered() -> None:
    async with wire() as there:
        hello = await there.call("initialize")
    assert hello["methods"] == list(METHODS)
    assert hello["supports_persistent_sessions"] is False
    assert {"id": "comms", "available": True} in hello["capabilities"]
    assert {"id": "shell", "available": False} in hello["capabilities"]


async def test_the_capabilities_are_the_same_when_asked_for_alone() -> None:
    async with wire() as there:
        hello = await there.call("initialize")
        assert await there.call("capabilities/get") == {"capabilities": hello["capabilities"]}


async def test_an_unknown_method_is_refused_with_the_nearest_one() -> None:
    async with wire() as there:
        with pytest.raises(MethodNotFound, match="did you mean 'mob/spawn'") as caught:
            await there.call("mob/spwan")
    assert caught.value.facts() == {"method": "mob/spwan", "nearest": "mob/spawn"}


async def test_params_are_refused_with_every_fault_and_its_place() -> None:
    specs = [{"profile": "lead", "member": "a"}, {"profile": 3, "meerkat_id": "b", "kick_off": 1}]
    async with wire() as there:
        with pytest.raises(InvalidParams) as caught:
            await there.call("mob/spawn_many", mobid="team", specs=specs)
    told = str(caught.value)
    assert "unknown key 'mobid'; did you mean 'mob_id'?" in told
    assert "specs[1].profile: expected text, found the number 3" in told
    assert "specs[1].kick_off: unknown key 'kick_off'; did you mean 'kickoff'?" in told
    assert "specs[0].meerkat_id: 'meerkat_id' is missing" in told


async def test_a_key_of_upstream_s_without_effect_here_is_refused_by_name() -> None:
    async with wire() as there:
        await there.create(a_team("lead"))
        with pytest.raises(InvalidParams, match="'backend' has no effect"):
            await there.call(
                "mob/spawn", mob_id="team", profile="lead", meerkat_id="a", backend="session"
            )
        assert (await there.call("mob/status", mob_id="team"))["member_count"] == 0


@pytest.mark.parametrize("params", [[], "team", 3])
async def test_params_that_are_no_table_are_refused(params: object) -> None:
    async with wire() as there:
        with pytest.raises(InvalidParams, match="params: expected a table"):
            await there.dispatcher.dispatch("mob/status", params)


# -- mobs and members --------------------------------------------------------------------------


async def test_a_mob_is_created_from_its_json_and_stands_in_the_list() -> None:
    async with wire() as there:
        assert await there.create(a_team("lead")) == {"mob_id": "team", "warnings": []}
        listed = await there.call("mob/list")
        status = await there.call("mob/status", mob_id="team")
    assert status == {
        "mob_id": "team",
        "status": "Running",
        "member_count": 0,
        "busy_members": [],
    }
    assert listed == {"mobs": [status]}


async def test_a_definition_is_refused_with_every_finding() -> None:
    document = {"id": "team", "profile": {}, "orchestrator": {"profile": "ghost"}}
    async with wire() as there:
        with pytest.raises(DefinitionInvalid) as caught:
            await there.call("mob/create", definition=document)
        assert (await there.call("mob/list")) == {"mobs": []}
    codes = {one["code"] for one in plain(call_error(caught.value))["data"]["diagnostics"]}
    assert {"unknown_field", "empty_profiles", "missing_orchestrator_profile"} <= codes


@pytest.mark.parametrize("key", ["meerkat_id", "member_id", "agent_identity"])
async def test_a_member_s_id_is_taken_under_each_of_its_names(key: str) -> None:
    async with wire() as there:
        await there.create(a_team("lead"))
        spawned = await there.call("mob/spawn", **{"mob_id": "team", "profile": "lead", key: "a"})
    assert spawned["meerkat_id"] == "a"
    assert spawned["member_ref"] == {"kind": "session", "session_id": spawned["session_id"]}


async def test_many_are_spawned_in_order_and_one_that_fails_does_not_keep_the_next() -> None:
    specs = [
        {"profile": "lead", "meerkat_id": "a"},
        {"profile": "ghost", "meerkat_id": "b"},
        {"profile": "worker", "meerkat_id": "c", "labels": {"desk": "3"}},
    ]
    async with wire() as there:
        await there.create(a_team("lead", "worker"))
        made = await there.call("mob/spawn_many", mob_id="team", specs=specs)
        roster = await there.call("mob/members", mob_id="team")
    assert [(r["ok"], r["meerkat_id"]) for r in made["results"]] == [
        (True, "a"),
        (False, "b"),
        (True, "c"),
    ]
    assert made["results"][1]["error"]["code"] == "PROFILE_NOT_FOUND"
    assert [(m["meerkat_id"], m["wired_to"]) for m in roster["members"]] == [
        ("a", ["c"]),
        ("c", ["a"]),
    ]
    assert roster["members"][1]["labels"] == {"desk": "3"}
    assert roster["members"][1]["status"] == "active"


async def test_a_mob_that_is_not_there_is_named_with_those_that_are() -> None:
    async with wire() as there:
        await there.create(a_team("lead"))
        with pytest.raises(MobNotFound, match="the realm has: team"):
            await there.call("mob/members", mob_id="other")


@pytest.mark.parametrize(
    "content",
    ["go", {"text": "go"}, {"blocks": [{"type": "text", "text": "go"}]}],
    ids=["bare", "text", "blocks"],
)
async def test_content_is_taken_in_each_of_its_forms(content: object) -> None:
    async with wire(ScriptedLlm(["gone"])) as there:
        await with_lead(there)
        receipt = await there.call(
            "mob/member_send", mob_id="team", meerkat_id="lead", content=content
        )
        await there.call("mob/wait_idle", mob_id="team")
        status = await there.call("mob/member_status", mob_id="team", meerkat_id="lead")
    assert [receipt[k] for k in ("mob_id", "member_id", "handling_mode")] == [
        "team",
        "lead",
        "queue",
    ]
    assert status["output_preview"] == "gone"


async def test_content_of_both_forms_or_none_is_refused() -> None:
    async with wire() as there:
        await with_lead(there)
        neither: Plain = {}
        both: Plain = {"text": "a", "blocks": []}
        for content in (neither, both):
            with pytest.raises(InvalidParams, match="content says either 'text' or 'blocks'"):
                await there.call(
                    "mob/member_send", mob_id="team", meerkat_id="lead", content=content
                )


async def test_a_known_idempotency_key_is_not_taken_twice() -> None:
    async with wire(ScriptedLlm(["once"])) as there:
        await with_lead(there)
        sent = {"mob_id": "team", "meerkat_id": "lead", "content": "go", "idempotency_key": "k"}
        first = await there.call("mob/member_send", **sent)
        await there.call("mob/wait_idle", mob_id="team")
        assert (await there.call("mob/member_send", **sent))["input_id"] == first["input_id"]


async def test_members_that_take_nothing_from_outside_are_neither_written_to_nor_asked() -> None:
    async with wire() as there:
        await there.create(a_team("lead"))
        await there.call("mob/spawn", mob_id="team", profile="lead", meerkat_id="lead")
        for method in ("mob/member_send", "mob/ask"):
            with pytest.raises(NotExternallyAddressable):
                await there.call(method, mob_id="team", meerkat_id="lead", content="go")


async def test_an_ask_returns_what_the_member_says_once_everybody_is_idle() -> None:
    async with wire(PlainLlm()) as there:
        await with_lead(there, "worker")
        await there.call("mob/spawn", mob_id="team", profile="worker", meerkat_id="w")
        told = await there.call("mob/ask", mob_id="team", meerkat_id="lead", content="look")
    assert (told["mob_id"], told["meerkat_id"]) == ("team", "lead")
    assert re.match(r"\[scripted\] I have heard from 1\.", str(told["text"]))


async def test_waits_end_with_their_limit() -> None:
    async with wire(ScriptedLlm([hang()])) as there:
        await with_lead(there)
        with pytest.raises(WaitTimedOut):
            await there.call(
                "mob/ask", mob_id="team", meerkat_id="lead", content="go", timeout_ms=5
            )
        with pytest.raises(WaitTimedOut, match="still at work: lead"):
            await there.call("mob/wait_idle", mob_id="team", timeout_ms=5)


async def test_the_board_is_read_as_its_members_left_it() -> None:
    async with wire() as there:
        await there.create(a_team("lead"))
        await there.realm.mob("team").tasks.create("Find it")
        board = await there.call("mob/tasks", mob_id="team")
    assert [(t["subject"], t["status"], t["owner"]) for t in board["tasks"]] == [
        ("Find it", "open", None)
    ]


async def test_a_mob_is_stopped_resumed_and_destroyed() -> None:
    async with wire(ScriptedLlm([hang()])) as there:
        await with_lead(there)
        await there.call("mob/member_send", mob_id="team", meerkat_id="lead", content="go")
        states = [
            (await there.call("mob/lifecycle", mob_id="team", action=action))["status"]
            for action in ("stop", "resume", "destroy")
        ]
        with pytest.raises(
            InvalidParams, match="one of 'complete', 'destroy', 'reset', 'resume', 'stop'"
        ):
            await there.call("mob/lifecycle", mob_id="team", action="rest")
    assert states == ["Stopped", "Running", "Destroyed"]


# -- events ------------------------------------------------------------------------------------


async def test_stored_events_are_read_in_pages_by_cursor() -> None:
    async with wire() as there:
        await with_lead(there)
        first = await there.call("mob/events", mob_id="team", limit=1)
        rest = await there.call("mob/events", mob_id="team", after_cursor=1)
    assert [e["kind"]["type"] for e in first["events"]] == ["mob_created"]
    assert [(e["cursor"], e["kind"]["type"]) for e in rest["events"]] == [(2, "meerkat_spawned")]


async def test_a_stream_tells_what_was_stored_and_then_what_happens_until_the_mob_ends() -> None:
    async with wire(ScriptedLlm(["hello"])) as there:
        await with_lead(there)
        opened = await there.call("mob/stream_open", mob_id="team", after_cursor=0)
        assert there.heard == [], "the id of a stream is known before its first event"
        await there.call("mob/ask", mob_id="team", meerkat_id="lead", content="go")
        await there.call("mob/lifecycle", mob_id="team", action="destroy")
        await there.dispatcher.streams.drain()
    *events, end = there.heard
    assert end == ("mob/stream_end", {"stream_id": opened["stream_id"], "reason": "mob_ended"})
    assert {method for method, _ in events} == {"mob/stream_event"}
    kinds = [kind_of(params) for _, params in events]
    assert kinds[:2] == ["mob_created", "meerkat_spawned"]
    assert kinds[2] == "run_started"
    assert kinds[-3:] == ["run_completed", "meerkat_retired", "mob_destroyed"]


def kind_of(params: Plain) -> str:
    event = params["event"]
    told: Plain = event["kind"] if "kind" in event else event["envelope"]["payload"]
    return str(told["type"])


async def test_a_stream_of_one_member_tells_nothing_of_others() -> None:
    async with wire(PlainLlm()) as there:
        await with_lead(there, "worker")
        await there.call("mob/spawn", mob_id="team", profile="worker", meerkat_id="w")
        await there.call("mob/stream_open", mob_id="team", member="w", after_cursor=0)
        await there.call("mob/ask", mob_id="team", meerkat_id="lead", content="look")
        await there.call("mob/lifecycle", mob_id="team", action="destroy")
        await there.dispatcher.streams.drain()
    events = [params["event"] for m, params in there.heard if m == "mob/stream_event"]
    assert {event["source"] for event in events if "source" in event} == {"w"}
    facts = [event["kind"] for event in events if "kind" in event]
    assert [fact["type"] for fact in facts] == ["meerkat_spawned", "peers_wired", "meerkat_retired"]
    assert "w" in {facts[1]["a"], facts[1]["b"]}


async def test_a_stream_of_nobody_is_refused() -> None:
    async with wire() as there:
        await with_lead(there)
        with pytest.raises(MemberNotFound):
            await there.call("mob/stream_open", mob_id="team", member="ghost")


async def test_a_closed_stream_says_so_once_and_is_gone() -> None:
    async with wire() as there:
        await with_lead(there)
        opened = await there.call("mob/stream_open", mob_id="team")
        other = await there.call("mob/stream_open", mob_id="team")
        assert await there.call("mob/stream_close", stream_id=opened["stream_id"]) == {}
        with pytest.raises(InvalidParams, match=f"open are: {other['stream_id']}"):
            await there.call("mob/stream_close", stream_id=opened["stream_id"])
    ends = [params for method, params in there.heard if method == "mob/stream_end"]
    assert ends == [{"stream_id": opened["stream_id"], "reason": "closed"}]


# -- sessions ----------------------------------------------------------------------------------


async def test_a_session_is_read_with_its_history() -> None:
    async with wire(ScriptedLlm(["hello"])) as there:
        await there.create(a_team("lead", profiles=OPEN_LEAD))
        spawned = await there.call("mob/spawn", mob_id="team", profile="lead", meerkat_id="lead")
        await there.call("mob/ask", mob_id="team", meerkat_id="lead", content="go")
        session_id = spawned["session_id"]
        view = await there.call("session/read", session_id=session_id)
        page = await there.call("session/history", session_id=session_id, offset=1, limit=1)
    assert view["state"]["last_assistant_text"] == "hello"
    assert page["message_count"] == 3
    assert page["has_more"] is True
    assert [m["role"] for m in page["messages"]] == ["user"]


async def test_a_session_that_is_not_there_is_a_typed_error() -> None:
    async with wire() as there:
        with pytest.raises(SessionNotFound):
            await there.call("session/read", session_id="nobody")


# -- the wire ----------------------------------------------------------------------------------


async def test_a_request_is_answered_with_its_id_by_a_result_or_an_error() -> None:
    async with wire() as there:
        good = await answer(there.dispatcher.dispatch, '{"id": 7, "method": "mob/list"}')
        bad = await answer(
            there.dispatcher.dispatch, '{"id": "x", "method": "mob/status", "params": {"mob": 1}}'
        )
    assert encode_line(good) == '{"id":7,"result":{"mobs":[]}}'
    assert bad.id == "x"
    assert bad.result is not None
    assert encode_line(bad).startswith('{"id":"x","error":{"code":"INVALID_PARAMS","message":"mob:')


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"id": 1}', '{"id": {}, "method": "x"}', "[" * 100_000, '{"id": 1,']
)
async def test_what_is_no_request_is_answered_without_an_id(text: str) -> None:
    async with wire() as there:
        reply = await answer(there.dispatcher.dispatch, text)
    assert reply.id is None
    assert '"code":"INVALID_PARAMS"' in encode_line(reply)


async def test_a_fault_of_ours_is_told_as_one_and_a_cancel_stays_a_cancel() -> None:
    async def broken(method: str, params: object) -> object:
        if method == "wait":
            await asyncio.get_running_loop().create_future()
        raise ZeroDivisionError("oops")

    reply = await answer(broken, '{"id": 1, "method": "x"}')
    assert '"code":"INTERNAL_ERROR","message":"ZeroDivisionError: oops' in encode_line(reply)
    waiting = asyncio.ensure_future(answer(broken, '{"id": 2, "method": "wait"}'))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


# -- who goes, and who may write to whom -------------------------------------------------------


async def test_members_go_begin_anew_and_are_wired_by_calls() -> None:
    async with wire(ScriptedLlm({"dev": ["begun", "anew"]})) as there:
        await there.create(a_team("lead", "dev"))
        for profile in ("lead", "dev"):
            await there.call("mob/spawn", mob_id="team", profile=profile, meerkat_id=profile)
        pair = {"mob_id": "team", "meerkat_id": "dev"}
        for method, peer, changed in (
            ("unwire", "lead", True),
            ("unwire", {"local": "lead"}, False),
            ("wire", {"local": "lead"}, True),
            ("wire", {"external": {"name": "far/role/one"}}, True),
        ):
            found = await there.call(f"mob/{method}", **pair, peer=peer)
            assert found == {"mob_id": "team", "changed": changed}
        receipt = await there.call("mob/respawn", **pair, initial_message="begin")
        assert receipt["old_session_id"] != receipt["new_session_id"]
        await there.call("mob/wait_idle", mob_id="team")
        await there.call("mob/force_cancel", **pair)
        await there.realm.mob("team").wait_for_kickoff()
        members = {
            m["meerkat_id"]: m for m in (await there.call("mob/members", mob_id="team"))["members"]
        }
        assert members["dev"]["kickoff"]["phase"] == "started"
        assert members["dev"]["wired_to"] == ["lead"]
        assert members["dev"]["external_peers"] == ["far/role/one"]
        report = await there.call("mob/retire", **pair)
        assert (report["found"], report["session_id"]) == (True, receipt["new_session_id"])
        assert (await there.call("mob/retire", **pair))["found"] is False
        for action, state in (("complete", "Completed"), ("reset", "Running")):
            told = await there.call("mob/lifecycle", mob_id="team", action=action)
            assert (told["status"], told["member_count"]) == (state, 0)


@pytest.mark.parametrize("peer", [{}, {"local": "a", "external": {"name": "x/y/z"}}, 7, ""])
async def test_a_peer_is_one_or_the_other(peer: object) -> None:
    async with wire() as there:
        await with_lead(there)
        with pytest.raises(InvalidParams, match="peer"):
            await there.call("mob/wire", mob_id="team", meerkat_id="lead", peer=peer)
