"""Tool calls that a transcript left open: each gets a result, so that a model can go on from it.

The rule: whatever ended a run, an answer with calls is followed by their results, in call order,
before anything else is said (INV-3).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from meerkat_mob.core.messages import ToolResult, ToolResults, ToolUseData, tool_uses
from meerkat_mob.core.tools import ToolOutcome, tool_error
from meerkat_mob.core.transcript import Transcript

OUTCOME_UNKNOWN: Final = tool_error(
    "outcome_unknown",
    "the process ended before this tool's result was kept; it may have had effects",
)


def open_calls(transcript: Transcript) -> tuple[ToolUseData, ...]:
    """The calls at the end of a transcript that have no results yet, in order."""
    return tool_uses(transcript.view()[-1]) if len(transcript) else ()


def close_open_calls(
    transcript: Transcript, known: Iterable[ToolResult] = (), *, otherwise: ToolOutcome
) -> int:
    """Pushes a result for each open call: the known one, or ``otherwise``; returns how many.

    Known results of other calls come behind them, in the same message. Pushes nothing when there
    is nothing to push.
    """
    by_id = {result.tool_use_id: result for result in known}
    results = [
        by_id.pop(call.id, None)
        or ToolResult(
            tool_use_id=call.id, content=otherwise.content, is_error=otherwise.is_error
        )
        for call in open_calls(transcript)
    ]
    results += by_id.values()
    if results:
        transcript.push(ToolResults(results=tuple(results)))
    return len(results)
