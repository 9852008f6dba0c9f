"""What a mob's facts come to: its roster, its board, its state. Pure (spec mob 1.5, 2.13)."""

from __future__ import annotations

from typing import Final

from meerkat_mob.mob.facts import Fact
from meerkat_mob.mob.roster import Roster
from meerkat_mob.mob.state import MobState, after
from meerkat_mob.mob.tasks import TaskBoard


class MobFold:
    """Folds facts in their order. ``revision`` is the last one's number, ``at`` its time in ms."""

    def __init__(self) -> None:
        self.roster: Final = Roster()
        self.board: Final = TaskBoard()
        self.state = MobState.CREATING
        self.revision = self.at = 0

    def take(self, fact: Fact, *, seq: int, at: int) -> None:
        """One more fact."""
        self.revision, self.at = seq, at
        self.roster.apply(fact)
        self.board.apply(fact, at)
        self.state = after(self.state, fact)
