"""Every program of examples/ runs as its reader would run it, offline, and its team is sound."""

from __future__ import annotations

import asyncio
import contextlib
import io
import runpy
from pathlib import Path

import pytest

from meerkat_mob import Mob, addressee, default_members, load_pack, open_realm, spawn_team
from meerkat_mob.core.events import RunFailed
from meerkat_mob.llm import PerformanceLlm, parse_performance
from meerkat_mob.mob.events import AnyEvent, MemberEvent, MobEvent
from meerkat_mob.mob.facts import TaskUpdated

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))
MOST_LINES = 120


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_a_program_runs_offline_and_says_something(program: Path) -> None:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        runpy.run_path(str(program), run_name="__main__")
    assert said.getvalue().strip()


def test_every_program_is_short_enough_to_be_read_at_once() -> None:
    assert PROGRAMS
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in PROGRAMS}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_the_incident_room_is_valid_without_a_warning() -> None:
    pack = load_pack(EXAMPLES / "incident-room")
    assert pack.diagnostics == ()
    assert len(pack.definition.profiles) == 5


async def test_the_incident_room_plays_to_its_end_and_every_task_is_done() -> None:
    pack = load_pack(EXAMPLES / "incident-room")
    performance = parse_performance(pack.performance or "")
    async with open_realm(llm=PerformanceLlm(performance)) as realm:
        mob = await realm.create_mob(pack.definition)
        await spawn_team(mob)
        lead = mob.member(addressee(mob.definition, default_members(mob.definition)))
        answer = await lead.ask("Checkout fails for one customer in five since 09:40.")
        tasks = mob.tasks.list()
    assert answer.startswith("Checkout works again.")
    assert [(task.status, bool(task.owner)) for task in tasks] == [("completed", True)] * 5


@pytest.mark.virtual_only
@pytest.mark.parametrize("pace_ms", [1, 7, 40, 400])
async def test_the_incident_room_tells_the_same_story_at_any_pace(pace_ms: int) -> None:
    """Messages come in other orders and batches then; nobody fails, and nothing stays undone."""
    pack = load_pack(EXAMPLES / "incident-room")
    llm = PerformanceLlm(parse_performance(pack.performance or ""), pace_ms=pace_ms)
    seen: list[AnyEvent] = []

    async def watch(mob: Mob) -> None:
        seen.extend([event async for event in mob.events()])

    async with open_realm(llm=llm) as realm:
        mob = await realm.create_mob(pack.definition)
        watching = asyncio.create_task(watch(mob))
        await spawn_team(mob)
        answer = await mob.member("commander").ask("Checkout fails for one in five.")
        await mob.destroy()
        await watching
    assert answer.startswith("Checkout works again.")
    said = [event.envelope.payload for event in seen if isinstance(event, MemberEvent)]
    facts = [event.kind for event in seen if isinstance(event, MobEvent)]
    ended = {f.task_id for f in facts if isinstance(f, TaskUpdated) and f.status == "completed"}
    assert [one for one in said if isinstance(one, RunFailed)] == []
    assert len(ended) == 5
