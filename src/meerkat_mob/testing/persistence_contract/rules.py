"""All rules of the contract."""

from __future__ import annotations

from typing import Final

from meerkat_mob.testing.expect import rules_of
from meerkat_mob.testing.persistence_contract import (
    breaking,
    checkpoints,
    damage,
    documents,
    ending,
    images,
    lasting,
    resting,
    reviving,
)
from meerkat_mob.testing.persistence_contract.maker import PersistenceRule

_MODULES: Final = (
    lasting,
    resting,
    reviving,
    checkpoints,
    images,
    documents,
    ending,
    breaking,
    damage,
)
RULES: Final[tuple[PersistenceRule, ...]] = rules_of(*(module.__name__ for module in _MODULES))
