"""The life of many sessions."""

from meerkat_mob.sessions.admission import Admission, Phase, Signal
from meerkat_mob.sessions.ephemeral import EphemeralSessionService
from meerkat_mob.sessions.feed import EventFeed
from meerkat_mob.sessions.ledger import StreamFacts
from meerkat_mob.sessions.persistent import PersistentSessionService
from meerkat_mob.sessions.recovery import (
    RecoveryContext,
    RecoveryOverrides,
    build_recovered_session,
)
from meerkat_mob.sessions.ring import Ring
from meerkat_mob.sessions.run import RunInbox, Steered
from meerkat_mob.sessions.service import BuildAgent, SessionAgent, SessionService
from meerkat_mob.sessions.views import (
    SessionHistory,
    SessionInfo,
    SessionQuery,
    SessionSummary,
    SessionUsage,
    SessionView,
)

__all__ = (
    "Admission",
    "BuildAgent",
    "EphemeralSessionService",
    "EventFeed",
    "PersistentSessionService",
    "Phase",
    "RecoveryContext",
    "RecoveryOverrides",
    "Ring",
    "RunInbox",
    "SessionAgent",
    "SessionHistory",
    "SessionInfo",
    "SessionQuery",
    "SessionService",
    "SessionSummary",
    "SessionUsage",
    "SessionView",
    "Signal",
    "Steered",
    "StreamFacts",
    "build_recovered_session",
)
