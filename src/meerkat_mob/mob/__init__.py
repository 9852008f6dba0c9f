"""Teams: what they are, how they live, and the realm they live in."""

from meerkat_mob.mob.events import AnyEvent, Lagged, MemberEvent, MobEvent
from meerkat_mob.mob.member import DeliveryReceipt, Member, MemberSnapshot
from meerkat_mob.mob.mob import Mob
from meerkat_mob.mob.realm import Realm, open_realm
from meerkat_mob.mob.roster import RosterEntry
from meerkat_mob.mob.session_service import AppliedTurn, MobSessionService, for_mobs
from meerkat_mob.mob.spawn import SpawnSpec
from meerkat_mob.mob.state import MobState
from meerkat_mob.mob.tasks import MobTask
from meerkat_mob.mob.team import addressee, default_members, spawn_team
from meerkat_mob.mob.tools import Tasks

__all__ = (
    "AnyEvent",
    "AppliedTurn",
    "DeliveryReceipt",
    "Lagged",
    "Member",
    "MemberEvent",
    "MemberSnapshot",
    "Mob",
    "MobEvent",
    "MobSessionService",
    "MobState",
    "MobTask",
    "Realm",
    "RosterEntry",
    "SpawnSpec",
    "Tasks",
    "addressee",
    "default_members",
    "for_mobs",
    "open_realm",
    "spawn_team",
)
