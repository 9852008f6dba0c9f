"""The Python side of the page: what its Web Worker runs."""

from meerkat_mob.surfaces.worker.bridge import Bridge
from meerkat_mob.surfaces.worker.desk import TEAM_METHODS, Desk
from meerkat_mob.surfaces.worker.offline import OfflineLlm
from meerkat_mob.surfaces.worker.page import start
from meerkat_mob.surfaces.worker.teams import TeamView, read_team, view_of

__all__ = (
    "TEAM_METHODS",
    "Bridge",
    "Desk",
    "OfflineLlm",
    "TeamView",
    "read_team",
    "start",
    "view_of",
)
