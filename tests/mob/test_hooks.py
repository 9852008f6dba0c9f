"""Hooks of a realm: asked in the runs of all its members."""

import asyncio

from meerkat_mob import open_realm
from meerkat_mob.core.hooks import Deny, Hook, HookCall
from meerkat_mob.errors import HookDenied
from meerkat_mob.llm import ScriptedLlm
from meerkat_mob.mob.definition import MobDefinition, Profile, ToolConfig
from meerkat_mob.testing.expect import refuses

TEAM = MobDefinition(
    id="team", profiles={"solo": Profile(model="scripted", tools=ToolConfig(comms=True))}
)


async def test_hooks_of_a_realm_look_at_every_member() -> None:
    asked: list[str] = []

    async def look(told: HookCall) -> Deny | None:
        asked.append(told.session_id)
        return Deny(message="enough") if len(asked) > 2 else None

    hook = Hook(id="watch", point="run_started", run=look, capability="guardrail")
    async with open_realm(llm=ScriptedLlm(lambda _: "yes"), hooks=[hook]) as realm:
        mob = await realm.create_mob(TEAM)
        ann, bob = await mob.spawn("solo", "ann"), await mob.spawn("solo", "bob")
        assert await ann.ask("you?") == "yes"
        assert await bob.ask("and you?") == "yes"
        assert asked == [ann.session_id, bob.session_id]
        with refuses(HookDenied) as refusal:
            await ann.ask("again?")
        assert refusal.error.why == "enough"


async def test_a_hook_in_the_background_ends_with_its_realm() -> None:
    began, ended = asyncio.Event(), list[str]()

    async def watch(told: HookCall) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(told.session_id)

    hook = Hook(id="watch", point="run_completed", run=watch, mode="background", timeout_ms=60_000)
    async with open_realm(llm=ScriptedLlm(lambda _: "yes"), hooks=[hook]) as realm:
        ann = await (await realm.create_mob(TEAM)).spawn("solo", "ann")
        assert await ann.ask("you?") == "yes"
        await began.wait()
        assert ended == []
    assert ended == [ann.session_id]
