"""Profiles that a realm keeps, and members that are made from them (spec mob 1.3, 5.1)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.errors import (
    DefinitionInvalid,
    ProfileNotFound,
    RealmProfileNotFound,
    RevisionConflict,
    StoreCorrupt,
)
from meerkat_mob.llm import ScriptedLlm
from meerkat_mob.mob import Mob, RealmProfile, RealmProfiles, SpawnSpec, open_realm
from meerkat_mob.mob.definition import McpServer, MobDefinition, Profile, RealmRef
from meerkat_mob.store import MemoryStore
from meerkat_mob.store.protocol import Append, NewRecord
from meerkat_mob.testing.builders import a_clock
from tests.mob.realms import Kept
from tests.mob.teams import a_profile, a_team

SMITH = RealmRef(realm_profile="smith")


def a_team_with_a_smith() -> MobDefinition:
    """Its lead is its own, and its dev is whatever the realm says a smith is."""
    return msgspec.structs.replace(a_team("lead"), realm_profiles={"dev": SMITH})


def a_smith(model: str = "first") -> Profile:
    return msgspec.structs.replace(a_profile(), model=model)


def model_of(mob: Mob, member: str) -> str:
    """What it was made to ask."""
    entry = next(entry for entry in mob.members() if entry.member == member)
    profile = mob._context.profile_of(entry)
    assert profile is not None
    return profile.model


# -- kept with revisions -----------------------------------------------------------------------


def profiles(store: MemoryStore | None = None) -> RealmProfiles:
    clock = a_clock(step=1)
    return RealmProfiles(store or MemoryStore(clock=clock), clock)


async def test_a_profile_is_kept_changed_and_deleted() -> None:
    kept = profiles()
    made = await kept.create("smith", a_smith())
    assert (made.revision, made.created_at) == (1, made.updated_at)
    assert await kept.get("smith") == made
    changed = await kept.update("smith", a_smith("second"), expected_revision=1)
    assert (changed.revision, changed.profile.model) == (2, "second")
    assert changed.created_at == made.created_at < changed.updated_at
    await kept.create("baker", a_smith())
    assert [one.name for one in await kept.list()] == ["baker", "smith"]
    assert await kept.delete("smith", expected_revision=2) == changed
    assert (await kept.get("smith"), len(await kept.list())) == (None, 1)


async def test_who_was_faster_is_not_overwritten() -> None:
    kept = profiles()
    await kept.create("smith", a_smith())
    with pytest.raises(RevisionConflict, match="'smith' is at revision 1, not 0"):
        await kept.create("smith", a_smith())
    await kept.update("smith", a_smith("second"), expected_revision=1)
    with pytest.raises(RevisionConflict) as caught:
        await kept.update("smith", a_smith("third"), expected_revision=1)
    assert (caught.value.expected, caught.value.actual) == (1, 2)
    with pytest.raises(RevisionConflict):
        await kept.delete("smith", expected_revision=1)
    assert (await kept.list())[0].profile.model == "second"


async def test_a_name_that_is_used_again_has_another_revision() -> None:
    kept = profiles()
    await kept.create("smith", a_smith())
    await kept.delete("smith", expected_revision=1)
    again = await kept.create("smith", a_smith("other"))
    assert again.revision == 3
    with pytest.raises(RevisionConflict):
        await kept.update("smith", a_smith(), expected_revision=1)


async def test_one_that_is_not_there_is_told_with_those_that_are() -> None:
    kept = profiles()
    await kept.create("baker", a_smith())
    with pytest.raises(RealmProfileNotFound, match="no profile 'smith'; the realm has: baker"):
        await kept.update("smith", a_smith(), expected_revision=1)
    with pytest.raises(RealmProfileNotFound):
        await kept.delete("smith", expected_revision=1)


async def test_what_no_member_can_be_made_from_is_not_kept() -> None:
    kept = profiles()
    bad = msgspec.structs.replace(a_smith(), max_inline_peer_notifications=-2)
    with pytest.raises(DefinitionInvalid, match="-2 is no threshold"):
        await kept.create("smith", bad)
    assert await kept.list() == ()


async def test_one_that_cannot_be_read_is_told_by_its_place() -> None:
    store = MemoryStore(clock=a_clock(step=1))
    record = NewRecord(kind="profile_kept", body=b"?")
    await store.commit((Append(stream="profile:x", expected=0, records=(record,), head=b"?"),))
    for ask in (profiles(store).get("x"), profiles(store).list()):
        with pytest.raises(StoreCorrupt, match="record 1 of profile:x"):
            await ask


NAMES, REVISIONS, MODELS = st.sampled_from("ab"), st.integers(0, 6), st.sampled_from("xyz")
CHANGES = st.one_of(
    st.tuples(st.just("create"), NAMES, REVISIONS, MODELS),
    st.tuples(st.just("update"), NAMES, REVISIONS, MODELS),
    st.tuples(st.just("delete"), NAMES, REVISIONS, MODELS),
)


@given(story=st.lists(CHANGES, max_size=20))
async def test_what_is_kept_is_what_a_table_of_revisions_would_hold(
    story: list[tuple[str, str, int, str]],
) -> None:
    kept, used, table = profiles(), {"a": 0, "b": 0}, dict[str, tuple[int, str]]()
    for what, name, revision, model in story:
        try:
            await change(kept, what, name, revision, model)
        except RealmProfileNotFound:
            assert (what, name in table) in {("update", False), ("delete", False)}
        except RevisionConflict:
            assert what == "create" or table[name][0] != revision
            assert name in table
        else:
            used[name] += 1
            if what == "create":
                assert name not in table
            else:
                assert table[name][0] == revision
            table[name] = (used[name], model)
            if what == "delete":
                del table[name]
        found = {one.name: (one.revision, one.profile.model) for one in await kept.list()}
        assert found == table


async def change(kept: RealmProfiles, what: str, name: str, revision: int, model: str) -> None:
    match what:
        case "create":
            await kept.create(name, a_smith(model))
        case "update":
            await kept.update(name, a_smith(model), expected_revision=revision)
        case _:
            await kept.delete(name, expected_revision=revision)


# -- members that are made from them -----------------------------------------------------------


async def test_a_member_is_made_from_the_realm_s_profile_and_stays_so_until_it_begins_anew() -> (
    None
):
    async with open_realm(llm=ScriptedLlm(lambda _: "noted"), env={}) as realm:
        await realm.profiles.create("smith", a_smith())
        mob = await realm.create_mob(a_team_with_a_smith())
        await mob.spawn("dev", "dev")
        assert model_of(mob, "dev") == "first"
        await realm.profiles.update("smith", a_smith("second"), expected_revision=1)
        await mob.spawn("dev", "later")
        assert [model_of(mob, m) for m in ("dev", "later")] == ["first", "second"]
        assert revisions(mob) == {"dev": 1, "later": 2}
        await mob.respawn("dev")
        assert (model_of(mob, "dev"), revisions(mob)["dev"]) == ("second", 2)


def revisions(mob: Mob) -> dict[str, int]:
    kept = {entry.member: entry.realm_profile for entry in mob.members()}
    return {name: one.revision for name, one in kept.items() if isinstance(one, RealmProfile)}


async def test_a_profile_that_is_not_there_makes_nobody_and_unmakes_nobody() -> None:
    async with open_realm(llm=ScriptedLlm(lambda _: "noted"), env={}) as realm:
        mob = await realm.create_mob(a_team_with_a_smith())
        with pytest.raises(ProfileNotFound, match="'dev' is the realm's profile 'smith'") as caught:
            await mob.spawn("dev", "dev")
        assert caught.value.profile == "dev"
        made = await realm.profiles.create("smith", a_smith())
        before = (await mob.spawn("dev", "dev")).session_id
        await realm.profiles.delete("smith", expected_revision=made.revision)
        with pytest.raises(ProfileNotFound):
            await mob.respawn("dev")
        assert mob.member("dev").session_id == before


async def test_one_that_does_not_fit_the_mob_is_refused_with_the_place() -> None:
    async with open_realm(llm=ScriptedLlm(lambda _: "noted"), env={}) as realm:
        team = a_team_with_a_smith()
        skilled = msgspec.structs.replace(
            a_smith(), tools=msgspec.structs.replace(a_smith().tools, mcp=("forge",))
        )
        await realm.profiles.create("smith", skilled)
        servers = {"other": McpServer(url="http://127.0.0.1:1")}
        mob = await realm.create_mob(msgspec.structs.replace(team, mcp_servers=servers))
        with pytest.raises(DefinitionInvalid, match=r"revision 1: profiles\.dev\.tools\.mcp"):
            await mob.spawn("dev", "dev")
        assert mob.members() == ()


async def test_one_s_own_profile_wins_over_the_realm_s() -> None:
    async with open_realm(llm=ScriptedLlm(lambda _: "noted"), env={}) as realm:
        mob = await realm.create_mob(a_team_with_a_smith())
        await mob.spawn_spec(
            SpawnSpec(profile="dev", member_id="dev", override_profile=a_smith("own"))
        )
        assert model_of(mob, "dev") == "own"


async def test_a_mob_comes_back_though_its_realm_s_profile_has_gone() -> None:
    kept = Kept()
    llm = ScriptedLlm(lambda _: "noted")
    async with kept.realm(llm) as realm:
        await realm.profiles.create("smith", a_smith())
        await (await realm.create_mob(a_team_with_a_smith())).spawn("dev", "dev")
    async with kept.realm(llm) as realm:
        await realm.profiles.delete("smith", expected_revision=1)
    async with kept.realm(llm) as realm:
        mob = await realm.resume_mob("team")
        assert (await mob.member_status("dev")).status == "active"
        assert await mob.member("dev").ask("are you there?") == "noted"
