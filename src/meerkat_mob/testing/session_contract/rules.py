"""All rules of the contract, in the order of a session's life."""

from __future__ import annotations

from typing import Final

from meerkat_mob.testing.expect import rules_of
from meerkat_mob.testing.session_contract import (
    calling_back,
    ending,
    forking,
    interrupting,
    looking,
    notes,
    opening,
    refusing,
    settings,
    staging,
    turns,
)
from meerkat_mob.testing.session_contract.maker import SessionRule

_MODULES: Final = (
    opening,
    refusing,
    staging,
    turns,
    calling_back,
    notes,
    settings,
    interrupting,
    looking,
    forking,
    ending,
)
RULES: Final[tuple[SessionRule, ...]] = rules_of(*(module.__name__ for module in _MODULES))
