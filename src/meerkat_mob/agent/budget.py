"""What a run may consume, for itself and of its session, and how much of that is left.

The rule: a model call that would exceed is not made, and a tool call that would exceed is not
run. It supersedes BUD-1, which looks only at what has been consumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec import UNSET

from meerkat_mob.core.build_state import BudgetLimits
from meerkat_mob.core.events import BudgetType, BudgetWarning
from meerkat_mob.errors import TimeBudgetExceeded

LEAST: Final = 256
"""Fewer tokens than these are no room for an answer."""
WARNED_AT: Final = 0.8
UNLIMITED: Final = BudgetLimits()

Warn: TypeAlias = Callable[[BudgetWarning], None]


class Meter:
    """One figure and its limit. Warns once at 80 %, and once when nothing is left."""

    def __init__(self, what: BudgetType, limit: int, used: int, warn: Warn) -> None:
        self._what: BudgetType = what
        self.limit, self.used, self._warn = limit, used, warn
        self._warned = used >= limit * WARNED_AT
        self._told = False

    @property
    def left(self) -> int:
        """What may still be consumed."""
        return max(self.limit - self.used, 0)

    def add(self, amount: int) -> None:
        """So much more was consumed."""
        self.used += amount
        if not self._warned and self.used >= self.limit * WARNED_AT:
            self._warned = True
            self._say()

    def exhausted(self) -> None:
        """It ends the run, or refuses a call."""
        if not self._told:
            self._told = self._warned = True
            self._say()

    def _say(self) -> None:
        percent = round(100 * self.used / self.limit, 1) if self.limit else 100.0
        self._warn(
            BudgetWarning(budget_type=self._what, used=self.used, limit=self.limit, percent=percent)
        )


class Budget:
    """The meters of one run: its own limits, and those of its session for what that has used."""

    def __init__(
        self,
        run: BudgetLimits,
        session: BudgetLimits,
        *,
        tokens_before: int,
        calls_before: int,
        warn: Warn,
    ) -> None:
        self._warn = warn
        tokens = (run.max_tokens, 0), (session.max_tokens, tokens_before)
        calls = (run.max_tool_calls, 0), (session.max_tool_calls, calls_before)
        self._tokens = [Meter("tokens", n, used, warn) for n, used in tokens if n is not UNSET]
        self._calls = [Meter("tool_calls", n, used, warn) for n, used in calls if n is not UNSET]
        self._began = asyncio.get_running_loop().time()
        limit = run.max_duration
        self._time = None if limit is UNSET else Meter("time", limit, 0, warn)

    @property
    def counts_tokens(self) -> bool:
        """Whether anybody wants to know how large a request is."""
        return bool(self._tokens)

    @property
    def seconds(self) -> float | None:
        """How long the whole run may take; None without a limit."""
        return None if self._time is None else self._time.limit / 1000

    def tokens_for(self, request: int, wanted: int) -> int | None:
        """How many tokens the next answer may have; None when the call must not be made.

        ``request`` is what the request is thought to cost, ``wanted`` what an answer may have
        otherwise.
        """
        self._look_at_the_clock()
        for meter in self._calls:
            if not meter.left:
                meter.exhausted()
                return None
        for meter in self._tokens:
            room = meter.left - request
            if room < min(wanted, LEAST):
                meter.exhausted()
                return None
            wanted = min(wanted, room)
        return wanted

    def spend(self, tokens: int) -> None:
        """A model call has consumed these."""
        for meter in self._tokens:
            meter.add(tokens)

    def calls_for(self, wanted: int) -> int:
        """How many of so many tool calls may run; they count from now on."""
        allowed = min((meter.left for meter in self._calls), default=wanted)
        for meter in self._calls:
            meter.add(min(wanted, allowed))
            if allowed < wanted and meter.left == 0:
                meter.exhausted()
        return min(wanted, allowed)

    def time_is_up(self) -> TimeBudgetExceeded:
        """What a run raises that took too long."""
        limit = 0 if self._time is None else self._time.limit
        if self._time is not None:
            self._time.used = limit
            self._time.exhausted()
        return TimeBudgetExceeded(limit_ms=limit)

    def _look_at_the_clock(self) -> None:
        if self._time is not None:
            elapsed = round((asyncio.get_running_loop().time() - self._began) * 1000)
            self._time.add(elapsed - self._time.used)
