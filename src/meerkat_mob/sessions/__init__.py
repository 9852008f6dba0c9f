"""The life of many sessions."""

from meerkat_mob.sessions.admission import Admission, Phase, Signal
from meerkat_mob.sessions.ephemeral import EphemeralSessionService
from meerkat_mob.sessions.feed import EventFeed
from meerkat_mob.sessions.ring import Ring
from meerkat_mob.sessions.service import (
    BuildAgent,
    SessionAgent,
    SessionHistory,
    SessionInfo,
    SessionQuery,
    SessionService,
    SessionSummary,
    SessionUsage,
    SessionView,
)

__all__ = (
    "Admission",
    "BuildAgent",
    "EphemeralSessionService",
    "EventFeed",
    "Phase",
    "Ring",
    "SessionAgent",
    "SessionHistory",
    "SessionInfo",
    "SessionQuery",
    "SessionService",
    "SessionSummary",
    "SessionUsage",
    "SessionView",
    "Signal",
)
