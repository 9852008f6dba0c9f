"""Mobs that a session owns, and the mob of delegated members."""

from meerkat_mob.mob.definition import (
    MobDefinition,
    implicit_definition,
    session_scoped,
    validate,
    without_lifecycle_flags,
)


def test_a_session_scoped_mob_belongs_to_its_session_and_ends_with_it() -> None:
    scoped = session_scoped(MobDefinition(id="m"), "s1")
    assert scoped.is_owned_by_session("s1")
    assert scoped.is_session_scoped_to("s1")
    assert not scoped.is_owned_by_session("s2")
    assert not scoped.is_session_scoped_to("s2")


def test_an_owned_mob_that_stays_is_not_session_scoped() -> None:
    owned = MobDefinition(id="m", owner_session_id="s1")
    assert owned.is_owned_by_session("s1")
    assert not owned.is_session_scoped_to("s1")


def test_an_agent_cannot_claim_what_only_a_host_may() -> None:
    claimed = session_scoped(MobDefinition(id="m", is_implicit=True), "s1")
    cleared = without_lifecycle_flags(claimed)
    assert not cleared.is_implicit
    assert cleared.session_cleanup_policy == "manual"


def test_the_mob_of_delegated_members_is_valid_and_owned() -> None:
    definition = implicit_definition("s1", "some-model")
    assert definition.id == "implicit-s1"
    assert definition.is_implicit
    assert definition.is_session_scoped_to("s1")
    assert list(definition.profiles) == ["delegate"]
    delegate = definition.profiles["delegate"]
    assert (delegate.model, delegate.tools.comms) == ("some-model", True)
    assert delegate.runtime_mode == "autonomous_host"
    assert definition.wiring.auto_wire_orchestrator
    assert definition.orchestrator is None
    assert validate(definition) == []
