"""The first turn that waits: arming, staging, taking, consuming (SES-10 to SES-13)."""

from __future__ import annotations

import pytest
from hypothesis import given
from msgspec import UNSET

from meerkat_mob.core import deferred_turn as d
from meerkat_mob.core.content import Content, ImageBlock, TextBlock, VideoBlock
from meerkat_mob.core.deferred_turn import (
    DeferredTurnState,
    FirstTurnPhase,
    PendingPrompt,
    PendingToolResults,
    TakenTurn,
)
from meerkat_mob.core.messages import ToolResult
from tests import strategies

EMPTY = DeferredTurnState()
IMAGE = ImageBlock(media_type="image/png", source="blob", blob_id="b")
VIDEO = VideoBlock(media_type="video/mp4", duration_ms=1, source="inline", data="A")


def result(name: str) -> ToolResult:
    return ToolResult(tool_use_id=name, content="r")


def staged(*names: str, at: int) -> PendingToolResults:
    return PendingToolResults(results=tuple(result(name) for name in names), accepted_at=at)


# -- SES-10, SES-11 ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phase", "after", "started"),
    [
        ("inactive", "inactive", False),
        ("pending", "consumed", True),
        ("consumed", "consumed", False),
    ],
)
def test_only_a_pending_first_turn_can_start(
    phase: FirstTurnPhase, after: FirstTurnPhase, started: bool
) -> None:
    state = DeferredTurnState(first_turn_phase=phase)
    next_state, did = d.mark_initial_turn_started(state)
    assert (next_state.first_turn_phase, did) == (after, started)
    assert (next_state is state) is not started
    assert d.allows_build_overrides(state) is started


def test_a_deferred_create_arms_the_state() -> None:
    assert EMPTY.first_turn_phase == "inactive"
    assert d.arm(EMPTY) == DeferredTurnState(first_turn_phase="pending")


# -- SES-12 ------------------------------------------------------------------------------------


@pytest.mark.parametrize("blank", ["", " \n\t", (), (TextBlock(text=" "),)])
def test_a_blank_prompt_without_media_is_ignored(blank: Content) -> None:
    before = d.stage_initial_prompt(EMPTY, "kept", now=1)
    assert d.stage_initial_prompt(before, blank, now=2) is before


@pytest.mark.parametrize(
    "prompt", [" x ", (TextBlock(text="x"),), (IMAGE,), (VIDEO,), (TextBlock(text=""), VIDEO)]
)
def test_any_other_prompt_is_kept_in_the_form_it_came_in(prompt: Content) -> None:
    state = d.stage_initial_prompt(EMPTY, prompt, now=7)
    assert state.pending_initial_prompt == PendingPrompt(prompt=prompt, accepted_at=7)


def test_tool_results_are_staged_in_order_and_counted() -> None:
    state, count = d.stage_tool_results(EMPTY, [], now=1)
    assert (state is EMPTY, count) == (True, 0)
    lone = ToolResult(tool_use_id="a", content=(TextBlock(text="r"),))
    state, count = d.stage_tool_results(state, [lone, result("b")], now=2)
    assert count == 2
    state, count = d.stage_tool_results(state, [result("c")], now=3)
    assert count == 1
    assert state.pending_tool_results == (staged("a", "b", at=2), staged("c", at=3))


# -- SES-13 ------------------------------------------------------------------------------------


def test_a_starting_turn_sees_everything_that_waits() -> None:
    state = d.stage_initial_prompt(d.arm(EMPTY), "p", now=1)
    state, _ = d.stage_tool_results(state, [result("a")], now=2)
    assert d.take_turn(state) == TakenTurn(
        phase="pending",
        prompt=PendingPrompt(prompt="p", accepted_at=1),
        results=(staged("a", at=2),),
    )
    assert d.take_turn(EMPTY) == TakenTurn(phase="inactive", prompt=UNSET, results=())


@given(strategies.deferred_turns)
def test_a_turn_that_reached_the_agent_leaves_nothing_of_what_it_took(
    state: DeferredTurnState,
) -> None:
    after = d.consume(state, d.take_turn(state))
    phase: FirstTurnPhase = "inactive" if state.first_turn_phase == "inactive" else "consumed"
    assert after == DeferredTurnState(first_turn_phase=phase)


def test_results_that_came_meanwhile_stay_also_when_they_equal_what_was_taken() -> None:
    state, _ = d.stage_tool_results(EMPTY, [result("a")], now=1)
    taken = d.take_turn(state)
    state, _ = d.stage_tool_results(state, [result("a")], now=1)
    assert d.consume(state, taken).pending_tool_results == (staged("a", at=1),)


def test_a_prompt_that_came_meanwhile_stays() -> None:
    state = d.arm(EMPTY)
    taken = d.take_turn(state)
    state = d.stage_initial_prompt(state, (IMAGE,), now=3)
    assert d.consume(state, taken) == DeferredTurnState(
        first_turn_phase="consumed",
        pending_initial_prompt=PendingPrompt(prompt=(IMAGE,), accepted_at=3),
    )


@given(strategies.deferred_turns)
def test_consuming_twice_is_the_same_as_once(state: DeferredTurnState) -> None:
    taken = d.take_turn(state)
    once = d.consume(state, taken)
    assert d.consume(once, taken) == once
