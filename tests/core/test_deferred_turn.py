"""The first turn that waits: arming, staging, taking, putting back (SES-10 to SES-13)."""

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


def test_a_starting_turn_takes_everything_and_consumes_the_first_turn() -> None:
    state = d.stage_initial_prompt(d.arm(EMPTY), "p", now=1)
    state, _ = d.stage_tool_results(state, [result("a")], now=2)
    after, taken = d.take_turn(state)
    assert after == DeferredTurnState(first_turn_phase="consumed")
    assert taken == TakenTurn(
        phase="pending",
        prompt=PendingPrompt(prompt="p", accepted_at=1),
        results=(staged("a", at=2),),
    )
    assert d.take_turn(EMPTY) == (EMPTY, TakenTurn(phase="inactive", prompt=UNSET, results=()))


@given(strategies.deferred_turns)
def test_a_turn_that_never_ran_leaves_no_trace(state: DeferredTurnState) -> None:
    assert d.put_back(*d.take_turn(state)) == state


def test_what_is_put_back_comes_before_what_was_staged_meanwhile() -> None:
    state = d.stage_initial_prompt(d.arm(EMPTY), "first", now=1)
    state, _ = d.stage_tool_results(state, [result("a")], now=2)
    state, taken = d.take_turn(state)
    state = d.stage_initial_prompt(state, "second", now=3)
    state, _ = d.stage_tool_results(state, [result("b")], now=4)
    assert d.put_back(state, taken) == DeferredTurnState(
        first_turn_phase="pending",
        pending_initial_prompt=PendingPrompt(prompt="first\n\nsecond", accepted_at=1),
        pending_tool_results=(staged("a", at=2), staged("b", at=4)),
    )


def test_a_prompt_staged_meanwhile_stays_when_the_turn_had_none() -> None:
    state, taken = d.take_turn(d.arm(EMPTY))
    state = d.stage_initial_prompt(state, (IMAGE,), now=3)
    back = d.put_back(state, taken)
    assert back.pending_initial_prompt == PendingPrompt(prompt=(IMAGE,), accepted_at=3)
    assert d.allows_build_overrides(back)
