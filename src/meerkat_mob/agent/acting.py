"""The tools of one turn, all at once, each in a task of its own.

What becomes of each call is known by its id when this ends, however it ends; a call that is not
there was never started.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from meerkat_mob.agent.tools import ToolSet
from meerkat_mob.core.content import has_media, text_of
from meerkat_mob.core.events import AgentEvent, ToolExecutionCompleted, ToolExecutionStarted
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.messages import ToolUseData
from meerkat_mob.core.repair import INTERRUPTED
from meerkat_mob.core.tools import ToolCall, ToolOutcome
from meerkat_mob.errors import CallbackPending

Emit = Callable[[AgentEvent], None]
After = Callable[[ToolUseData, ToolOutcome], Awaitable[ToolOutcome]]


async def run_tools(
    uses: Sequence[ToolUseData],
    tools: ToolSet,
    outcomes: dict[str, ToolOutcome],
    *,
    emit: Emit,
    clock: Clock,
    after: After | None = None,
) -> frozenset[str]:
    """Runs the calls and notes what they gave back in ``outcomes``, as ``after`` lets it through.

    Returns the calls that somebody else runs. When it is cancelled, so are the tools; it waits
    until the last of them has cleaned up.
    """
    left: set[str] = set()

    async def run_tool(use: ToolUseData) -> None:
        began = clock()
        emit(ToolExecutionStarted(id=use.id, name=use.name))
        outcomes[use.id] = outcome = INTERRUPTED
        try:
            given = await tools.dispatch(ToolCall(id=use.id, name=use.name, args=use.args))
            outcome = given if after is None else await after(use, given)
        except CallbackPending:
            left.add(use.id)
            return
        finally:
            if use.id not in left:
                completed(use, outcome, began)

    def completed(use: ToolUseData, outcome: ToolOutcome, began: int) -> None:
        outcomes[use.id] = outcome
        emit(
            ToolExecutionCompleted(
                id=use.id,
                name=use.name,
                result=text_of(outcome.content),
                is_error=outcome.is_error,
                duration_ms=clock() - began,
                has_images=has_media(outcome.content),
            )
        )

    async with asyncio.TaskGroup() as group:
        for use in uses:
            group.create_task(run_tool(use))
    return frozenset(left)
