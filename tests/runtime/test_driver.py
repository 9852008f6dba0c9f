"""What each input does to a runtime that rests, runs, retires or ends, in every home."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from meerkat_mob.comms import PEER_ADDED
from meerkat_mob.core.inputs import (
    ContinuationInput,
    ExternalEventInput,
    ExternalSource,
    Input,
    MessageConvention,
    OperationInput,
    RequestConvention,
    ResponseProgressConvention,
    ResponseTerminalConvention,
)
from meerkat_mob.errors import AgentError, InputRejected, RuntimeNotReady
from meerkat_mob.runtime import Completed, CompletedWithoutResult, InputPhase, RuntimeState
from meerkat_mob.testing.builders import a_notice, a_peer_message, a_prompt
from tests.runtime.driven import (
    HOMES,
    SESSION,
    a_header,
    a_step,
    driven,
    from_peer,
    reason_of,
)
from tests.runtime.kit import settle

in_every_home = pytest.mark.parametrize("home", HOMES)

WAKING: Final[dict[str, Input]] = {
    "prompt": a_prompt("x", "in-1"),
    "message": from_peer("in-1", MessageConvention()),
    "request": from_peer("in-1", RequestConvention(request_id="r", intent="review")),
    "completed": from_peer("in-1", ResponseTerminalConvention(request_id="r", status="completed")),
    "failed": from_peer("in-1", ResponseTerminalConvention(request_id="r", status="failed")),
    "cancelled": from_peer("in-1", ResponseTerminalConvention(request_id="r", status="cancelled")),
    "step": a_step("in-1"),
    "event": ExternalEventInput(
        header=a_header("in-1", ExternalSource(source_name="web")), event_type="push"
    ),
    "continuation": ContinuationInput(
        header=a_header("in-1"), reason="timer", handling_mode="steer"
    ),
}
PASSIVE: Final[dict[str, Input]] = {
    "accepted": from_peer("in-1", ResponseProgressConvention(request_id="r", phase="accepted")),
    "in progress": from_peer(
        "in-1", ResponseProgressConvention(request_id="r", phase="in_progress")
    ),
    "partial": from_peer(
        "in-1", ResponseProgressConvention(request_id="r", phase="partial_result")
    ),
    "news": from_peer("in-1", RequestConvention(request_id="r", intent=PEER_ADDED)),
}
of_each_waking_kind = pytest.mark.parametrize("item", WAKING.values(), ids=WAKING)
of_each_passive_kind = pytest.mark.parametrize("item", PASSIVE.values(), ids=PASSIVE)


# -- who wakes ---------------------------------------------------------------------------------


@in_every_home
@of_each_waking_kind
async def test_at_rest_it_wakes_the_session(home: str, item: Input) -> None:
    async with driven(home) as one:
        ended = await one.accept(item)
        assert (one.runs, one.state) == ([("in-1",)], RuntimeState.RUNNING)
        steered = item == WAKING["continuation"]
        assert one.desk.batches[0].boundary == ("run_checkpoint" if steered else "run_start")
        await one.end_run()
        assert isinstance(ended.result(), Completed)
        assert (one.phase("in-1"), one.state) == (InputPhase.CONSUMED, RuntimeState.ATTACHED)


@in_every_home
@of_each_waking_kind
async def test_during_a_run_it_waits_for_the_end_of_it(home: str, item: Input) -> None:
    """Also a response to a request of ours. A desk takes nothing in that is steered."""
    async with driven(home) as one:
        await one.accept(a_prompt("first", "in-0"))
        ended = await one.accept(item)
        assert (one.runs, one.phase("in-1")) == ([("in-0",)], InputPhase.QUEUED)
        await one.end_run()
        assert one.runs == [("in-0",), ("in-1",)]
        await one.end_run()
        assert isinstance(ended.result(), Completed)


@in_every_home
@of_each_passive_kind
@pytest.mark.parametrize("during_a_run", [False, True])
async def test_what_is_passive_wakes_nobody_and_goes_with_the_next_run(
    home: str, item: Input, during_a_run: bool
) -> None:
    async with driven(home) as one:
        if during_a_run:
            await one.accept(a_prompt("first", "in-0"))
        ended = await one.accept(item)
        if during_a_run:
            await one.end_run()
        assert (one.waiting(), one.state) == (["in-1"], RuntimeState.ATTACHED)
        assert not one.adapter.is_busy(SESSION)
        await one.accept(a_prompt("second", "in-2"))
        assert one.runs[-1] == ("in-1", "in-2")
        await one.end_run()
        assert isinstance(ended.result(), Completed)


@in_every_home
async def test_news_of_an_operation_ends_as_it_comes(home: str) -> None:
    async with driven(home) as one:
        item = OperationInput(header=a_header("in-1"), operation_id="o")
        assert (await one.accept(item)).result() == CompletedWithoutResult()
        assert (one.runs, one.waiting(), one.state) == ([], [], RuntimeState.ATTACHED)


@in_every_home
async def test_what_is_rejected_leaves_no_trace(home: str) -> None:
    prompt = a_prompt("x", "in-1", key="k")
    derived = msgspec.structs.replace(
        prompt, header=msgspec.structs.replace(prompt.header, durability="derived")
    )
    async with driven(home) as one:
        with pytest.raises(InputRejected):
            await one.adapter.accept_input(SESSION, derived)
        assert one.adapter.input_state(SESSION, "in-1") is None
        assert (one.waiting(), one.runs) == ([], [])
        await one.accept(prompt)  # neither its id nor its key is taken
        assert one.runs == [("in-1",)]


# -- how runs end ------------------------------------------------------------------------------


@in_every_home
async def test_a_run_that_failed_leaves_what_waits_in_its_order(home: str) -> None:
    """The failed one ends; the backlog needs no other wake (LP-1, and a departure)."""
    async with driven(home) as one:
        failed = await one.accept(a_prompt("x", "in-1"))
        for n in (2, 3, 4):
            await one.accept(a_prompt("x", f"in-{n}"))
        await one.end_run(AgentError("no"))
        assert reason_of(failed) == "apply_failed"
        assert one.waiting() == ["in-2", "in-3", "in-4"]
        for _ in range(3):
            await one.end_run()
        assert one.runs == [("in-1",), ("in-2",), ("in-3",), ("in-4",)]
        assert one.desk.most_at_once == 1


@in_every_home
async def test_a_lone_run_that_failed_is_not_tried_again_by_itself(home: str) -> None:
    async with driven(home) as one:
        await one.accept(a_prompt("x", "in-1"))
        await one.end_run(AgentError("no"))
        assert (one.runs, one.waiting(), one.state) == ([("in-1",)], [], RuntimeState.ATTACHED)


@in_every_home
async def test_messages_of_one_boundary_share_a_run_in_their_order(home: str) -> None:
    async with driven(home) as one:
        await one.accept(a_prompt("x", "in-0"))
        ended = [await one.accept(a_peer_message("x", f"in-{n}")) for n in (1, 2, 3)]
        await one.accept(a_prompt("x", "in-4"))
        await one.end_run()
        await one.end_run()
        assert one.runs == [("in-0",), ("in-1", "in-2", "in-3"), ("in-4",)]
        outcomes = [future.result() for future in ended]
        assert all(outcome == outcomes[0] for outcome in outcomes)


# -- the end of a runtime ----------------------------------------------------------------------


@in_every_home
@pytest.mark.parametrize("retired", [False, True])
@pytest.mark.parametrize("destroyed", [False, True])
async def test_stop_and_destroy_abandon_all_for_good(
    home: str, retired: bool, destroyed: bool
) -> None:
    async with driven(home) as one:
        one.adapter.hold(SESSION, held=True)
        ended = [await one.accept(a_prompt("x", f"in-{n}")) for n in (1, 2)]
        ended.append(await one.accept(a_notice("x", "in-3")))
        if retired:
            assert (await one.adapter.retire_runtime(SESSION)).pending_drain == 3
        end = one.adapter.destroy if destroyed else one.adapter.stop_runtime_executor
        assert await end(SESSION) == 3
        word = "destroyed" if destroyed else "stopped"
        assert [reason_of(future) for future in ended] == [word] * 3
        assert (one.state.value, one.waiting(), one.runs) == (word, [], [])
        for refused in (one.adapter.reset_runtime, one.adapter.retire_runtime):
            with pytest.raises(RuntimeNotReady, match=word):
                await refused(SESSION)
        with pytest.raises(RuntimeNotReady, match=word):
            await one.adapter.accept_input(SESSION, a_prompt("x", "in-4"))
        one.adapter.hold(SESSION, held=False)
        await settle()
        assert one.runs == []
