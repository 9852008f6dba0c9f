"""The Python side of the page: a team from a file, played, talked to and stopped."""

from __future__ import annotations

import asyncio

import pytest

from meerkat_mob.errors import DefinitionInvalid, DefinitionUnreadable
from meerkat_mob.surfaces.worker import read_team, teams, view_of
from tests.surfaces.kit import PACK, PAIR, Tab, a_tab, b64, zipped

OFFLINE = {"kind": "scripted", "pace_ms": 0}
ZIP = zipped(PACK)


async def opened(tab: Tab, name: str = "pair.zip", content: bytes = ZIP) -> None:
    await tab.load(name, content)
    await tab.call("team/open", voice=OFFLINE)


# -- team files --------------------------------------------------------------------------------


@pytest.mark.parametrize("top", ["", "pair/"])
def test_a_zip_of_a_pack_is_a_team_whether_or_not_its_folder_was_zipped_with_it(top: str) -> None:
    pack = read_team("pair.zip", zipped({top + name: text for name, text in PACK.items()}))
    assert pack.definition.id == "pair"
    assert pack.performance == PACK["performance.toml"]


def test_a_definition_alone_is_a_team() -> None:
    assert read_team("Pair.TOML", PAIR.encode()).definition.id == "pair"


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("team.txt", b"", "a team is a .zip of a pack, or a .toml or .json file"),
        ("team.zip", b"PK nothing", "no readable zip"),
        ("team.zip", zipped({"readme.md": "hello"}), "definition.json"),
        ("team.zip", ZIP[:80] + b"\0" * 40 + ZIP[120:], "no readable zip"),
        ("team.toml", b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_a_file_that_is_no_team_is_refused_with_the_reason(
    name: str, content: bytes, why: str
) -> None:
    with pytest.raises(DefinitionUnreadable, match=why):
        read_team(name, content)


def test_an_archive_that_would_fill_the_memory_is_refused_unread() -> None:
    with pytest.raises(DefinitionUnreadable, match="more than 1000 files or 16 MB"):
        read_team("big.zip", zipped({"a": bytes(teams.MOST_BYTES + 1)}))
    with pytest.raises(DefinitionUnreadable, match="more than 1000 files"):
        read_team("many.zip", zipped({f"f{i}": "" for i in range(teams.MOST_FILES + 1)}))


@pytest.mark.parametrize("name", ["performance.toml", "definition.toml"])
def test_faults_in_a_pack_are_all_told(name: str) -> None:
    broken = PACK | {name: PACK[name] + "\n[oops]\n[unknown]\n"}
    with pytest.raises(DefinitionInvalid) as caught:
        read_team("pair.zip", zipped(broken))
    assert {d.location for d in caught.value.diagnostics} == {"oops", "unknown"}


def test_the_view_of_a_team_shows_members_wiring_and_warnings_before_anybody_exists() -> None:
    shell = PAIR.replace("tools = { comms = true }", "tools = { comms = true, shell = true }")
    view = view_of(read_team("pair.toml", shell.encode()))
    assert (view.mob_id, view.lead, view.scripted) == ("pair", "lead", False)
    assert [(s.member, s.tools) for s in view.members] == [
        ("lead", ("comms", "mob_tasks")),
        ("worker", ("comms",)),
    ]
    assert view.wires == (("lead", "worker"),)
    assert [(w.code, w.location) for w in view.warnings] == [
        ("capability_missing", "profiles.worker.tools.shell")
    ]


# -- playing -----------------------------------------------------------------------------------


async def test_a_loaded_team_is_opened_and_plays_its_script_to_the_answer() -> None:
    async with a_tab() as tab:
        view = await tab.load("pair.zip", ZIP)
        open_team = await tab.call("team/open", voice=OFFLINE)
        played = await tab.call("team/start", task="Please begin")
        board = await tab.call("mob/tasks", mob_id=open_team["mob_id"])
        history = await tab.call("session/history", session_id=open_team["sessions"]["worker"])
    assert view["description"] == "Two at work"
    assert open_team["lead"] == "lead"
    assert {k: played[k] for k in ("status", "member", "text")} == {
        "status": "answered",
        "member": "lead",
        "text": "The work is done.",
    }
    assert [task["subject"] for task in board["tasks"]] == ["The work"]
    assert history["message_count"] > 2
    kinds = [event["kind"]["type"] for event in tab.events if "kind" in event]
    assert kinds[:4] == ["mob_created", "meerkat_spawned", "meerkat_spawned", "peers_wired"]
    said = [e["envelope"]["payload"] for e in tab.events if "envelope" in e]
    assert {"type": "text_complete", "content": "That was easy."} in said


async def test_the_stream_of_an_open_team_is_named_before_its_first_event() -> None:
    async with a_tab() as tab:
        await tab.load("pair.zip", ZIP)
        number = tab.ask("team/open", voice=OFFLINE)
        first = await tab.next()
    assert first["id"] == number


async def test_what_no_script_foresaw_is_answered_by_the_plain_rule_and_says_so() -> None:
    async with a_tab() as tab:
        await opened(tab)
        told = await tab.call("team/say", member="worker", text="How are you?")
    assert str(told["text"]).startswith("[scripted] I have heard from 1.")


async def test_a_team_without_a_script_is_played_by_the_plain_rule() -> None:
    async with a_tab() as tab:
        await opened(tab, "pair.toml", PAIR.encode())
        told = await tab.call("team/start", task="Please begin")
    assert str(told["text"]).startswith("[scripted] I have heard from 1.")


@pytest.mark.virtual_only
async def test_a_pace_gives_people_time_to_read() -> None:
    loop = asyncio.get_running_loop()
    async with a_tab() as tab:
        await tab.load("pair.zip", ZIP)
        await tab.call("team/open", voice={"kind": "scripted", "pace_ms": 100})
        began = loop.time()
        await tab.call("team/start", task="Please begin")
        assert loop.time() - began > 5


@pytest.mark.virtual_only
async def test_a_stopped_team_gives_no_answer_and_goes_on_when_somebody_speaks() -> None:
    async with a_tab() as tab:
        await tab.load("pair.zip", ZIP)
        await tab.call("team/open", voice={"kind": "scripted", "pace_ms": 100})
        running = tab.ask("team/start", task="Please begin")
        await asyncio.sleep(1.5)
        await tab.call("team/stop")
        status = await tab.call("mob/status", mob_id="pair")
        await tab.call("team/stop")
        stopped = (await tab.reply(running))["result"]
        told = await tab.call("team/say", member="lead", text="Please begin, again")
        after = await tab.call("mob/status", mob_id="pair")
    assert (status["status"], status["busy_members"]) == ("Stopped", [])
    assert (stopped["status"], stopped["text"]) == ("stopped", "")
    assert told["status"] == "answered"
    assert after["status"] == "Running"


async def test_opening_again_ends_the_team_that_was_there() -> None:
    async with a_tab() as tab:
        await opened(tab)
        first = await tab.call("team/open", voice=OFFLINE)
        second = await tab.call("team/open", voice=OFFLINE)
        answer = await tab.call("team/start", task="Please begin")
    assert first["stream_id"] != second["stream_id"]
    assert answer["text"] == "The work is done."
    ended = [told["params"]["stream_id"] for told in tab.other]
    assert ended == ["stream-1", first["stream_id"]]


async def test_whoever_waits_for_a_team_that_is_opened_anew_is_told() -> None:
    async with a_tab() as tab:
        await tab.load("pair.zip", ZIP)
        await tab.call("team/open", voice={"kind": "scripted", "pace_ms": 1000})
        running = tab.ask("team/start", task="Please begin")
        await asyncio.sleep(0)
        await tab.call("team/open", voice=OFFLINE)
        reply = await tab.reply(running)
    assert reply["error"]["code"] == "REQUEST_CANCELLED"


async def test_a_server_brings_http_along_only_when_it_is_chosen() -> None:
    voice = {"kind": "server", "base_url": "http://127.0.0.1:9/v1", "model": "m"}
    async with a_tab() as tab:
        await opened(tab)
        assert tab.http_loads == 0
        await tab.call("team/open", voice=voice)
        assert tab.http_loads == 1


async def test_an_address_that_is_none_is_refused_before_anybody_is_asked() -> None:
    voice = {"kind": "server", "base_url": "localhost", "model": "m"}
    async with a_tab() as tab:
        await tab.load("pair.zip", ZIP)
        refused = await tab.refusal("team/open", voice=voice)
    assert refused["code"] == "INVALID_PARAMS"
    assert "localhost" in str(refused["message"])


# -- refusals ----------------------------------------------------------------------------------


async def test_calls_out_of_turn_say_what_comes_first() -> None:
    async with a_tab() as tab:
        assert "team/load" in str((await tab.refusal("team/open", voice=OFFLINE))["message"])
        await tab.load("pair.zip", ZIP)
        for method, params in (
            ("team/start", {"task": "x"}),
            ("team/say", {"member": "lead", "text": "x"}),
            ("team/stop", {}),
        ):
            assert "team/open" in str((await tab.refusal(method, **params))["message"])


async def test_unknown_methods_and_keys_are_refused_with_the_nearest() -> None:
    async with a_tab() as tab:
        assert "'team/open'" in str((await tab.refusal("team/opne"))["message"])
        assert "'mob/status'" in str((await tab.refusal("mob/state"))["message"])
        refused = await tab.refusal("team/open", voice={"kind": "scripted", "pace": 3})
    assert "did you mean 'pace_ms'" in str(refused["message"])


async def test_a_bad_file_leaves_the_open_team_as_it_was() -> None:
    async with a_tab() as tab:
        await opened(tab)
        refused = await tab.refusal("team/load", name="x.toml", data=b64(b"[mob]\nid=''\nx=1"))
        not_base64 = await tab.refusal("team/load", name="x.toml", data="?")
        played = await tab.call("team/start", task="Please begin")
    assert refused["code"] == "DEFINITION_INVALID"
    places = {d["location"] for d in refused["data"]["diagnostics"]}
    assert "mob.x" in places
    assert not_base64["code"] == "INVALID_PARAMS"
    assert played["text"] == "The work is done."


async def test_a_member_whose_skill_is_missing_keeps_the_team_from_opening() -> None:
    lacking = PAIR.replace('model = "scripted"', 'model = "scripted"\nskills = ["s"]', 1)
    lacking += '[skills.s]\nsource = "path"\npath = "s.md"\n'
    async with a_tab() as tab:
        view = await tab.load("pair.toml", lacking.encode())
        refused = await tab.refusal("team/open", voice=OFFLINE)
    assert [w["code"] for w in view["warnings"]] == ["missing_skill_file"]
    assert refused["code"] == "SKILL_MISSING"


async def test_inputs_and_runtimes_of_the_members_sessions_are_reached_from_the_page() -> None:
    async with a_tab() as tab:
        await tab.load("pair.zip", ZIP)
        opened = await tab.call("team/open", voice=OFFLINE)
        session_id = opened["sessions"]["lead"]
        header = {"id": "i-1", "timestamp": 7, "source": {"type": "operator"}}
        item = {"input_type": "prompt", "header": header, "text": "begin"}
        told = await tab.call("runtime/accept", session_id=session_id, input=item)
        await tab.call("mob/wait_idle", mob_id="pair")
        seen = await tab.call("input/state", session_id=session_id, input_id="i-1")
        listed = await tab.call("input/list", session_id=session_id)
        await tab.call("runtime/retire", session_id=session_id)
        refused = await tab.call("runtime/accept", session_id=session_id, input=item)
        standing = await tab.call("runtime/state", session_id=session_id)
        reset = await tab.call("runtime/reset", session_id=session_id)
    assert (told["outcome_type"], seen["current_state"]) == ("accepted", "consumed")
    assert listed == {"session_id": session_id, "inputs": []}
    assert refused["reason"] == {"reject_type": "not_ready", "state": "retired"}
    assert (standing["state"], reset) == ("retired", {"abandoned": 0})
