"""Who may do what to mobs (spec sessions 1.4)."""

from __future__ import annotations

from msgspec import UNSET

from meerkat_mob.core.build_state import MobToolAuthorityContext, grant, resolve_authority

KEPT = MobToolAuthorityContext(principal_token="p0", managed_mob_scope=("m",))


def fresh() -> str:
    return "p1"


def test_enabling_without_a_context_makes_one_that_may_only_create() -> None:
    assert resolve_authority("enable", UNSET, fresh) == MobToolAuthorityContext(
        principal_token="p1", can_create_mobs=True, managed_mob_scope=()
    )


def test_a_persisted_context_wins_over_a_new_one() -> None:
    assert resolve_authority("enable", KEPT, fresh) is KEPT
    assert resolve_authority("inherit", KEPT, fresh) is KEPT
    assert resolve_authority("inherit", UNSET, fresh) is UNSET


def test_disabling_clears_the_context() -> None:
    assert resolve_authority("disable", KEPT, fresh) is UNSET


def test_grants_accumulate_and_granting_again_changes_nothing() -> None:
    context = grant(grant(KEPT, "b"), "a")
    assert context.managed_mob_scope == ("a", "b", "m")
    assert grant(context, "b") is context
    assert (context.principal_token, context.can_create_mobs) == ("p0", False)
