"""Watching one member: all that is about it and nothing else, whatever becomes of it (2.12)."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.errors import MemberNotFound
from meerkat_mob.llm import ScriptedLlm
from meerkat_mob.mob import AnyEvent, MemberEvent, Mob, MobEvent, open_realm
from meerkat_mob.mob.events import is_about
from meerkat_mob.mob.facts import MemberRetired, MemberSpawned, PeersWired, TaskUpdated
from tests.mob.teams import a_team

TEAM = a_team("lead", "dev", "ops")


async def test_a_member_is_followed_over_its_new_beginning() -> None:
    async with open_realm(llm=ScriptedLlm(lambda _: "noted"), env={}) as realm:
        mob = await realm.create_mob(TEAM)
        await mob.spawn("lead", "lead")
        dev = await mob.spawn("dev", "dev")
        events = mob.events(member="dev", after=None)
        await dev.ask("one")
        before = dev.session_id
        await mob.respawn("dev")
        await dev.ask("two")
        await mob.member("lead").ask("and you?")
        await mob.destroy()
        seen = [event async for event in events]
    said = [event for event in seen if isinstance(event, MemberEvent)]
    assert {event.member for event in said} == {"dev"}
    assert [*dict.fromkeys(event.envelope.source_id for event in said)] == [
        f"session:{before}",
        f"session:{dev.session_id}",
    ]
    facts = [event.kind for event in seen if isinstance(event, MobEvent)]
    kinds = [type(fact) for fact in facts]
    assert kinds[:3] == [MemberRetired, MemberSpawned, PeersWired]
    assert kinds[-1] is MemberRetired


async def test_what_was_is_replayed_and_ends_with_the_mob() -> None:
    async with open_realm(llm=ScriptedLlm(lambda _: "noted"), env={}) as realm:
        mob = await realm.create_mob(TEAM)
        for role in ("lead", "dev", "ops"):
            await mob.spawn(role, role)
        task = await mob.tasks.create("sweep", "all of it")
        await mob.tasks.update(task.id, status="in_progress", owner="dev")
        events = mob.events(member="dev")
        await mob.shutdown()
        facts = [event.kind async for event in events if isinstance(event, MobEvent)]
    assert [type(fact) for fact in facts] == [MemberSpawned, PeersWired, TaskUpdated]


async def test_nobody_cannot_be_watched() -> None:
    async with open_realm(llm=ScriptedLlm(lambda _: "noted"), env={}) as realm:
        mob = await realm.create_mob(TEAM)
        await mob.spawn("lead", "lead")
        with pytest.raises(MemberNotFound, match="no member 'led'; the mob has: lead"):
            mob.events(member="led")


STEPS = st.sampled_from(["ask dev", "ask ops", "respawn dev", "wire", "unwire", "read", "read"])


@pytest.mark.virtual_only
@given(story=st.lists(STEPS, max_size=12), more=st.integers(1, 5))
async def test_whenever_one_reads_it_is_the_mob_s_stream_without_the_others(
    story: list[str], more: int
) -> None:
    async with open_realm(llm=ScriptedLlm(lambda _: "ok"), env={}) as realm:
        mob = await realm.create_mob(TEAM)
        for role in ("lead", "dev", "ops"):
            await mob.spawn(role, role)
        everything, of_one = mob.events(), mob.events(member="dev")
        seen, reading = list[AnyEvent](), asyncio.Semaphore(0)

        async def read() -> None:
            async for event in of_one:
                seen.append(event)
                if len(seen) % more == 0:
                    await reading.acquire()

        reader = asyncio.create_task(read())
        for step in story:
            if step == "read":
                reading.release()
                await asyncio.sleep(0)
            else:
                await do(mob, step)
        await mob.shutdown()
        for _ in range(1_000):
            reading.release()
        await reader
        whole = [event async for event in everything]
    wanted = [event for event in whole if is_about(event, "dev")]
    for kind in (MobEvent, MemberEvent):  # who reads late is told the facts first
        assert of_kind(seen, kind) == of_kind(wanted, kind)


def of_kind(events: list[AnyEvent], kind: type[AnyEvent]) -> list[AnyEvent]:
    return [event for event in events if isinstance(event, kind)]


async def do(mob: Mob, step: str) -> None:
    match step.split():
        case ["ask", member]:
            await mob.member(member).ask("well?")
        case ["respawn", member]:
            await mob.respawn(member)
        case ["wire"]:
            await mob.wire("dev", "ops")
        case _:
            await mob.unwire("dev", "ops")
