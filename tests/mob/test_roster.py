"""The roster is a fold over facts, and wiring follows the definition's rules."""

from __future__ import annotations

import pytest

from meerkat_mob.mob.definition import MobDefinition, Orchestrator, Profile, RoleWiring, Wiring
from meerkat_mob.mob.facts import (
    Fact,
    MemberSpawned,
    PeersWired,
    SessionRef,
    decode_fact,
    encode_fact,
)
from meerkat_mob.mob.roster import Roster
from meerkat_mob.mob.wiring import wiring_targets


def spawned(member: str, profile: str) -> MemberSpawned:
    return MemberSpawned(
        member=member, profile=profile, member_ref=SessionRef(session_id=f"s-{member}")
    )


def a_roster(*facts: Fact) -> Roster:
    roster = Roster()
    for fact in facts:
        roster.apply(fact)
    return roster


def a_definition(*, auto: bool = False, pairs: tuple[tuple[str, str], ...] = ()) -> MobDefinition:
    return MobDefinition(
        id="team",
        orchestrator=Orchestrator(profile="lead"),
        profiles={name: Profile(model="m") for name in ("lead", "dev", "ops")},
        wiring=Wiring(
            auto_wire_orchestrator=auto,
            role_wiring=tuple(RoleWiring(a=a, b=b) for a, b in pairs),
        ),
    )


def test_members_are_listed_by_id_and_wired_both_ways() -> None:
    roster = a_roster(spawned("z", "dev"), spawned("a", "lead"), PeersWired(a="z", b="a"))
    assert [e.member for e in roster.list()] == ["a", "z"]
    assert [sorted(e.wired_to) for e in roster.list()] == [["z"], ["a"]]
    assert [e.member for e in roster.by_profile("dev")] == ["z"]


def test_replaying_the_same_facts_changes_nothing() -> None:
    facts = (spawned("a", "dev"), spawned("b", "dev"), PeersWired(a="a", b="b"))
    assert a_roster(*facts).list() == a_roster(*facts, PeersWired(a="b", b="a")).list()


def test_a_fact_reads_on_the_wire_with_upstreams_names() -> None:
    fact = spawned("a", "dev")
    assert encode_fact(fact) == (
        b'{"type":"meerkat_spawned","meerkat_id":"a","role":"dev",'
        b'"member_ref":{"kind":"session","session_id":"s-a"},"runtime_mode":"autonomous_host"}'
    )
    assert decode_fact(encode_fact(fact)) == fact


@pytest.mark.parametrize(
    ("definition", "new", "targets"),
    [
        (a_definition(), ("d2", "dev"), ()),
        (a_definition(auto=True), ("d2", "dev"), ("lead-1",)),
        (a_definition(auto=True), ("lead-2", "lead"), ("dev-1", "ops-1")),
        (a_definition(pairs=(("dev", "ops"),)), ("d2", "dev"), ("ops-1",)),
        (a_definition(pairs=(("dev", "ops"),)), ("o2", "ops"), ("dev-1",)),
        (a_definition(pairs=(("dev", "dev"),)), ("d2", "dev"), ("dev-1",)),
        (a_definition(auto=True, pairs=(("dev", "lead"),)), ("d2", "dev"), ("lead-1",)),
    ],
)
def test_a_new_member_is_wired_once_to_each_whom_the_rules_name(
    definition: MobDefinition, new: tuple[str, str], targets: tuple[str, ...]
) -> None:
    roster = a_roster(spawned("lead-1", "lead"), spawned("dev-1", "dev"), spawned("ops-1", "ops"))
    assert wiring_targets(definition, roster, member=new[0], profile=new[1]) == targets


def test_nobody_is_wired_to_itself() -> None:
    roster = a_roster(spawned("dev-1", "dev"))
    rules = a_definition(pairs=(("dev", "dev"),))
    assert wiring_targets(rules, roster, member="dev-1", profile="dev") == ()
