"""A team of five at work in a realm, in a process of its own, until it is killed. No tests.

usage: python -m tests.mob.host.team_at_work REALM LIFE

Members are given texts; each says on standard output what was accepted for whom. The lead passes
every text on to a colleague, so that messages are under way between members, too.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from meerkat_mob import open_realm
from meerkat_mob.core.content import text_of
from meerkat_mob.core.messages import UserMessage
from meerkat_mob.errors import MobExists
from meerkat_mob.llm import LlmRequest, Reply, ScriptedLlm, call, say
from meerkat_mob.mob import Mob, Realm, spawn_team
from tests.mob.teams import a_team

ROLES = ("lead", "dev", "ops", "doc", "law")
TEXTS = 40
TEAM = a_team(*ROLES)


def answer(request: LlmRequest) -> Reply:
    """The lead passes on what it is given; everybody else has read it."""
    last = request.messages[-1]
    said = text_of(last.content) if isinstance(last, UserMessage) else ""
    if request.speaker.endswith("/lead") and said.startswith("text "):
        to = ROLES[1 + int(said.rpartition("-")[2]) % 4]
        return call("send_message", to=to, body=f"relayed {said}")
    return say("read")


def a_model() -> ScriptedLlm:
    return ScriptedLlm(answer)


async def the_team(realm: Realm) -> Mob:
    """As it was left, with those members that did not come to be before."""
    try:
        mob = await realm.create_mob(TEAM)
    except MobExists:
        mob = await realm.resume_mob(TEAM.id)
    there = {entry.member for entry in mob.members()}
    await spawn_team(mob, {role: role for role in ROLES if role not in there})
    return mob


async def work(place: Path, life: str) -> None:
    async with open_realm(place, llm=a_model()) as realm:
        mob = await the_team(realm)
        for number in range(TEXTS):
            member = ROLES[number % 5] if number % 2 else "lead"
            text = f"text {life}-{number}"
            await mob.member(member).send(text)
            sys.stdout.write(f"{member} {text}\n")
            sys.stdout.flush()
            await asyncio.sleep(0)
        await mob.wait_idle()


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2]))
