"""An input whose run ends at a tool that the embedding program runs (LP-6)."""

import pytest

from meerkat_mob.core.inputs import ContinuationInput, InputHeader, SystemSource
from meerkat_mob.core.messages import ToolResult
from meerkat_mob.core.tools import Tool, callback_tool
from meerkat_mob.llm import ScriptedLlm, call
from meerkat_mob.runtime import CallbackPending, Completed, InputPhase, Outcome
from meerkat_mob.store import MemoryStore
from meerkat_mob.testing.builders import (
    NEW_YEAR_2030,
    a_clock,
    a_peer_message,
    a_prompt,
    a_tool_that_echoes,
)
from tests.contracts.places import PLACES
from tests.runtime.kit import Office, an_office, settle
from tests.runtime.machine import SESSION, Play, a_process

ASK: Tool = callback_tool(a_tool_that_echoes("ask").definition)


def go_on(name: str) -> ContinuationInput:
    header = InputHeader(id=name, timestamp=NEW_YEAR_2030, source=SystemSource())
    return ContinuationInput(header=header, reason="the result is in")


async def outcome_of(office: Office, *, name: str = "in-1") -> Outcome:
    accept = office.adapter.accept_input_with_completion
    _, ended = await accept(office.session_id, a_prompt("go", name))
    assert ended is not None
    return await ended


async def test_its_sender_is_told_of_the_calls() -> None:
    async with an_office(ScriptedLlm([call("ask", n=1)]), ASK) as office:
        outcome = await outcome_of(office)
        assert isinstance(outcome, CallbackPending)
        assert [(use.name, bytes(use.args)) for use in outcome.calls] == [("ask", b'{"n":1}')]
        record = office.adapter.input_state(office.session_id, "in-1")
        assert record is not None
        assert record.phase is InputPhase.CONSUMED
        assert office.receipt("run-1").contributing_input_ids == ("in-1",)


async def test_a_continuation_goes_on_when_the_results_are_in() -> None:
    async with an_office(ScriptedLlm([call("ask", n=1), "done"]), ASK) as office:
        outcome = await outcome_of(office)
        assert isinstance(outcome, CallbackPending)
        accept = office.adapter.accept_input_with_completion
        _, early = await accept(office.session_id, go_on("in-2"))
        assert early is not None
        assert await early == outcome
        result = ToolResult(tool_use_id=outcome.calls[0].id, content="42")
        await office.service.stage_tool_results(office.session_id, (result,))
        _, late = await accept(office.session_id, go_on("in-3"))
        assert late is not None
        end = await late
        assert isinstance(end, Completed)
        assert end.result.text == "done"


async def test_what_waits_behind_it_runs() -> None:
    """It does not block who speaks next (spec mob 2.10, K-2)."""
    async with an_office(ScriptedLlm([call("ask", n=1), "one"]), ASK) as office:
        office.adapter.hold(office.session_id, held=True)
        accept = office.adapter.accept_input_with_completion
        _, first = await accept(office.session_id, a_prompt("go", "in-1"))
        _, second = await accept(office.session_id, a_prompt("and?", "in-2"))
        office.adapter.hold(office.session_id, held=False)
        assert first is not None
        assert second is not None
        assert isinstance(await first, CallbackPending)
        end = await second
        assert isinstance(end, Completed)
        assert end.result.text == "one"


async def test_what_joined_the_run_is_told_the_same() -> None:
    """INP: it was applied by that run, and has its end."""
    play = Play()
    process = await a_process(play, MemoryStore(clock=a_clock()), 0, ASK)
    await process.work()
    accept = process.adapter.accept_input_with_completion
    await accept(SESSION, a_prompt("go", "in-1"))
    await settle()
    play.go_on(call("wait"))
    await settle(20)
    _, joined = await accept(SESSION, a_peer_message("also", "in-2", mode="steer"))
    play.go_on()
    await settle(20)
    play.go_on(call("ask"))
    await settle(20)
    await process.adapter.aclose()
    await process.service.aclose()
    assert joined is not None
    assert isinstance(joined.result(), CallbackPending)


@pytest.mark.parametrize("place", list(PLACES))
async def test_after_a_restart_it_has_its_end(place: str) -> None:
    with PLACES[place]() as open_store:
        async with open_store() as store:
            play = Play()
            process = await a_process(play, store, 0, ASK)
            await process.work()
            accept = process.adapter.accept_input_with_completion
            _, ended = await accept(SESSION, a_prompt("go", "in-1"))
            await settle()
            play.go_on(call("ask"))
            assert ended is not None
            assert isinstance(await ended, CallbackPending)
            await process.adapter.aclose()
            await process.service.aclose()
            process = await a_process(play, store, 1, ASK)
            await process.work()
            record = process.adapter.input_state(SESSION, "in-1")
            busy = process.adapter.is_busy(SESSION)
            await process.adapter.aclose()
            await process.service.aclose()
    assert record is not None
    assert (record.phase, busy) == (InputPhase.CONSUMED, False)
