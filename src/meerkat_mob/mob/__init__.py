"""Teams: what they are, how they live, and the realm they live in."""

from meerkat_mob.mob.events import AnyEvent, Lagged, MemberEvent, MobEvent
from meerkat_mob.mob.facts import ExternalPeer
from meerkat_mob.mob.helping import ErrandOptions, ErrandResult
from meerkat_mob.mob.lifecycle import EndReport, StopReport
from meerkat_mob.mob.member import DeliveryReceipt, Member
from meerkat_mob.mob.mob import Mob
from meerkat_mob.mob.profiles import RealmProfile, RealmProfiles
from meerkat_mob.mob.realm import Realm, open_realm
from meerkat_mob.mob.request import (
    AllowTools,
    BudgetSplitPolicy,
    DenyTools,
    Fork,
    ForkContext,
    Fresh,
    FullHistory,
    InheritTools,
    LastMessages,
    LaunchMode,
    Resume,
    SpawnSpec,
    ToolAccessPolicy,
)
from meerkat_mob.mob.respawning import RespawnReceipt
from meerkat_mob.mob.retiring import RetireReport
from meerkat_mob.mob.roster import RosterEntry
from meerkat_mob.mob.session_service import AppliedTurn, MobSessionService, for_mobs
from meerkat_mob.mob.state import MobState
from meerkat_mob.mob.status import MemberSnapshot
from meerkat_mob.mob.tasks import MobTask
from meerkat_mob.mob.team import addressee, default_members, spawn_team
from meerkat_mob.mob.tools import Tasks

__all__ = (
    "AllowTools",
    "AnyEvent",
    "AppliedTurn",
    "BudgetSplitPolicy",
    "DeliveryReceipt",
    "DenyTools",
    "EndReport",
    "ErrandOptions",
    "ErrandResult",
    "ExternalPeer",
    "Fork",
    "ForkContext",
    "Fresh",
    "FullHistory",
    "InheritTools",
    "Lagged",
    "LastMessages",
    "LaunchMode",
    "Member",
    "MemberEvent",
    "MemberSnapshot",
    "Mob",
    "MobEvent",
    "MobSessionService",
    "MobState",
    "MobTask",
    "Realm",
    "RealmProfile",
    "RealmProfiles",
    "RespawnReceipt",
    "Resume",
    "RetireReport",
    "RosterEntry",
    "SpawnSpec",
    "StopReport",
    "Tasks",
    "ToolAccessPolicy",
    "addressee",
    "default_members",
    "for_mobs",
    "open_realm",
    "spawn_team",
)
