"""What a service over a store keeps beyond a restart, wherever the store keeps it."""

import pytest

from meerkat_mob.testing.persistence_contract import RULES, PersistenceRule
from tests.contracts.places import PLACES, Place, name_of


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("rule", RULES, ids=name_of)
async def test_the_service_keeps_the_rule(rule: PersistenceRule, place: Place) -> None:
    with place() as open_store:
        await rule(open_store)


def test_no_rule_is_lost() -> None:
    assert len(RULES) == 101
