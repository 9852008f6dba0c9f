"""Tables say how each kind of input is treated, and which are refused (spec sessions 5.3, 5.4)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Final, get_args

import pytest
from msgspec.structs import replace

from meerkat_mob.core.inputs import (
    ContinuationInput,
    Durability,
    ExternalEventInput,
    ExternalSource,
    FlowSource,
    FlowStepInput,
    Input,
    InputHeader,
    InputKind,
    OperationInput,
    OperatorSource,
    PeerInput,
    PeerSource,
    PromptInput,
    RequestConvention,
    ResponseProgressConvention,
    ResponseTerminalConvention,
    Source,
    SystemSource,
    kind_of,
)
from meerkat_mob.core.messages import HandlingMode
from meerkat_mob.runtime import Policy, decide
from meerkat_mob.runtime.executor import message_of
from meerkat_mob.runtime.policy import POLICIES, goes_with, rejection

PEER: Final = PeerSource(peer_id="team/dev/ann")
NEWS: Final = "mob.peer_added"


def a_header(source: Source) -> InputHeader:
    return InputHeader(id="i", timestamp=0, source=source)


ONE: Final[Mapping[InputKind, Input]] = {
    "prompt": PromptInput(header=a_header(OperatorSource()), content="Go"),
    "peer_message": PeerInput(header=a_header(PEER), body="hi"),
    "peer_request": PeerInput(
        header=a_header(PEER),
        convention=RequestConvention(request_id="r", intent="review"),
        body="look",
    ),
    "peer_response_progress": PeerInput(
        header=a_header(PEER),
        convention=ResponseProgressConvention(request_id="r", phase="accepted"),
        body="on it",
    ),
    "peer_response_terminal": PeerInput(
        header=a_header(PEER),
        convention=ResponseTerminalConvention(request_id="r", status="completed"),
        body="done",
    ),
    "flow_step": FlowStepInput(
        header=a_header(FlowSource(flow_id="f", step_index=0)), step_id="s", instructions="Do"
    ),
    "external_event": ExternalEventInput(
        header=a_header(ExternalSource(source_name="web")), event_type="push", payload="new"
    ),
    "continuation": ContinuationInput(header=a_header(SystemSource()), reason="timer"),
    "operation": OperationInput(header=a_header(SystemSource()), operation_id="o"),
}
KINDS: Final[tuple[InputKind, ...]] = get_args(InputKind)
MODES: Final[tuple[HandlingMode, ...]] = get_args(HandlingMode)


def an_input(kind: InputKind, mode: HandlingMode | None = None) -> Input:
    item = ONE[kind]
    if mode is None or isinstance(item, OperationInput):
        return item
    return replace(item, handling_mode=mode)


def decided(item: Input, *, keep_alive: bool = True) -> Policy:
    return decide(item, silent_intents={NEWS}, keep_alive=keep_alive)


# -- the table: lane, boundary, wakes, alone, transcript, consumed -----------------------------

TABLE: Final = """
kind                    mode   lane   boundary        wakes  alone  told  consumed
prompt                  -      queue  run_start       yes    yes    yes   on_run_complete
prompt                  queue  queue  run_start       yes    yes    yes   on_run_complete
prompt                  steer  steer  run_checkpoint  yes    yes    yes   on_run_complete
peer_message            -      queue  run_start       yes    no     yes   on_run_complete
peer_message            queue  queue  run_start       yes    no     yes   on_run_complete
peer_message            steer  steer  run_checkpoint  yes    no     yes   on_run_complete
peer_request            -      queue  run_start       yes    no     yes   on_run_complete
peer_request            queue  queue  run_start       yes    no     yes   on_run_complete
peer_request            steer  steer  run_checkpoint  yes    no     yes   on_run_complete
peer_response_progress  -      steer  run_checkpoint  no     no     yes   on_run_complete
peer_response_progress  queue  steer  run_checkpoint  no     no     yes   on_run_complete
peer_response_progress  steer  steer  run_checkpoint  no     no     yes   on_run_complete
peer_response_terminal  -      queue  run_start       yes    no     yes   on_run_complete
peer_response_terminal  queue  queue  run_start       yes    no     yes   on_run_complete
peer_response_terminal  steer  steer  run_checkpoint  yes    no     yes   on_run_complete
flow_step               -      queue  run_start       yes    no     yes   on_run_complete
flow_step               queue  queue  run_start       yes    no     yes   on_run_complete
flow_step               steer  steer  run_checkpoint  yes    no     yes   on_run_complete
external_event          -      queue  run_start       yes    no     yes   on_run_complete
external_event          queue  queue  run_start       yes    no     yes   on_run_complete
external_event          steer  steer  run_checkpoint  yes    no     yes   on_run_complete
continuation            -      steer  run_checkpoint  yes    no     no    on_run_complete
continuation            queue  queue  run_start       yes    no     no    on_run_complete
continuation            steer  steer  run_checkpoint  yes    no     no    on_run_complete
operation               -      queue  immediate       no     no     no    on_accept
operation               queue  queue  immediate       no     no     no    on_accept
operation               steer  queue  immediate       no     no     no    on_accept
"""


def told(policy: Policy) -> list[str]:
    said = ["yes" if flag else "no" for flag in (policy.wakes, policy.alone, policy.transcript)]
    return [policy.lane, policy.boundary, *said, policy.consumed]


def test_the_policy_table() -> None:
    _, *rows = (row.split() for row in TABLE.strip().splitlines())
    assert [[kind, mode or "-", *told(p)] for (kind, mode), p in POLICIES.items()] == rows
    assert {policy.version for policy in POLICIES.values()} == {1}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_an_input_has_the_row_of_its_kind_and_mode(kind: InputKind, mode: HandlingMode) -> None:
    item = an_input(kind, mode)
    assert kind_of(item) == kind
    assert decided(item) == POLICIES[kind, mode]


def test_an_event_and_a_continuation_always_have_a_mode() -> None:
    """POL-2."""
    for kind in ("external_event", "continuation"):
        assert decided(ONE[kind]) == POLICIES[kind, "queue"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_is_told_of_what_belongs_into_the_transcript(kind: InputKind) -> None:
    assert (message_of(ONE[kind]) is not None) == decided(ONE[kind]).transcript


# -- what does not wake ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [None, *MODES])
@pytest.mark.parametrize("keep_alive", [True, False])
def test_a_silent_intent_waits_in_the_queue_lane_for_the_next_run(
    mode: HandlingMode | None, keep_alive: bool
) -> None:
    """POL-1."""
    item = an_input("peer_request", mode)
    assert isinstance(item, PeerInput)
    silent = replace(item, convention=RequestConvention(request_id="r", intent=NEWS))
    policy = decided(silent, keep_alive=keep_alive)
    assert (policy.lane, policy.boundary, policy.wakes) == ("queue", "run_start", False)
    assert decided(item).wakes


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "peer_request"])
def test_only_requests_have_an_intent_that_can_be_silent(kind: InputKind) -> None:
    every_intent = {NEWS, "review", kind, "", "message"}
    item = ONE[kind]
    assert decide(item, silent_intents=every_intent, keep_alive=True) == decided(item)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", [None, *MODES])
def test_what_peers_send_wakes_only_who_is_kept_alive(
    kind: InputKind, mode: HandlingMode | None
) -> None:
    item = an_input(kind, mode)
    awake, asleep = decided(item), decided(item, keep_alive=False)
    assert asleep.wakes == (awake.wakes and not kind.startswith("peer_"))
    assert replace(asleep, wakes=awake.wakes) == awake


# -- what shares a run -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "other", "together"),
    [
        (("peer_message", "queue"), ("peer_request", "queue"), True),
        (("peer_message", "queue"), ("flow_step", "queue"), True),
        (("prompt", "queue"), ("peer_message", "queue"), False),
        (("peer_message", "queue"), ("prompt", "queue"), False),
        (("prompt", "steer"), ("prompt", "steer"), True),
        (("prompt", "steer"), ("peer_message", "steer"), True),
        (("peer_message", "steer"), ("peer_message", "queue"), False),
        (("continuation", "steer"), ("peer_response_progress", None), True),
    ],
)
def test_what_shares_a_run(
    first: tuple[InputKind, HandlingMode], other: tuple[InputKind, HandlingMode], together: bool
) -> None:
    """BAT-1."""
    assert goes_with(POLICIES[first], POLICIES[other]) is together


# -- admission ---------------------------------------------------------------------------------

SOURCES: Final[tuple[Source, ...]] = (
    OperatorSource(),
    PEER,
    FlowSource(flow_id="f", step_index=0),
    SystemSource(),
    ExternalSource(source_name="web"),
)
DERIVABLE: Final = {"peer_response_progress", "external_event", "continuation", "operation"}


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_the_runtime_can_make_anew_is_derived(kind: InputKind) -> None:
    durabilities: tuple[Durability, ...] = get_args(Durability)
    for source, durability in product(SOURCES, durabilities):
        header = replace(a_header(source), durability=durability)
        found = rejection(replace(ONE[kind], header=header))
        own = isinstance(source, SystemSource | FlowSource)
        wrong = durability == "derived" and not (own and kind in DERIVABLE)
        assert (found is not None) == wrong
        if found is not None:
            assert (found.reject_type, found.code) == ("durability_violation", "INPUT_REJECTED")
            assert str(found).startswith(f"input i is rejected: a {kind} from this source")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", [None, *MODES])
def test_only_a_response_in_progress_takes_no_mode(
    kind: InputKind, mode: HandlingMode | None
) -> None:
    found = rejection(an_input(kind, mode))
    if kind == "peer_response_progress" and mode is not None:
        assert found is not None
        assert found.reject_type == "peer_handling_mode_invalid"
        assert str(found).endswith("leave that out")
    else:
        assert found is None


def test_of_two_reasons_durability_comes_first() -> None:
    item = an_input("peer_response_progress", "steer")
    found = rejection(replace(item, header=replace(item.header, durability="derived")))
    assert found is not None
    assert found.reject_type == "durability_violation"
