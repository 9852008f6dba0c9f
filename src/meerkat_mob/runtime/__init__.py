"""One session's inbox: admit, queue, run, receipt."""

from meerkat_mob.runtime.activity import Activity
from meerkat_mob.runtime.adapter import (
    Accepted,
    AcceptOutcome,
    Deduplicated,
    RuntimeSessionAdapter,
)
from meerkat_mob.runtime.events import InputChanged, RunChanged, RuntimeChanged, RuntimeEnvelope
from meerkat_mob.runtime.executor import Executor, SessionExecutor
from meerkat_mob.runtime.inbox import (
    Abandoned,
    CallbackPending,
    Completed,
    CompletedWithoutResult,
    InputPhase,
    InputRecord,
    Outcome,
    RuntimeTerminated,
)
from meerkat_mob.runtime.policy import Policy, decide
from meerkat_mob.runtime.session import RetireReport
from meerkat_mob.runtime.state import RuntimeState

__all__ = (
    "Abandoned",
    "AcceptOutcome",
    "Accepted",
    "Activity",
    "CallbackPending",
    "Completed",
    "CompletedWithoutResult",
    "Deduplicated",
    "Executor",
    "InputChanged",
    "InputPhase",
    "InputRecord",
    "Outcome",
    "Policy",
    "RetireReport",
    "RunChanged",
    "RuntimeChanged",
    "RuntimeEnvelope",
    "RuntimeSessionAdapter",
    "RuntimeState",
    "RuntimeTerminated",
    "SessionExecutor",
    "decide",
)
