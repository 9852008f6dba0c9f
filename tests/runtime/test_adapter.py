"""The inboxes of sessions, over real sessions with a scripted model."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from meerkat_mob.core.events import ToolExecutionStarted, TurnStarted
from meerkat_mob.core.inputs import Input
from meerkat_mob.core.messages import RenderMetadata, UserMessage
from meerkat_mob.core.tools import ToolCall, ToolOutcome
from meerkat_mob.errors import (
    AgentError,
    InboxFull,
    LlmFailed,
    RunCancelled,
    RuntimeNotReady,
    SessionBusy,
)
from meerkat_mob.llm import ScriptedLlm, call, fail, hang
from meerkat_mob.runtime import (
    Abandoned,
    Accepted,
    Completed,
    Deduplicated,
    InputPhase,
    Outcome,
    RuntimeState,
    RuntimeTerminated,
)
from meerkat_mob.runtime.inbox import BOUND
from meerkat_mob.runtime.loop import RECEIPTS
from meerkat_mob.testing.builders import (
    a_notice,
    a_peer_message,
    a_prompt,
    a_tool,
    a_tool_that_hangs,
    a_tool_that_waits,
    a_turn,
    the_next,
)
from tests.runtime.kit import Office, a_desk, an_office, settle


async def accepted(office: Office, item: Input) -> asyncio.Future[Outcome]:
    """The future of an input's end."""
    accept = office.adapter.accept_input_with_completion
    outcome, ended = await accept(office.session_id, item)
    assert isinstance(outcome, Accepted)
    assert ended is not None
    return ended


def text_of(outcome: Outcome) -> str:
    assert isinstance(outcome, Completed)
    return outcome.result.text


# -- the ordinary way --------------------------------------------------------------------------


async def test_an_accepted_input_is_run_and_its_end_is_told() -> None:
    async with an_office(ScriptedLlm(["hello"])) as office:
        ended = await accepted(office, a_prompt("hi", "in-1"))
        assert office.adapter.is_busy("id-1")
        assert text_of(await ended) == "hello"
        record = office.adapter.input_state(office.session_id, "in-1")
        assert record is not None
        assert record.phase is InputPhase.CONSUMED
        receipt = office.adapter.load_boundary_receipt(office.session_id, str(record.run_id))
        assert receipt is not None
        assert (receipt.contributing_input_ids, receipt.message_count) == (("in-1",), 2)
        assert receipt.boundary == "run_start"
        await office.idle()
        assert office.adapter.runtime_state(office.session_id) is RuntimeState.ATTACHED


async def test_a_steered_input_joins_the_run_and_a_queued_one_waits_for_its_end() -> None:
    gate = asyncio.Event()
    script = ScriptedLlm([call("wait"), "one", "two"])
    async with an_office(script, a_tool_that_waits(gate)) as office:
        first = await accepted(office, a_prompt("first", "in-1"))
        events = office.service.subscribe_session_events(office.session_id)
        await the_next(ToolExecutionStarted, events)
        await events.aclose()
        late = [
            await accepted(office, a_prompt("second", "in-2")),
            await accepted(office, a_prompt("third", "in-3", mode="steer")),
        ]
        assert office.adapter.runtime_state(office.session_id) is RuntimeState.RUNNING
        active = office.adapter.list_active_inputs(office.session_id)
        assert [r.phase.value for r in active] == ["staged", "queued", "queued"]
        gate.set()
        assert text_of(await first) == "one"
        assert [text_of(o) for o in await asyncio.gather(*late)] == ["two", "one"]
        assert await office.heard() == ["first", "third", "second"]
        run_id = str(active[0].run_id)
        joined, ended = office.receipt(run_id), office.receipt(run_id, 1)
        assert (joined.boundary, joined.contributing_input_ids) == ("run_checkpoint", ("in-3",))
        assert (ended.boundary, ended.contributing_input_ids) == ("run_start", ("in-1",))
        assert joined.message_count < ended.message_count


async def test_each_input_of_a_run_is_a_message_of_its_own() -> None:
    async with an_office(ScriptedLlm(["ok"])) as office:
        await office.adapter.accept_input(office.session_id, a_notice("ann has come", "in-1"))
        await office.adapter.accept_input(office.session_id, a_peer_message("ready?", "in-2"))
        ended = await accepted(office, a_peer_message("well?", "in-3"))
        await ended
        messages = (await office.service.read_history(office.session_id)).messages
        peer = RenderMetadata(render_class="peer_message")
        news = RenderMetadata(render_class="peer_request")
        assert messages[:3] == (
            UserMessage(content="ann has come", render_metadata=news),
            UserMessage(content="ready?", render_metadata=peer),
            UserMessage(content="well?", render_metadata=peer),
        )


async def test_news_never_wakes_and_precedes_the_next_run() -> None:
    async with an_office(ScriptedLlm(["ok"])) as office:
        news = await accepted(office, a_notice("ann has come", "in-1"))
        await settle()
        assert not office.adapter.is_busy(office.session_id)
        assert not news.done()
        await (await accepted(office, a_prompt("go", "in-2")))
        assert text_of(await news) == "ok"
        assert await office.heard() == ["ann has come", "go"]


async def test_who_is_not_kept_alive_finds_its_messages_in_front_of_its_next_turn() -> None:
    async with an_office(ScriptedLlm(["ok"]), keep_alive=False) as office:
        message = await accepted(office, a_peer_message("ready?", "in-1"))
        await settle()
        assert not message.done()
        await (await accepted(office, a_prompt("go", "in-2")))
        assert message.done()
        assert await office.heard() == ["ready?", "go"]


# -- once --------------------------------------------------------------------------------------


async def test_a_repeated_key_joins_the_input_in_flight() -> None:
    async with an_office(ScriptedLlm(["only one"])) as office:
        first = await accepted(office, a_prompt("go", "in-1", key="k"))
        accept = office.adapter.accept_input_with_completion
        outcome, joined = await accept(office.session_id, a_prompt("go", "in-2", key="k"))
        assert outcome == Deduplicated(input_id="in-2", existing_id="in-1")
        assert joined is not None
        assert await joined is await first
        assert office.adapter.input_state(office.session_id, "in-2") is None


async def test_a_repeated_key_of_an_ended_input_has_nothing_to_wait_for() -> None:
    async with an_office(ScriptedLlm(["only one"])) as office:
        await (await accepted(office, a_peer_message("go", "in-1")))
        accept = office.adapter.accept_input_with_completion
        again = await accept(office.session_id, a_peer_message("go", "in-1"))
        assert again == (Deduplicated(input_id="in-1", existing_id="in-1"), None)
        assert await office.heard() == ["go"]


async def test_many_may_wait_for_one_input_and_one_who_gives_up_hurts_nobody() -> None:
    async with an_office(ScriptedLlm(["ok"])) as office:
        first = await accepted(office, a_prompt("go", "in-1", key="k"))
        accept = office.adapter.accept_input_with_completion
        others = [
            (await accept(office.session_id, a_prompt("go", f"in-{n}", key="k")))[1] for n in (2, 3)
        ]
        first.cancel()
        told = [await other for other in others if other is not None]
        assert [text_of(outcome) for outcome in told] == ["ok", "ok"]


# -- failure -----------------------------------------------------------------------------------


async def test_a_failed_run_ends_its_inputs_with_the_error_and_the_next_one_runs() -> None:
    async with an_office(ScriptedLlm([fail("no room"), "fine"])) as office:
        futures = [await accepted(office, a_prompt(text, text)) for text in ("one", "two")]
        failed, fine = await asyncio.gather(*futures)
        assert isinstance(failed, Abandoned)
        assert failed.reason == "apply_failed"
        assert isinstance(failed.error, LlmFailed)
        assert text_of(fine) == "fine"
        assert office.adapter.load_boundary_receipt(office.session_id, "run-1") is None
        assert office.adapter.load_boundary_receipt(office.session_id, "run-2") is not None


async def test_a_run_that_breaks_by_a_bug_ends_its_inputs_and_the_next_one_runs() -> None:
    adapter, desk = await a_desk()
    _, first = await adapter.accept_input_with_completion("s", a_prompt("one", "in-1"))
    _, second = await adapter.accept_input_with_completion("s", a_prompt("two", "in-2"))
    await settle()
    desk.end(RuntimeError("a bug"))
    assert first is not None
    broken = await first
    assert isinstance(broken, Abandoned)
    assert isinstance(broken.error, AgentError)
    assert "a bug" in str(broken.error)
    assert isinstance(broken.error.__cause__, RuntimeError)
    await settle()
    desk.end()
    assert second is not None
    assert text_of(await second) == "run-2"
    await adapter.aclose()


async def test_a_session_that_somebody_else_drives_is_busy_and_the_sender_is_told() -> None:
    async with an_office(ScriptedLlm([hang(), "fine"])) as office:
        turn = asyncio.create_task(office.service.start_turn(office.session_id, a_turn()))
        await settle()
        outcome = await (await accepted(office, a_prompt("go", "in-1")))
        assert isinstance(outcome, Abandoned)
        assert isinstance(outcome.error, SessionBusy)
        await office.service.interrupt(office.session_id)
        with pytest.raises(RunCancelled):
            await turn
        assert text_of(await (await accepted(office, a_prompt("go", "in-2")))) == "fine"


# -- interrupts --------------------------------------------------------------------------------


async def test_an_interrupt_ends_the_run_and_what_is_queued_runs_next() -> None:
    async with an_office(ScriptedLlm([call("hang"), "fine"]), a_tool_that_hangs()) as office:
        first = await accepted(office, a_prompt("one", "in-1"))
        second = await accepted(office, a_prompt("two", "in-2"))
        await settle(12)
        await office.adapter.interrupt_current_run(office.session_id)
        outcome = await first
        assert isinstance(outcome, Abandoned)
        assert (outcome.reason, type(outcome.error)) == ("cancelled", RunCancelled)
        assert text_of(await second) == "fine"


async def test_an_interrupt_of_an_idle_session_is_fine_and_hits_nothing() -> None:
    async with an_office(ScriptedLlm(["fine"])) as office:
        await office.adapter.interrupt_current_run(office.session_id)
        ended = await accepted(office, a_prompt("one", "in-1"))
        await office.adapter.interrupt_current_run(office.session_id)
        assert text_of(await ended) == "fine"


# -- holding -----------------------------------------------------------------------------------


async def test_what_is_held_is_accepted_and_waits() -> None:
    async with an_office(ScriptedLlm(["fine"])) as office:
        office.adapter.hold(office.session_id, held=True)
        ended = await accepted(office, a_prompt("one", "in-1"))
        await settle()
        assert not ended.done()
        assert not office.adapter.is_busy(office.session_id)
        office.adapter.hold(office.session_id, held=False)
        assert office.adapter.is_busy(office.session_id)
        assert text_of(await ended) == "fine"


async def test_a_hold_during_a_run_lets_it_end_and_no_other_begin() -> None:
    adapter, desk = await a_desk()
    for n in (1, 2):
        await adapter.accept_input("s", a_prompt("go", f"in-{n}"))
    await settle()
    adapter.hold("s", held=True)
    assert adapter.is_busy("s")
    desk.end()
    await settle()
    assert (len(desk.batches), adapter.is_busy("s")) == (1, False)
    adapter.hold("s", held=False)
    await settle()
    assert len(desk.batches) == 2
    await adapter.aclose()


# -- the end -----------------------------------------------------------------------------------


async def test_a_retired_session_takes_nothing_more_and_runs_what_it_has() -> None:
    async with an_office(ScriptedLlm(["one", "two"])) as office:
        futures = [await accepted(office, a_prompt(text, text)) for text in ("one", "two")]
        assert (await office.adapter.retire_runtime(office.session_id)).pending_drain == 2
        with pytest.raises(RuntimeNotReady, match="retired"):
            await office.adapter.accept_input(office.session_id, a_prompt("late", "late"))
        assert [text_of(o) for o in await asyncio.gather(*futures)] == ["one", "two"]
        assert office.adapter.runtime_state(office.session_id) is RuntimeState.RETIRED


async def test_news_that_no_run_will_take_along_ends_with_the_retirement() -> None:
    adapter, desk = await a_desk()
    _, news = await adapter.accept_input_with_completion("s", a_notice("ann", "in-1"))
    assert (await adapter.retire_runtime("s")).pending_drain == 0
    assert news is not None
    assert await news == Abandoned(reason="retired")
    assert desk.batches == []
    await adapter.aclose()


async def test_news_behind_the_last_run_of_a_retired_session_ends_after_it() -> None:
    adapter, desk = await a_desk()
    _, prompt = await adapter.accept_input_with_completion("s", a_prompt("go", "in-1"))
    await settle()
    _, news = await adapter.accept_input_with_completion("s", a_notice("ann", "in-2"))
    await adapter.retire_runtime("s")
    await settle()
    assert news is not None
    assert not news.done()
    desk.end()
    assert prompt is not None
    assert text_of(await prompt) == "run-1"
    assert await news == Abandoned(reason="retired")
    await adapter.aclose()


async def test_unregistering_ends_everything_and_tells_everyone() -> None:
    async with an_office(ScriptedLlm([hang()])) as office:
        running = await accepted(office, a_prompt("one", "in-1"))
        queued = await accepted(office, a_prompt("two", "in-2"))
        news = await accepted(office, a_notice("ann", "in-3"))
        events = office.service.subscribe_session_events(office.session_id)
        await the_next(TurnStarted, events)
        await events.aclose()
        await office.adapter.unregister_session(office.session_id, reason="over")
        ended = await running
        assert isinstance(ended, Abandoned)
        assert ended.reason == "cancelled"
        assert await queued == RuntimeTerminated(reason="over")
        assert await news == RuntimeTerminated(reason="over")
        assert not office.adapter.contains_session(office.session_id)
        assert office.adapter.runtime_state(office.session_id) is RuntimeState.DESTROYED
        with pytest.raises(RuntimeNotReady, match="destroyed"):
            await office.adapter.accept_input(office.session_id, a_prompt("late", "late"))
        await office.adapter.unregister_session(office.session_id)


async def test_a_session_on_its_way_out_takes_nothing_and_is_busy_until_its_run_has_ended() -> None:
    adapter, desk = await a_desk()
    await adapter.accept_input("s", a_prompt("go", "in-1"))
    await settle()
    ending = asyncio.create_task(adapter.unregister_session("s"))
    await asyncio.sleep(0)
    assert adapter.is_busy("s")
    assert not adapter.contains_session("s")
    with pytest.raises(RuntimeNotReady):
        await adapter.accept_input("s", a_prompt("late", "late"))
    await ending
    assert not adapter.is_busy("s")
    assert not desk.at_work
    assert not adapter._runtimes
    await adapter.register_session("s", desk, keep_alive=True)
    assert isinstance(await adapter.accept_input("s", a_prompt("again", "in-1")), Accepted)
    await settle()
    await adapter.aclose()


async def test_a_tool_may_end_the_session_it_runs_in() -> None:
    """It is cancelled by that, and nothing waits for itself."""
    async with AsyncExitStack() as stack:
        offices: list[Office] = []

        async def leave(one: ToolCall) -> ToolOutcome:
            await offices[0].adapter.unregister_session(offices[0].session_id)
            return ToolOutcome(content="never")

        llm = ScriptedLlm([call("leave"), "never"])
        office = await stack.enter_async_context(an_office(llm, a_tool("leave", leave)))
        offices.append(office)
        outcome = await (await accepted(office, a_prompt("go", "in-1")))
        assert isinstance(outcome, Abandoned)
        assert outcome.reason == "cancelled"
        await office.idle()
        assert not office.adapter.contains_session(office.session_id)


async def test_two_may_unregister_a_session_at_once() -> None:
    adapter, desk = await a_desk()
    await adapter.accept_input("s", a_prompt("go", "in-1"))
    await settle()
    async with asyncio.TaskGroup() as group:
        group.create_task(adapter.unregister_session("s"))
        group.create_task(adapter.unregister_session("s"))
    assert (len(desk.batches), adapter.contains_session("s")) == (1, False)


async def test_closing_ends_all_sessions_at_once_and_twice_is_fine() -> None:
    adapter, desk = await a_desk()
    await adapter.register_session("t", desk, keep_alive=True)
    for session_id in ("s", "t"):
        await adapter.accept_input(session_id, a_prompt("go", "in-1"))
    await settle()
    closing = asyncio.create_task(adapter.aclose())
    await settle()
    desk.end()
    await closing
    await adapter.aclose()
    assert not adapter.contains_session("s")
    assert not adapter.contains_session("t")


# -- edges -------------------------------------------------------------------------------------


async def test_registering_again_keeps_the_inbox_there_is() -> None:
    adapter, desk = await a_desk()
    adapter.hold("s", held=True)
    await adapter.accept_input("s", a_prompt("go", "in-1"))
    await adapter.register_session("s", desk, keep_alive=True)
    assert len(adapter.list_active_inputs("s")) == 1
    await adapter.aclose()


async def test_a_full_inbox_refuses_and_says_how_much_it_holds() -> None:
    adapter, _ = await a_desk()
    adapter.hold("s", held=True)
    for n in range(BOUND):
        await adapter.accept_input("s", a_prompt("go", f"in-{n}"))
    with pytest.raises(InboxFull, match=str(BOUND)):
        await adapter.accept_input("s", a_prompt("go", "more"))
    await adapter.aclose()


async def test_nobody_s_inbox_takes_nothing() -> None:
    adapter, _ = await a_desk()
    for ask in (
        lambda: adapter.input_state("nobody", "in-1"),
        lambda: adapter.list_active_inputs("nobody"),
        lambda: adapter.load_boundary_receipt("nobody", "run-1"),
    ):
        with pytest.raises(RuntimeNotReady, match="nobody is destroyed"):
            ask()
    with pytest.raises(RuntimeNotReady, match="nobody is destroyed"):
        await adapter.retire_runtime("nobody")
    assert not adapter.is_busy("nobody")


async def test_only_so_many_receipts_are_kept() -> None:
    adapter, desk = await a_desk()
    for n in range(RECEIPTS + 1):
        _, ended = await adapter.accept_input_with_completion("s", a_prompt("go", f"in-{n}"))
        await settle(3)
        desk.end()
        assert ended is not None
        await ended
    kept = [adapter.load_boundary_receipt("s", f"run-{n}") for n in (1, 2, RECEIPTS + 1)]
    assert [receipt is not None for receipt in kept] == [False, True, True]
    await settle()
    await adapter.aclose()


async def test_a_session_that_is_archived_meanwhile_can_still_be_unregistered() -> None:
    gate = asyncio.Event()
    async with an_office(ScriptedLlm([call("wait"), "done"]), a_tool_that_waits(gate)) as office:
        ended = await accepted(office, a_prompt("go", "in-1"))
        events = office.service.subscribe_session_events(office.session_id)
        await the_next(ToolExecutionStarted, events)
        await events.aclose()
        archiving = asyncio.create_task(office.service.archive(office.session_id))
        await asyncio.sleep(0)
        ending = asyncio.create_task(office.adapter.unregister_session(office.session_id))
        await settle()
        gate.set()
        await asyncio.gather(archiving, ending)
        assert text_of(await ended) == "done"


async def test_busy_is_told_to_who_waits_for_it_and_a_wait_leaves_no_trace() -> None:
    adapter, desk = await a_desk()
    waiting = asyncio.create_task(adapter.activity.until(lambda: adapter.is_busy("s")))
    given_up = asyncio.create_task(adapter.activity.until(lambda: False))
    await settle()
    assert not waiting.done()
    await adapter.accept_input("s", a_prompt("go", "in-1"))
    await waiting
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert not adapter.activity._waiting
    desk.end()
    await adapter.aclose()


async def test_idle_is_told_to_who_waits_without_polling() -> None:
    adapter, desk = await a_desk()
    looks: list[bool] = []

    def idle() -> bool:
        looks.append(adapter.is_busy("s"))
        return not looks[-1]

    await adapter.accept_input("s", a_prompt("go", "in-1"))
    waiting = asyncio.create_task(adapter.activity.until(idle))
    await settle(50)
    before = len(looks)
    await settle(50)
    assert len(looks) == before
    desk.end()
    await waiting
    assert not looks[-1]
