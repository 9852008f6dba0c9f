"""The tools of one turn, all at once, each in a task of its own.

Whatever ends this, each call has its result in the transcript, except those that somebody else
runs (INV-3). A call of which nothing is known was never started.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence, Set
from typing import NoReturn

from meerkat_mob.agent.budget import Budget
from meerkat_mob.agent.guard import Guard
from meerkat_mob.agent.tools import ToolSet
from meerkat_mob.core.content import has_media, text_of
from meerkat_mob.core.events import (
    Emit,
    RunCallbackPending,
    ToolCallRequested,
    ToolExecutionCompleted,
    ToolExecutionStarted,
    ToolExecutionTimedOut,
    ToolResultReceived,
)
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.messages import ToolResult, ToolResults, ToolUseData
from meerkat_mob.core.repair import BUDGET_EXHAUSTED, INTERRUPTED, NOT_STARTED, result_of
from meerkat_mob.core.run_context import RunContext
from meerkat_mob.core.tools import ToolCall, ToolOutcome, callback_pending
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.errors import CallbackPending


class Hands:
    """Runs the calls of one answer after the other, for one agent."""

    def __init__(
        self,
        session_id: str,
        *,
        transcript: Transcript,
        context: RunContext,
        guard: Guard,
        emit: Emit,
        clock: Clock,
    ) -> None:
        self._session_id, self._transcript, self._context = session_id, transcript, context
        self._guard, self._emit, self._clock = guard, emit, clock

    async def act(
        self,
        uses: Sequence[ToolUseData],
        tools: ToolSet,
        budget: Budget,
        denied: Mapping[str, ToolOutcome],
    ) -> None:
        """Runs the calls of the answer that was pushed last, and pushes their results.

        No tool starts before the answer is kept. Raises ``CallbackPending`` when some are left to
        somebody else, and ``StoreError``.
        """
        outcomes: dict[str, ToolOutcome] = {}
        for use in uses:
            self._emit(ToolCallRequested(id=use.id, name=use.name, args=use.args))
        try:
            await self._context.checkpoint()
            outcomes |= denied
            wanted = [use for use in uses if use.id not in denied]
            allowed = budget.calls_for(len(wanted))
            outcomes |= dict.fromkeys([use.id for use in wanted[allowed:]], BUDGET_EXHAUSTED)
            left = await self._run(wanted[:allowed], tools, outcomes)
        except BaseException:
            self._transcript.push(ToolResults(results=self._results(uses, outcomes)))
            raise
        if left:
            self._leave(uses, outcomes, left)
        self._transcript.push(ToolResults(results=self._results(uses, outcomes)))
        await self._context.checkpoint()

    async def _run(
        self, uses: Sequence[ToolUseData], tools: ToolSet, outcomes: dict[str, ToolOutcome]
    ) -> frozenset[str]:
        """Notes in ``outcomes`` what the calls gave back. Returns those that somebody else runs.

        When it is cancelled, so are the tools; it waits until the last of them has cleaned up.
        """
        left: set[str] = set()

        async def run_tool(use: ToolUseData) -> None:
            began = self._clock()
            self._emit(ToolExecutionStarted(id=use.id, name=use.name))
            outcomes[use.id] = outcome = INTERRUPTED
            try:
                given = await tools.dispatch(ToolCall(id=use.id, name=use.name, args=use.args))
                if given.timed_out_ms is not None:
                    self._emit(
                        ToolExecutionTimedOut(
                            id=use.id, name=use.name, timeout_ms=given.timed_out_ms
                        )
                    )
                outcome = await self._guard.result(use, given)
            except CallbackPending:
                left.add(use.id)
                return
            finally:
                if use.id not in left:
                    outcomes[use.id] = outcome
                    self._emit(_completed(use, outcome, self._clock() - began))

        async with asyncio.TaskGroup() as group:
            for use in uses:
                group.create_task(run_tool(use))
        return frozenset(left)

    def _leave(
        self, uses: Sequence[ToolUseData], outcomes: Mapping[str, ToolOutcome], left: Set[str]
    ) -> NoReturn:
        """Ends the run at calls that somebody else runs. Raises ``CallbackPending``."""
        calls = tuple([use for use in uses if use.id in left])
        done = self._results([use for use in uses if use.id not in left], outcomes)
        self._context.leave(calls, done)
        self._emit(RunCallbackPending(session_id=self._session_id, calls=calls))
        raise callback_pending(calls[0])

    def _results(
        self, uses: Sequence[ToolUseData], outcomes: Mapping[str, ToolOutcome]
    ) -> tuple[ToolResult, ...]:
        results: list[ToolResult] = []
        for use in uses:
            result = result_of(use, outcomes.get(use.id, NOT_STARTED))
            self._emit(ToolResultReceived(id=use.id, name=use.name, is_error=result.is_error))
            results.append(result)
        return tuple(results)


def _completed(use: ToolUseData, outcome: ToolOutcome, took_ms: int) -> ToolExecutionCompleted:
    return ToolExecutionCompleted(
        id=use.id,
        name=use.name,
        result=text_of(outcome.content),
        is_error=outcome.is_error,
        duration_ms=took_ms,
        has_images=has_media(outcome.content),
    )
