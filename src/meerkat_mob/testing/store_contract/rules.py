"""All rules of the contract."""

from __future__ import annotations

from typing import Final

from meerkat_mob.testing.expect import rules_of
from meerkat_mob.testing.store_contract import committing, heads, lasting, reading
from meerkat_mob.testing.store_contract.maker import StoreRule

RULES: Final[tuple[StoreRule, ...]] = rules_of(
    *(module.__name__ for module in (committing, reading, heads, lasting))
)
