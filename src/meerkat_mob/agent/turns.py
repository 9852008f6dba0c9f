"""The phases of a run, as a table (spec sessions 4.2).

The loop does what its phase says, and goes where the table says; what no row allows is a bug of
the loop, and ends the run as one. One machine serves one run, so no event of another can reach it
(LOOP-1). Background work never holds a phase up; a tool that is waited for does (LOOP-2).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from meerkat_mob.errors import AgentError


class Phase(StrEnum):
    """Where a run is."""

    READY = "ready"
    APPLYING_PRIMITIVE = "applying_primitive"
    CALLING_LLM = "calling_llm"
    WAITING_FOR_OPS = "waiting_for_ops"
    DRAINING_BOUNDARY = "draining_boundary"
    EXTRACTING = "extracting"
    ERROR_RECOVERY = "error_recovery"
    COMPLETING = "completing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    CALLBACK_PENDING = "callback_pending"


class Event(StrEnum):
    """What happens to a run."""

    START = "start"
    PRIMITIVE_APPLIED = "primitive_applied"
    RETURNED_TOOL_CALLS = "llm_returned_tool_calls"
    RETURNED_TERMINAL = "llm_returned_terminal"
    TOOL_CALLS_RESOLVED = "tool_calls_resolved"
    TOOL_CALLS_LEFT = "tool_calls_left"
    BOUNDARY_CONTINUE = "boundary_continue"
    BOUNDARY_COMPLETE = "boundary_complete"
    ENTER_EXTRACTION = "enter_extraction"
    EXTRACTION_START = "extraction_start"
    VALIDATION_PASSED = "validation_passed"
    VALIDATION_FAILED = "validation_failed"
    RECOVERABLE_FAILURE = "recoverable_failure"
    RETRY_REQUESTED = "retry_requested"
    BUDGET_EXHAUSTED = "budget_exhausted"
    TURN_LIMIT_REACHED = "turn_limit_reached"
    RESULT_LET_THROUGH = "result_let_through"
    FATAL_FAILURE = "fatal_failure"
    CANCELLED = "cancelled"


TERMINAL: Final = frozenset(
    {Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED, Phase.CALLBACK_PENDING}
)
"""A run is over: it said how (INV-7)."""

_ENDS: Final = {Event.FATAL_FAILURE: Phase.FAILED, Event.CANCELLED: Phase.CANCELLED}

TABLE: Final[Mapping[Phase, Mapping[Event, Phase]]] = {
    Phase.READY: {Event.START: Phase.APPLYING_PRIMITIVE},
    Phase.APPLYING_PRIMITIVE: {Event.PRIMITIVE_APPLIED: Phase.CALLING_LLM, **_ENDS},
    Phase.CALLING_LLM: {
        Event.RETURNED_TOOL_CALLS: Phase.WAITING_FOR_OPS,
        Event.RETURNED_TERMINAL: Phase.DRAINING_BOUNDARY,
        Event.RECOVERABLE_FAILURE: Phase.ERROR_RECOVERY,
        Event.BUDGET_EXHAUSTED: Phase.COMPLETING,
        Event.TURN_LIMIT_REACHED: Phase.COMPLETING,
        **_ENDS,
    },
    Phase.ERROR_RECOVERY: {Event.RETRY_REQUESTED: Phase.CALLING_LLM, **_ENDS},
    Phase.WAITING_FOR_OPS: {
        Event.TOOL_CALLS_RESOLVED: Phase.DRAINING_BOUNDARY,
        Event.TOOL_CALLS_LEFT: Phase.CALLBACK_PENDING,
        **_ENDS,
    },
    Phase.DRAINING_BOUNDARY: {
        Event.BOUNDARY_CONTINUE: Phase.CALLING_LLM,
        Event.BOUNDARY_COMPLETE: Phase.COMPLETING,
        Event.ENTER_EXTRACTION: Phase.EXTRACTING,
        **_ENDS,
    },
    Phase.EXTRACTING: {
        Event.EXTRACTION_START: Phase.CALLING_LLM,
        Event.VALIDATION_FAILED: Phase.CALLING_LLM,
        Event.VALIDATION_PASSED: Phase.COMPLETING,
        **_ENDS,
    },
    Phase.COMPLETING: {Event.RESULT_LET_THROUGH: Phase.COMPLETED, **_ENDS},  # its hooks are asked
    Phase.COMPLETED: {},
    Phase.FAILED: {},
    Phase.CANCELLED: {},
    Phase.CALLBACK_PENDING: {},
}
"""Where each event leads; where it is absent it cannot happen."""


def follow(phase: Phase, event: Event) -> Phase:
    """Where an event leads. Raises ``AgentError`` for one that cannot happen there."""
    found = TABLE[phase].get(event)
    if found is None:
        raise AgentError(
            f"the run broke: {event.value} cannot happen in {phase.value}; report this"
        )
    return found
