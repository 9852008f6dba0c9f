"""How a session comes to an inbox and to an executor, and leaves both, in every home."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable

import pytest

from meerkat_mob.core.inputs import ContinuationInput
from meerkat_mob.errors import RuntimeNotReady
from meerkat_mob.llm import ScriptedLlm
from meerkat_mob.runtime import (
    Completed,
    CompletedWithoutResult,
    Deduplicated,
    RuntimeSessionAdapter,
    RuntimeState,
)
from meerkat_mob.runtime.recovery import RecoveryReport
from meerkat_mob.testing.builders import a_notice, a_prompt
from tests.runtime.driven import HOMES, SESSION, a_header, driven
from tests.runtime.kit import Desk, an_office, settle

in_every_home = pytest.mark.parametrize("home", HOMES)


# -- an executor -------------------------------------------------------------------------------


@in_every_home
async def test_what_was_accepted_waits_for_an_executor_and_then_runs(home: str) -> None:
    """To have an inbox is not yet to have somebody who works."""
    async with driven(home, works=False) as one:
        ended = await one.accept(a_prompt("x", "in-1"))
        assert one.adapter.contains_session(SESSION)
        assert not one.adapter.session_has_executor(SESSION)
        assert (one.state, one.adapter.is_busy(SESSION)) == (RuntimeState.IDLE, False)
        await one.adapter.register_session(SESSION, one.desk)
        assert one.adapter.session_has_executor(SESSION)
        await settle()
        await one.end_run()
        assert isinstance(ended.result(), Completed)
        assert one.state is RuntimeState.ATTACHED


@in_every_home
async def test_the_first_executor_stays(home: str) -> None:
    async with driven(home) as one:
        other = Desk()
        assert await one.adapter.register_session(SESSION, other) == RecoveryReport()
        await one.accept(a_prompt("x", "in-1"))
        assert (one.runs, other.batches) == ([("in-1",)], [])


@in_every_home
async def test_ensuring_gives_an_executor_to_who_has_none(home: str) -> None:
    async with driven(home, works=False) as one:
        await one.accept(a_prompt("x", "in-1"))
        made: list[str] = []

        def make(session_id: str) -> Desk:
            made.append(session_id)
            return one.desk

        for _ in range(2):
            await one.adapter.ensure_session_with_executor(SESSION, make)
        await settle()
        assert (made, one.runs) == ([SESSION], [("in-1",)])


@in_every_home
async def test_of_many_who_ensure_at_once_one_makes_it(home: str) -> None:
    """Also when the session is not known yet, or was known and has left."""
    async with driven(home) as one:
        await one.adapter.unregister_session(SESSION)
        desks: list[Desk] = []

        def make(session_id: str) -> Desk:
            assert session_id == SESSION
            desks.append(Desk())
            return desks[-1]

        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(one.adapter.ensure_session_with_executor(SESSION, make))
        await one.accept(a_prompt("x", "in-1"))
        assert [desk.batches[0].ids for desk in desks] == [("in-1",)]
        assert one.runs == []  # who left works no more


# -- without an inbox --------------------------------------------------------------------------

Ask = Callable[[RuntimeSessionAdapter], object]
REFUSED: dict[str, Ask] = {
    "accept": lambda a: a.accept_input("nobody", a_prompt("x", "in-1")),
    "accept without wake": lambda a: a.accept_input_without_wake("nobody", a_prompt("x", "i")),
    "accept and wait": lambda a: a.accept_input_with_completion("nobody", a_prompt("x", "i")),
    "interrupt": lambda a: a.interrupt_current_run("nobody"),
    "retire": lambda a: a.retire_runtime("nobody"),
    "reset": lambda a: a.reset_runtime("nobody"),
    "recycle": lambda a: a.recycle_runtime("nobody"),
    "stop": lambda a: a.stop_runtime_executor("nobody"),
    "destroy": lambda a: a.destroy("nobody"),
    "hold": lambda a: a.hold("nobody", held=True),
    "silence": lambda a: a.set_session_silent_intents("nobody", ()),
    "bind": lambda a: a.prepare_bindings("nobody"),
    "look": lambda a: a.input_state("nobody", "in-1"),
}


@pytest.mark.parametrize("ask", REFUSED.values(), ids=REFUSED)
async def test_who_has_no_inbox_is_destroyed_for_all_who_ask(ask: Ask) -> None:
    async def asked(adapter: RuntimeSessionAdapter) -> None:
        answer = ask(adapter)
        if inspect.isawaitable(answer):
            await answer

    async with driven("nothing kept") as one:
        with pytest.raises(RuntimeNotReady, match="nobody is destroyed"):
            await asked(one.adapter)
        assert one.adapter.runtime_state("nobody") is RuntimeState.DESTROYED
        assert not one.adapter.session_has_executor("nobody")
        await one.adapter.unregister_session("nobody")


# -- how a waiter is told ----------------------------------------------------------------------


@in_every_home
async def test_what_is_known_is_waited_for_while_it_has_not_ended(home: str) -> None:
    async with driven(home) as one:
        first = await one.accept(a_prompt("x", "in-1", key="k"))
        accept = one.adapter.accept_input_with_completion
        outcome, joined = await accept(SESSION, a_prompt("x", "in-2", key="k"))
        assert outcome == Deduplicated(input_id="in-2", existing_id="in-1")
        assert joined is not None
        await one.end_run()
        assert joined.result() is first.result()
        again = await accept(SESSION, a_prompt("x", "in-3", key="k"))
        assert again == (Deduplicated(input_id="in-3", existing_id="in-1"), None)
        assert one.runs == [("in-1",)]


@in_every_home
async def test_what_was_abandoned_is_known_too(home: str) -> None:
    async with driven(home) as one:
        one.adapter.hold(SESSION, held=True)
        await one.accept(a_prompt("x", "in-1", key="k"))
        await one.adapter.reset_runtime(SESSION)
        again = await one.adapter.accept_input_with_completion(
            SESSION, a_prompt("x", "in-2", key="k")
        )
        assert again == (Deduplicated(input_id="in-2", existing_id="in-1"), None)


async def test_an_input_that_leaves_nothing_to_answer_has_an_end_without_a_result() -> None:
    async with an_office(ScriptedLlm([])) as office:
        item = ContinuationInput(header=a_header("in-1"), reason="timer")
        accept = office.adapter.accept_input_with_completion
        _, ended = await accept(office.session_id, item)
        assert ended is not None
        assert await ended == CompletedWithoutResult()
        assert office.receipt("run-1").contributing_input_ids == ("in-1",)


@in_every_home
async def test_an_input_without_wake_leaves_it_at_rest(home: str) -> None:
    async with driven(home) as one:
        await one.adapter.accept_input_without_wake(SESSION, a_prompt("x", "in-1"))
        await settle()
        assert (one.runs, one.state) == ([], RuntimeState.ATTACHED)
        await one.accept(a_notice("x", "in-2"))
        assert (one.runs, one.waiting()) == ([], ["in-1", "in-2"])
        await one.accept(a_prompt("x", "in-3"))
        assert one.runs == [("in-1", "in-2", "in-3")]


@in_every_home
async def test_another_executor_runs_nothing_that_was_applied(home: str) -> None:
    """DUR-7, and what waits goes on with those who wait for it."""
    async with driven(home) as one:
        await one.accept(a_prompt("x", "in-1"))
        await one.end_run()
        one.adapter.hold(SESSION, held=True)
        ended = await one.accept(a_prompt("x", "in-2"))
        other = Desk()
        assert await one.adapter.recycle_runtime(SESSION, other) == 1
        one.adapter.hold(SESSION, held=False)
        await settle()
        other.end()
        await settle(12)
        assert isinstance(ended.result(), Completed)
        assert (one.runs, [batch.ids for batch in other.batches]) == ([("in-1",)], [("in-2",)])
