"""The first turn of a session that was created without running one (spec sessions 1.5).

A deferred create arms the state; build-only overrides are taken until the first turn starts. What
was staged is consumed by the turn that brings it to the agent, and stays in front of what came
meanwhile when that turn never got there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.content import Content, is_blank, normal
from meerkat_mob.core.messages import ToolResult

FirstTurnPhase: TypeAlias = Literal["inactive", "pending", "consumed"]


class PendingPrompt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A prompt kept for the first turn, in the form it came in; ``accepted_at`` in ms."""

    prompt: Content
    accepted_at: int


class PendingToolResults(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Results of tools that somebody else ran, kept for the next turn."""

    results: tuple[ToolResult, ...]
    accepted_at: int


class DeferredTurnState(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What waits for the next turn, and whether it would be the first.

    ``awaited_calls`` are the ids of calls in the last answer that somebody else runs.
    """

    first_turn_phase: FirstTurnPhase = "inactive"
    pending_initial_prompt: PendingPrompt | UnsetType = UNSET
    pending_tool_results: tuple[PendingToolResults, ...] = ()
    awaited_calls: tuple[str, ...] = ()


class TakenTurn(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a starting turn took, and the phase it found."""

    phase: FirstTurnPhase
    prompt: PendingPrompt | UnsetType
    results: tuple[PendingToolResults, ...]
    awaited: tuple[str, ...] = ()


def arm(state: DeferredTurnState) -> DeferredTurnState:
    """A deferred create: the first turn is still to come (SES-10)."""
    return msgspec.structs.replace(state, first_turn_phase="pending")


def allows_build_overrides(state: DeferredTurnState) -> bool:
    """True while system prompt, limits and output schema may still be given (SES-11)."""
    return state.first_turn_phase == "pending"


def mark_initial_turn_started(state: DeferredTurnState) -> tuple[DeferredTurnState, bool]:
    """From pending to consumed, and whether that happened (SES-10)."""
    if state.first_turn_phase != "pending":
        return state, False
    return msgspec.structs.replace(state, first_turn_phase="consumed"), True


def stage_initial_prompt(
    state: DeferredTurnState, prompt: Content, *, now: int
) -> DeferredTurnState:
    """Keeps a prompt for the first turn; blank text without media is ignored (SES-12)."""
    if is_blank(prompt):
        return state
    return msgspec.structs.replace(
        state, pending_initial_prompt=PendingPrompt(prompt=prompt, accepted_at=now)
    )


def stage_tool_results(
    state: DeferredTurnState, results: Sequence[ToolResult], *, now: int
) -> tuple[DeferredTurnState, int]:
    """Keeps results for the next turn and says how many; none changes nothing (SES-12)."""
    if not results:
        return state, 0
    kept = PendingToolResults(
        results=tuple(
            msgspec.structs.replace(result, content=normal(result.content)) for result in results
        ),
        accepted_at=now,
    )
    staged = (*state.pending_tool_results, kept)
    return msgspec.structs.replace(state, pending_tool_results=staged), len(results)


def await_calls(
    state: DeferredTurnState, ids: Sequence[str], done: Sequence[ToolResult], *, now: int
) -> DeferredTurnState:
    """A turn ended at calls that somebody else runs; the results of the others wait with them."""
    staged, _ = stage_tool_results(state, done, now=now)
    return msgspec.structs.replace(staged, awaited_calls=tuple(ids))


def take_turn(state: DeferredTurnState) -> TakenTurn:
    """What a turn that starts now takes. Nothing is gone before it is consumed (SES-13)."""
    return TakenTurn(
        phase=state.first_turn_phase,
        prompt=state.pending_initial_prompt,
        results=state.pending_tool_results,
        awaited=state.awaited_calls,
    )


def consume(state: DeferredTurnState, taken: TakenTurn) -> DeferredTurnState:
    """The turn has reached the agent: what it took is gone, what came meanwhile stays.

    Of a turn that failed before that nothing is consumed, so it is as if it had never started.
    Consuming twice is the same as once.
    """
    started, _ = mark_initial_turn_started(state)
    prompt = started.pending_initial_prompt
    results = tuple(r for r in started.pending_tool_results if not _among(r, taken.results))
    return DeferredTurnState(
        first_turn_phase=started.first_turn_phase,
        pending_initial_prompt=UNSET if prompt is taken.prompt else prompt,
        pending_tool_results=results,
    )


def _among(one: PendingToolResults, taken: Sequence[PendingToolResults]) -> bool:
    return any(one is other for other in taken)  # equal ones may have been staged twice
