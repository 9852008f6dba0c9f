"""What every store keeps (design, "The store"): rules that take a maker of one.

A home is right when all of ``RULES`` pass on it, each with a place of its own.
"""

from meerkat_mob.testing.store_contract.maker import OpenStore, StoreRule
from meerkat_mob.testing.store_contract.rules import RULES

__all__ = ("RULES", "OpenStore", "StoreRule")
