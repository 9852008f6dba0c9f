"""Tool calls that a transcript left open: each gets a result, so that a model can go on from it.

The rule: whatever ended a run, an answer with calls is followed by their results, in call order,
before anything else is said (INV-3). What stands in for a result says what is known: the tool was
not started, it was interrupted, or nobody can tell.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from meerkat_mob.core.messages import ToolResult, ToolResults, ToolUseData, tool_uses
from meerkat_mob.core.tools import ToolOutcome, tool_error
from meerkat_mob.core.transcript import Transcript

NOT_STARTED: Final = tool_error(
    "not_started", "the run ended before this tool was started; it had no effects"
)
INTERRUPTED: Final = tool_error(
    "cancelled", "the run was interrupted before this tool was done; it may have had effects"
)
OUTCOME_UNKNOWN: Final = tool_error(
    "outcome_unknown",
    "the process ended before this tool's result was kept; it may have had effects",
)

BUDGET_EXHAUSTED: Final = tool_error(
    "budget_exhausted", "no more tool calls are allowed; this one was not run"
)
CALLBACK_PENDING: Final = tool_error(
    "callback_pending", "this tool is run elsewhere, and its result has not come yet"
)


def open_calls(transcript: Transcript) -> tuple[ToolUseData, ...]:
    """The calls at the end of a transcript that have no results yet, in order.

    Looks no further back than the message with the calls.
    """
    last = transcript.last
    if last is not None and not isinstance(last, ToolResults):
        return tool_uses(last)
    answered: set[str] = set()
    for message in reversed(transcript.view()):
        if not isinstance(message, ToolResults):
            return tuple(call for call in tool_uses(message) if call.id not in answered)
        answered.update(result.tool_use_id for result in message.results)
    return ()


def close_open_calls(
    transcript: Transcript,
    known: Iterable[ToolResult] = (),
    *,
    otherwise: ToolOutcome,
    awaited: Collection[str] = (),
) -> int:
    """Pushes a result for each open call: the known one, or ``otherwise``; returns how many.

    Of those ``awaited`` from outside it says that they have not come yet.
    Known results of other calls come behind them, in the same message. Pushes nothing when there
    is nothing to push, so that doing it twice is the same as once.
    """
    by_id = {result.tool_use_id: result for result in known}
    results = [
        by_id.pop(call.id)
        if call.id in by_id
        else result_of(call, CALLBACK_PENDING if call.id in awaited else otherwise)
        for call in open_calls(transcript)
    ]
    results += by_id.values()
    if results:
        transcript.push(ToolResults(results=tuple(results)))
    return len(results)


def result_of(call: ToolUseData, outcome: ToolOutcome) -> ToolResult:
    """What a tool gave back, as the answer to a call."""
    return ToolResult(tool_use_id=call.id, content=outcome.content, is_error=outcome.is_error)
