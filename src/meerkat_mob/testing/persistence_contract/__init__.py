"""What a session service over a store keeps beyond a restart: rules that take a place to open.

A home is right when all of ``RULES`` pass on it, beside those of ``session_contract``. A place is
what ``store_contract`` opens: empty at first, and later it holds what was kept there.
"""

from meerkat_mob.testing.persistence_contract.maker import PersistenceRule, sessions_in
from meerkat_mob.testing.persistence_contract.rules import RULES
from meerkat_mob.testing.persistence_contract.stores import BreakingStore, HeldStore

__all__ = ("RULES", "BreakingStore", "HeldStore", "PersistenceRule", "sessions_in")
