"""`ps`, `status`, `events` and `resume`: a realm's mobs, from outside, and brought back."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from meerkat_mob import open_realm, parse_definition
from meerkat_mob.llm import ScriptedLlm
from meerkat_mob.mob import ExternalPeer, spawn_team
from tests.surfaces.cli.kit import PAIR, a_team, called

SCRIPTED = PAIR.replace("gpt-5-mini", "scripted")


@pytest.fixture
def kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A realm with the mob ``pair``, which has done its task."""
    realm = tmp_path / "kept"
    team = a_team(tmp_path, SCRIPTED)
    assert called(capsys, "run", team, "plan the release", "--realm", realm, "-q").code == 0
    return realm


async def _another(realm: Path) -> None:
    other = parse_definition(SCRIPTED.replace('id = "pair"', 'id = "other"'))
    async with open_realm(realm, llm=ScriptedLlm([])) as opened:
        mob = await opened.create_mob(other)
        _, worker = await spawn_team(mob)
        await mob.wire("worker", ExternalPeer(name="pair/lead/lead"))
        await mob.tasks.create("dig")
        await opened.sessions.archive(worker.session_id)
        await mob.stop()


def test_the_mobs_of_a_realm_are_listed(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(_another(kept))
    ended = called(capsys, "ps", kept)
    assert ended.code == 0
    rows = [line.split() for line in ended.out.splitlines()]
    assert rows[1][:4] == ["other", "Stopped", "2", "1"]
    assert rows[2][:4] == ["pair", "Running", "2", "0"]
    assert f"meerkat-mob resume {kept} other" in ended.err
    mobs = called(capsys, "ps", kept, "--json").document["mobs"]
    assert [(one["mob_id"], one["state"], one["members"]) for one in mobs] == [
        ("other", "Stopped", 2),
        ("pair", "Running", 2),
    ]


def test_a_mob_is_shown_with_its_members_wiring_and_tasks(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(_another(kept))
    ended = called(capsys, "status", kept, "other")
    assert ended.out.splitlines()[0] == "other Stopped  2 members"
    assert re.search(r"worker +worker +\d+ +\d+ .* lead, pair/lead/lead", ended.out)
    assert "#1 dig  open" in ended.out
    document = called(capsys, "status", kept, "other", "--json").document
    assert [one["member"] for one in document["members"]] == ["lead", "worker"]
    assert document["tasks"][0]["subject"] == "dig"
    assert document["mob"]["open_tasks"] == 1


def test_of_several_mobs_one_must_be_named(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(capsys, "status", kept).code == 0
    asyncio.run(_another(kept))
    for command in ("status", "events", "resume"):
        ended = called(capsys, command, kept)
        assert (ended.code, "the realm keeps 2 mobs: other, pair; name one" in ended.err) == (
            2,
            True,
        )
        ended = called(capsys, command, kept, "nobody")
        assert "MOB_NOT_FOUND" in ended.err
        assert "other, pair" in ended.err


def test_what_happened_is_shown_from_a_cursor_on(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = called(capsys, "events", kept).out.splitlines()
    assert [line.split()[3] for line in lines][:3] == [
        "mob_created",
        "meerkat_spawned",
        "meerkat_spawned",
    ]
    events = called(capsys, "events", kept, "--json", "--after", "2").lines
    assert [one["cursor"] for one in events] == list(range(3, len(lines) + 1))


@pytest.mark.parametrize("command", ["ps", "status", "events", "resume"])
def test_where_there_is_no_realm_it_says_so(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = called(capsys, command, tmp_path / "nowhere")
    assert ended.code == 2
    assert "Traceback" not in ended.err
    assert "nowhere" in ended.err


def test_a_mob_comes_back_and_takes_a_task(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = called(capsys, "resume", kept, "pair", "and now?")
    assert ended.code == 0
    assert "and now?" in ended.out
    assert "2 members, goes on" in ended.err
    assert "plan the release" not in ended.err, "what was before is not shown again"
    last = called(capsys, "resume", kept, "--json").lines[-1]
    assert (last["type"], last["member"]) == ("answer", "lead")
    assert str(last["text"]) in ended.out.replace("\n", " ")


def test_without_a_task_it_goes_on_with_what_was_waiting(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def interrupted() -> None:
        async with open_realm(kept, llm=ScriptedLlm([])) as realm:
            mob = await realm.resume_mob("pair")
            await mob.stop()
            await realm.service.runtime_adapter().aclose()

    asyncio.run(interrupted())
    assert "Stopped" in called(capsys, "ps", kept).out
    ended = called(capsys, "resume", kept)
    assert (ended.code, "nothing was waiting" in ended.err) == (0, True)
    assert "Running" in called(capsys, "ps", kept).out


def test_a_member_that_is_broken_is_told_and_the_others_go_on(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(_another(kept))
    ended = called(capsys, "resume", kept, "other", "hello?")
    assert ended.code == 0
    assert "warning member_broken at members.worker" in ended.err
    assert "worker broken" in called(capsys, "status", kept, "other").out


def test_a_model_may_answer_for_all(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = called(capsys, "resume", kept, "pair", "x", "--model", "gpt-5-mini")
    assert (ended.code, "OPENAI_API_KEY" in ended.err) == (20, True)
    assert called(capsys, "resume", kept, "pair", "x", "--model", "scripted", "-q").err == ""


def test_options_without_an_effect_are_refused(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for argv in (("--to", "lead"), ("--shell",), ("pair", " ")):
        assert called(capsys, "resume", kept, *argv).code == 2


def test_an_id_that_exists_names_the_way_back(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = called(capsys, "run", a_team(tmp_path, SCRIPTED), "x", "--realm", kept)
    assert "MOB_EXISTS" in ended.err
    assert "meerkat-mob resume" in ended.err


@pytest.fixture
def following(kept: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "meerkat_mob", "events", str(kept), "--follow", "--json"]
    # a suite that a shell put into its background ignores SIGINT, and all below would inherit that
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    yield process
    process.kill()
    process.communicate()


def test_new_facts_are_seen_as_they_come_and_an_interrupt_ends_it(
    kept: Path, following: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert following.stdout
    known = len(called(capsys, "events", kept).out.splitlines())
    seen = [following.stdout.readline() for _ in range(known)]

    async def work() -> None:
        async with open_realm(kept, llm=ScriptedLlm([])) as realm:
            mob = await realm.resume_mob("pair")
            await mob.tasks.create("dig")

    asyncio.run(work())
    new = msgspec.json.decode(following.stdout.readline())
    assert new["kind"]["type"] == "task_created"
    assert new["cursor"] == len(seen) + 1
    following.send_signal(signal.SIGINT)
    assert following.wait(timeout=30) == 130
    assert following.stderr
    assert "Traceback" not in following.stderr.read()


def test_killed_in_mid_work_the_team_goes_on_and_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    realm, team = tmp_path / "realm", a_team(tmp_path, SCRIPTED)
    argv = [sys.executable, "-m", "meerkat_mob", "run", str(team), "plan it", "--realm", str(realm)]
    command = [*argv, "--model", "scripted", "--pace", "400", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:
        if "run_started" in line:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    ended = called(capsys, "resume", realm)
    assert ended.code == 0
    assert "1 member had something to do" in ended.err
    assert "plan it" in ended.out
