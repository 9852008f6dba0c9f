"""What every session service keeps (spec sessions 8.1, 8.2): rules that take a maker of one.

A home is right when all of ``RULES`` pass on it.
"""

from meerkat_mob.testing.session_contract.maker import OpenService, SessionRule
from meerkat_mob.testing.session_contract.rules import RULES

__all__ = ("RULES", "OpenService", "SessionRule")
