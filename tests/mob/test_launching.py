"""How members come: side by side, as forks, with sessions there are, by themselves (2.4, 2.11)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from meerkat_mob.core.events import RunResult
from meerkat_mob.core.messages import text_of_message
from meerkat_mob.core.requests import CreateSessionRequest
from meerkat_mob.errors import (
    InvalidParams,
    InvalidTransition,
    MeerkatError,
    MemberExists,
    MemberNotFound,
    NotExternallyAddressable,
    ProfileNotFound,
    RevisionConflict,
    SessionNotFound,
    SpawnCancelled,
    WiringRefused,
)
from meerkat_mob.llm import Script, ScriptedLlm
from meerkat_mob.mob import (
    AllowTools,
    DenyTools,
    Fork,
    Member,
    Mob,
    MobState,
    Resume,
    SpawnSpec,
    open_realm,
)
from meerkat_mob.mob.definition import AutoSpawn, MobDefinition
from meerkat_mob.mob.facts import MemberSpawned, PeersWired
from meerkat_mob.mob.request import SplitFixed
from meerkat_mob.sessions import SessionQuery
from meerkat_mob.testing.builders import a_request
from tests.mob.realms import Kept
from tests.mob.teams import a_profile, a_team, incoming

TEAM = a_team("lead", "dev", "ops", pairs=[("dev", "ops")])


async def kinds(mob: Mob) -> list[str]:
    return [type(event.kind).__name__ for event in await mob.poll_events(limit=1000)]


class Gate:
    """Sessions are made when it opens."""

    def __init__(self, mob: Mob, patch: pytest.MonkeyPatch) -> None:
        self.waiting = 0
        self.open = asyncio.Event()
        self._make = mob._context.sessions.create_session
        patch.setattr(mob._context.sessions, "create_session", self._create)

    async def _create(self, request: CreateSessionRequest) -> RunResult:
        self.waiting += 1
        await self.open.wait()
        return await self._make(request)

    async def reached(self, count: int) -> None:
        while self.waiting < count:
            await asyncio.sleep(0)


# -- side by side ------------------------------------------------------------------------------


async def test_sessions_are_made_side_by_side_and_results_come_in_the_order_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(TEAM)
        gate = Gate(mob, monkeypatch)
        wanted = [
            SpawnSpec(profile="dev", member_id="b"),
            SpawnSpec(profile="nobody", member_id="x"),
            SpawnSpec(profile="ops", member_id="a"),
            SpawnSpec(profile="lead", member_id="c"),
        ]
        spawning = asyncio.ensure_future(mob.spawn_many(wanted))
        await gate.reached(3)
        assert mob.members() == ()
        gate.open.set()
        b, x, a, c = await spawning
        assert [m.id for m in (b, a, c) if isinstance(m, Member)] == ["b", "a", "c"]
        assert isinstance(x, ProfileNotFound)
        facts = [e.kind for e in await mob.poll_events(limit=99)]
        pairs = [sorted((k.a, k.b)) for k in facts if isinstance(k, PeersWired)]
        assert sorted(pairs) == [["a", "b"], ["a", "c"], ["b", "c"]]


async def test_an_id_is_taken_while_its_member_is_being_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(TEAM)
        gate = Gate(mob, monkeypatch)
        first = asyncio.ensure_future(mob.spawn("dev", "a"))
        await gate.reached(1)
        with pytest.raises(MemberExists):
            await mob.spawn("ops", "a")
        gate.open.set()
        await first
        with pytest.raises(MemberExists):
            await mob.spawn("dev", "a")


ENDS: tuple[tuple[Callable[[Mob], Awaitable[object]], str], ...] = (
    (lambda mob: mob.stop(), "the mob was stopped"),
    (lambda mob: mob.complete(), "the mob was completed"),
    (lambda mob: mob.reset(), "the mob was reset"),
    (lambda mob: mob.destroy(), "the mob was destroyed"),
    (lambda mob: mob.shutdown(), "the mob was shut down"),
    (lambda mob: mob.retire("a"), "its member was retired"),
    (lambda mob: mob.retire_all(), "all members were retired"),
)


@pytest.mark.parametrize(("end", "reason"), ENDS, ids=[reason for _, reason in ENDS])
async def test_a_spawn_that_goes_on_is_ended_with_its_mob_and_leaves_nothing(
    end: Callable[[Mob], Awaitable[object]], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(TEAM)
        gate = Gate(mob, monkeypatch)
        spawning = asyncio.ensure_future(mob.spawn("dev", "a"))
        await gate.reached(1)
        await end(mob)
        with pytest.raises(SpawnCancelled, match=reason):
            await spawning
        gate.open.set()
        assert "MemberSpawned" not in await kinds(mob)
        assert await realm.sessions.list(SessionQuery()) == []


async def test_who_gives_up_waiting_ends_the_spawn(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(TEAM)
        gate = Gate(mob, monkeypatch)
        spawning = asyncio.ensure_future(mob.spawn("dev", "a"))
        await gate.reached(1)
        spawning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await spawning
        gate.open.set()
        await mob.spawn("dev", "a")
        assert len(await realm.sessions.list(SessionQuery())) == 1


# -- what a member is given --------------------------------------------------------------------


async def test_all_that_was_asked_for_is_kept_and_reaches_the_model() -> None:
    spec = SpawnSpec(
        profile="dev",
        member_id="d",
        initial_message="begin",
        context={"ticket": 7},
        additional_instructions=("Answer in one word.",),
        labels={"shift": "night", "mob_id": "not this"},
        budget_split_policy=SplitFixed(value=1000),
        override_profile=a_profile(runtime_mode="turn_driven"),
    )
    with ScriptedLlm({"d": ["ok"]}) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(TEAM)
            await mob.spawn_spec(spec)
            await mob.wait_for_kickoff()
            (fact,) = [e.kind for e in await mob.poll_events() if isinstance(e.kind, MemberSpawned)]
            (summary,) = await realm.sessions.list(SessionQuery(labels={"shift": "night"}))
    assert (fact.request, fact.runtime_mode) == (spec, "turn_driven")
    assert msgspec.json.decode(msgspec.json.encode(fact), type=MemberSpawned) == fact
    prompt = text_of_message(llm.requests[0].messages[0])
    assert prompt.endswith('Answer in one word.\n\n# Context\n\n{"ticket":7}')
    assert summary.labels["mob_id"] == "team"


@pytest.mark.parametrize(
    ("policy", "seen"),
    [
        (AllowTools(value=("peers", "nothing")), {"peers"}),
        (DenyTools(value=("peers",)), {"send_message"}),
    ],
    ids=["allow", "deny"],
)
async def test_a_policy_hides_tools_for_good(
    policy: AllowTools | DenyTools, seen: set[str]
) -> None:
    spec = SpawnSpec(profile="dev", member_id="d", tool_access_policy=policy)
    kept = Kept()
    async with kept.realm(llm := ScriptedLlm(["ok"])) as realm:
        mob = await realm.create_mob(TEAM)
        dev = await mob.spawn_spec(spec)
        await realm.sessions.set_session_tool_filter(dev.session_id, "all")
        await dev.ask("?")
        assert {t.name for t in llm.requests[-1].tools} & {"peers", "send_message"} == seen
    async with kept.realm(llm := ScriptedLlm(["ok", "ok"])) as realm:
        mob = await realm.resume_mob("team")
        for _ in range(2):
            await mob.member("d").ask("?")
            assert {t.name for t in llm.requests[-1].tools} & {"peers", "send_message"} == seen
            await mob.respawn("d")


async def test_a_member_is_wired_to_the_one_that_asked_for_it() -> None:
    team = MobDefinition(id="team", profiles={"dev": a_profile()})
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(team)
        await mob.spawn("dev", "parent")
        child = SpawnSpec(profile="dev", member_id="child", auto_wire_parent=True, parent="parent")
        await mob.spawn_spec(child)
        assert {e.member: set(e.wired_to) for e in mob.members()} == {
            "parent": {"child"},
            "child": {"parent"},
        }
        orphan = msgspec.structs.replace(child, member_id="o", parent="nobody")
        with pytest.raises(MemberNotFound, match="nobody"):
            await mob.spawn_spec(orphan)
        with pytest.raises(InvalidParams, match="parent"):
            await mob.spawn_spec(SpawnSpec(profile="dev", member_id="o", auto_wire_parent=True))


# -- forks and sessions there are --------------------------------------------------------------


async def test_a_fork_is_a_member_of_its_own_that_remembers() -> None:
    script: Script = {"lead": ["7"], "twin": ["still 7"]}
    with ScriptedLlm(script) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(TEAM)
            lead = await mob.spawn("lead", "lead")
            await lead.ask("a number?")
            fork = SpawnSpec(
                profile="dev", member_id="twin", launch_mode=Fork(source_member_id="lead")
            )
            twin = await mob.spawn_spec(fork)
            assert twin.session_id != lead.session_id
            assert await twin.ask("again?") == "still 7"
            mine = await realm.sessions.read_history(lead.session_id)
            assert "again?" not in [text_of_message(m) for m in mine.messages]
            with pytest.raises(MemberNotFound):
                await mob.spawn_spec(
                    SpawnSpec(
                        profile="dev", member_id="x", launch_mode=Fork(source_member_id="nobody")
                    )
                )
    heard = [text for text in incoming(llm.requests[-1]) if "COMMS" not in text]
    assert heard == ["a number?", "again?"]
    assert "You are twin, role dev" in text_of_message(llm.requests[-1].messages[0])


async def test_a_session_there_is_becomes_a_member_s() -> None:
    kept = Kept()
    async with kept.realm(llm := ScriptedLlm(["alone", "in a team", "x"])) as realm:
        await realm.sessions.create_session(a_request("hello", session_id="mine"))
        mob = await realm.create_mob(TEAM)
        launch = Resume(session_id="mine")
        dev = await mob.spawn_spec(SpawnSpec(profile="dev", member_id="d", launch_mode=launch))
        assert dev.session_id == "mine"
        assert await dev.ask("and now?") == "in a team"
        assert incoming(llm.requests[-1]) == ["hello", "and now?"]
        assert "send_message" in {t.name for t in llm.requests[-1].tools}
        with pytest.raises(WiringRefused, match="fork it"):
            await mob.spawn_spec(SpawnSpec(profile="dev", member_id="e", launch_mode=launch))
        gone = Resume(session_id="nobody's")
        with pytest.raises(SessionNotFound):
            await mob.spawn_spec(SpawnSpec(profile="dev", member_id="e", launch_mode=gone))
        other = await realm.create_mob(msgspec.structs.replace(TEAM, id="other"))
        with pytest.raises(WiringRefused, match="somebody else's"):
            await other.spawn_spec(SpawnSpec(profile="dev", member_id="d", launch_mode=launch))
    async with kept.realm(ScriptedLlm(["again"])) as realm:
        mob = await realm.resume_mob("team")
        assert await mob.member("d").ask("there?") == "again"


# -- by themselves -----------------------------------------------------------------------------

AUTO = msgspec.structs.replace(
    a_team("lead", profiles={"worker": a_profile(external_addressable=True)}),
    spawn_policy=AutoSpawn(profile_map={"w-*": "worker", "w-lead": "lead"}),
)


async def test_a_member_comes_when_it_is_first_written_to() -> None:
    with ScriptedLlm({"w-1": ["one", "two"], "extra": ["three"]}) as llm:
        async with open_realm(llm=llm) as realm:
            mob = await realm.create_mob(AUTO)
            await asyncio.gather(mob.send("w-1", "first"), mob.send("w-1", "second"))
            await mob.wait_idle()
            assert [(e.member, e.profile) for e in mob.members()] == [("w-1", "worker")]
            with pytest.raises(MemberNotFound):
                await mob.send("someone", "x")
            with pytest.raises(NotExternallyAddressable):
                await mob.send("w-lead", "x")

            def only_extra(name: str) -> SpawnSpec | None:
                return SpawnSpec(profile="worker", member_id=name) if name == "extra" else None

            mob.set_spawn_policy(only_extra)
            await mob.send("extra", "x")
            await mob.wait_idle()
            mob.set_spawn_policy(None)
            with pytest.raises(MemberNotFound):
                await mob.send("w-2", "x")
            await mob.stop()
            with pytest.raises(InvalidTransition):
                await mob.send("w-3", "x")
    assert len(llm.requests) == 3


# -- definitions that change -------------------------------------------------------------------


async def test_members_to_come_are_made_from_the_definition_there_is_now() -> None:
    wider = a_team("lead", "dev", "ops", "artist")
    async with open_realm(llm=ScriptedLlm([])) as realm:
        mob = await realm.create_mob(TEAM)
        await mob.spawn("lead", "lead")
        with pytest.raises(ProfileNotFound):
            await mob.spawn("artist", "a")
        assert await mob.redefine(wider, expected_revision=1) == mob.revision == 2
        with pytest.raises(RevisionConflict, match="revision 2, not 1"):
            await mob.redefine(TEAM, expected_revision=1)
        await mob.spawn("artist", "a")
        assert mob.definition == wider
        with pytest.raises(WiringRefused, match="'other'"):
            await mob.redefine(msgspec.structs.replace(TEAM, id="other"), expected_revision=2)
        with pytest.raises(MeerkatError, match="empty_profiles"):
            await mob.redefine(MobDefinition(id="team"), expected_revision=2)
        await mob.reset()
        assert (mob.definition, mob.revision, mob.state) == (wider, 2, MobState.RUNNING)
