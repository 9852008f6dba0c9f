"""What an agent is told of itself when it is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from meerkat_mob.agent.budget import UNLIMITED
from meerkat_mob.agent.retry import RetryPolicy
from meerkat_mob.core.build_state import BudgetLimits
from meerkat_mob.core.compaction import CompactionPolicy
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.llm.catalogue import known

MAX_TURNS: Final = 100
"""Model calls of one run, when nothing else is said."""

SILENCE_MS: Final = 300_000
"""How long a model's stream may say nothing."""


class AgentSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What stays the same between swaps of its model.

    ``speaker`` is the agent's comms name, if it has one. ``budget`` holds for each run,
    ``session_budget`` for all of the session. A model call may take ``call_timeout_ms``, and be
    silent for ``silence_ms``; None is for ever. ``compaction`` says
    when the history becomes shorter. ``output`` is the form of each run's answer, which
    the model may try to give ``output_attempts`` times. ``window_of`` tells how many tokens a
    model of a name can look at, if that is known.
    """

    session_id: str
    model: str
    max_tokens: int = 4096
    max_turns: int = MAX_TURNS
    budget: BudgetLimits = UNLIMITED
    session_budget: BudgetLimits = UNLIMITED
    call_timeout_ms: int | None = None
    silence_ms: int | None = SILENCE_MS
    provider_params: Mapping[str, Json] = {}
    speaker: str = ""
    retry: RetryPolicy = RetryPolicy()
    compaction: CompactionPolicy = CompactionPolicy()
    output: OutputSchema | None = None
    output_attempts: int = 2
    window_of: Callable[[str], int | None] = known().window_of
