"""What an accepted input is worth when the process, or the disk, does not live to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from meerkat_mob.core.content import ImageBlock
from meerkat_mob.core.events import ToolExecutionStarted
from meerkat_mob.core.inputs import Input
from meerkat_mob.core.messages import HandlingMode
from meerkat_mob.core.tools import Tool
from meerkat_mob.errors import LlmFailed, RuntimeNotReady, StoreFailed
from meerkat_mob.llm import ScriptedLlm, call, fail, hang
from meerkat_mob.runtime import (
    Abandoned,
    Accepted,
    Completed,
    Deduplicated,
    InputPhase,
    Outcome,
    RuntimeSessionAdapter,
    RuntimeState,
    SessionExecutor,
)
from meerkat_mob.sessions import PersistentSessionService, RecoveryOverrides
from meerkat_mob.sessions.receipts import verify_receipts
from meerkat_mob.store import Store
from meerkat_mob.testing.builders import (
    a_clock,
    a_peer_message,
    a_persistent_service,
    a_prompt,
    a_request,
    a_tool_that_echoes,
    a_tool_that_hangs,
    some_ids,
    the_next,
)
from meerkat_mob.testing.persistence_contract.stores import BreakingStore
from meerkat_mob.testing.store_contract import OpenStore
from tests.contracts.places import PLACES, Place
from tests.runtime.kit import Office

SESSION = "the-session"
TOOLS: tuple[Tool, ...] = (a_tool_that_echoes(), a_tool_that_hangs())


@pytest.fixture(params=list(PLACES))
def place(request: pytest.FixtureRequest) -> Place:
    return PLACES[request.param]


@asynccontextmanager
async def a_process(
    open_store: OpenStore,
    llm: ScriptedLlm,
    disk: BreakingStore | None = None,
    *,
    works: bool = True,
    ids: str = "run",
) -> AsyncGenerator[Office, None]:
    """One process over a place: the session with its inbox, made or found again.

    With a ``disk`` that has died, what it does at its end is not written: it was killed.
    """
    async with open_store() as store:
        kept: Store = store if disk is None else disk.over(store)
        service = await a_persistent_service(llm, kept, ids=some_ids(ids))
        await _session(service)
        adapter = RuntimeSessionAdapter.persistent(service, ids=some_ids(ids), clock=a_clock())
        executor = SessionExecutor(service, SESSION) if works else None
        office = Office(adapter=adapter, service=service, session_id=SESSION)
        await adapter.register_session(SESSION, executor, keep_alive=True)
        try:
            yield office
        finally:
            await adapter.aclose()
            await service.aclose()


async def _session(service: PersistentSessionService) -> None:
    if await service.load_persisted_session(SESSION) is None:
        await service.create_session(a_request(defer=True, tools=TOOLS, session_id=SESSION))
    else:
        await service.resume_session(SESSION, RecoveryOverrides(external_tools=TOOLS))


async def waited_for(office: Office, item: Input) -> asyncio.Future[Outcome]:
    _, ended = await office.adapter.accept_input_with_completion(SESSION, item)
    assert ended is not None
    return ended


def phase_of(office: Office, input_id: str) -> InputPhase | None:
    record = office.adapter.input_state(SESSION, input_id)
    return None if record is None else record.phase


async def staged(office: Office, input_id: str) -> None:
    """Goes on until a run has taken the input."""
    while phase_of(office, input_id) is not InputPhase.STAGED:
        await asyncio.sleep(0)


async def in_a_tool(office: Office) -> None:
    """Goes on until a tool of the run has started."""
    events = office.service.subscribe_session_events(SESSION, after=0)
    await the_next(ToolExecutionStarted, events)
    await events.aclose()


async def test_what_was_accepted_runs_in_the_next_process(place: Place) -> None:
    """DUR-1, DUR-6: in its order, once somebody works there."""
    with place() as open_store:
        async with a_process(open_store, ScriptedLlm([]), works=False) as office:
            for name in ("first", "second"):
                await office.adapter.accept_input(SESSION, a_prompt(name, name))
        with ScriptedLlm(["one", "two"]) as llm:
            async with a_process(open_store, llm) as office:
                await office.idle()
                assert await office.heard() == ["first", "second"]
                assert phase_of(office, "second") is InputPhase.CONSUMED


async def test_a_run_that_was_cut_off_goes_on_and_says_nothing_twice(place: Place) -> None:
    """The prompt is kept with the answer that calls a tool; what became of the tool is unknown."""
    with place() as open_store:
        disk = BreakingStore()
        async with a_process(open_store, ScriptedLlm([call("hang")]), disk) as office:
            await office.adapter.accept_input(SESSION, a_prompt("go", "in-1", key="k"))
            await in_a_tool(office)
            disk.die()
        with ScriptedLlm(["done"]) as llm:
            async with a_process(open_store, llm, ids="later") as office:
                again = await office.adapter.accept_input(SESSION, a_prompt("go", "in-2", key="k"))
                assert again == Deduplicated(input_id="in-2", existing_id="in-1")
                await office.idle()
                assert await office.heard() == ["go"]
                record = office.adapter.input_state(SESSION, "in-1")
                assert record is not None
                assert (record.phase, record.recoveries) == (InputPhase.CONSUMED, 1)


async def test_what_has_a_receipt_never_runs_again(place: Place) -> None:
    """RCP-3, INV-5, INV-6: its key is known for ever, and it waits for nothing."""
    with place() as open_store:
        async with a_process(open_store, ScriptedLlm(["one"])) as office:
            ended = await waited_for(office, a_prompt("go", "in-1", key="k"))
            assert isinstance(await ended, Completed)
        async with a_process(open_store, ScriptedLlm([]), ids="later") as office:
            outcome, waiter = await office.adapter.accept_input_with_completion(
                SESSION, a_prompt("go", "in-2", key="k")
            )
            assert (outcome, waiter) == (Deduplicated(input_id="in-2", existing_id="in-1"), None)
            assert phase_of(office, "in-1") is InputPhase.CONSUMED
            assert office.adapter.load_boundary_receipt(SESSION, "run-1") is not None


async def test_a_key_is_known_also_when_memory_has_forgotten_it(place: Place) -> None:
    """The store tells who has it; nothing is written."""
    with place() as open_store:
        disk = BreakingStore()
        async with a_process(open_store, ScriptedLlm(["one"]), disk) as office:
            await (await waited_for(office, a_prompt("go", "in-1", key="k")))
            office.adapter._runtimes[SESSION].inbox._keys.clear()
            before = await office.service.read_facts(SESSION)
            again = await office.adapter.accept_input(SESSION, a_prompt("go", "in-2", key="k"))
            assert again == Deduplicated(input_id="in-2", existing_id="in-1")
            assert await office.service.read_facts(SESSION) == before


async def test_a_run_that_failed_ended_its_input_for_good(place: Place) -> None:
    with place() as open_store:
        async with a_process(open_store, ScriptedLlm([fail("no such model")])) as office:
            outcome = await (await waited_for(office, a_prompt("go", "in-1")))
            assert isinstance(outcome, Abandoned)
            assert isinstance(outcome.error, LlmFailed)
        async with a_process(open_store, ScriptedLlm([])) as office:
            assert not office.adapter.is_busy(SESSION)
            record = office.adapter.input_state(SESSION, "in-1")
            assert record is not None
            assert isinstance(record.outcome, Abandoned)
            assert record.outcome.reason == "apply_failed"


async def test_what_cannot_be_kept_was_not_accepted(place: Place) -> None:
    """The caller is told, nothing runs, and the same input is welcome when there is room."""
    with place() as open_store:
        disk = BreakingStore()
        async with a_process(open_store, ScriptedLlm(["one"]), disk) as office:
            disk.die()
            with pytest.raises(StoreFailed):
                await office.adapter.accept_input(SESSION, a_prompt("go", "in-1", key="k"))
            assert not office.adapter.is_busy(SESSION)
            disk.recover()
            ended = await waited_for(office, a_prompt("go", "in-1", key="k"))
            assert isinstance(await ended, Completed)


@pytest.mark.virtual_only
@pytest.mark.parametrize("script", [["one", "two"], [call("echo"), "one", "two"]])
async def test_a_run_that_could_not_be_kept_is_tried_again_after_a_while(
    script: list[str], place: Place
) -> None:
    """Its waiter waits, and the prompt is said once, whether it was noted before or not."""
    with place() as open_store:
        disk = BreakingStore()
        async with a_process(open_store, ScriptedLlm(script), disk) as office:
            first = disk.commits + len(script)  # behind the acceptance: notes, then the end
            disk.breaks = lambda n: n == first + (len(script) == 3)
            ended = await waited_for(office, a_prompt("go", "in-1"))
            assert isinstance(await ended, Completed)
            assert await office.heard() == ["go"]
            record = office.adapter.input_state(SESSION, "in-1")
            assert record is not None
            assert record.attempts == 2


@pytest.mark.virtual_only
async def test_what_can_never_be_kept_ends_after_three_attempts(place: Place) -> None:
    """INP-1: and its sender is told why."""
    with place() as open_store:
        disk = BreakingStore()
        async with a_process(open_store, ScriptedLlm(["one", "two", "three"]), disk) as office:
            accepted = disk.commits + 1
            disk.breaks = lambda n: n > accepted
            outcome = await (await waited_for(office, a_prompt("go", "in-1")))
            assert isinstance(outcome, Abandoned)
            assert outcome.reason == "max_attempts_exhausted"
            assert isinstance(outcome.error, StoreFailed)
            assert await office.heard() == []


@pytest.mark.virtual_only
@pytest.mark.parametrize("later", ["the next input", "the close"])
async def test_what_was_given_up_while_nothing_could_be_kept_is_kept_as_that(
    later: str, place: Place
) -> None:
    """INV-2: its sender was told of an end, so no later process runs it."""
    with place() as open_store:
        disk = BreakingStore()
        script = ScriptedLlm(["one", "two", "three", "four"])
        async with a_process(open_store, script, disk) as office:
            accepted = disk.commits + 1
            disk.breaks = lambda n: n > accepted
            outcome = await (await waited_for(office, a_prompt("go", "in-1")))
            assert isinstance(outcome, Abandoned)
            disk.breaks = lambda _: False
            if later == "the next input":
                assert isinstance(
                    await (await waited_for(office, a_prompt("on", "in-2"))), Completed
                )
                disk.die()
        async with a_process(open_store, ScriptedLlm([]), ids="later") as office:
            record = office.adapter.input_state(SESSION, "in-1")
            assert record is not None
            assert isinstance(record.outcome, Abandoned)
            assert record.outcome.reason == "max_attempts_exhausted"
            assert await office.heard() == (["on"] if later == "the next input" else [])


@pytest.mark.parametrize("waits_first", [False, True])
async def test_what_kills_its_process_again_and_again_is_given_up(
    waits_first: bool, place: Place
) -> None:
    """INP-1: attempts count over restarts, and only attempts: a death in the queue is none.

    Whoever sends the same again is told that it had its end.
    """
    item = a_prompt("go", "in-1", key="k")
    with place() as open_store:
        if waits_first:
            async with a_process(open_store, ScriptedLlm([]), works=False) as office:
                await office.adapter.accept_input(SESSION, item)
        for attempts in range(3):
            disk = BreakingStore()
            async with a_process(open_store, ScriptedLlm([hang()]), disk) as office:
                await office.adapter.accept_input(SESSION, item)
                await staged(office, "in-1")
                record = office.adapter.input_state(SESSION, "in-1")
                assert record is not None
                assert record.attempts == attempts + 1
                disk.die()
        async with a_process(open_store, ScriptedLlm([])) as office:
            record = office.adapter.input_state(SESSION, "in-1")
            assert record is not None
            assert record.outcome == Abandoned(reason="max_attempts_exhausted")
            again = await office.adapter.accept_input(SESSION, item)
            assert again == Deduplicated(input_id="in-1", existing_id="in-1")


async def test_what_only_shared_a_run_with_one_that_kills_is_not_given_up_with_it(
    place: Place,
) -> None:
    """They are one batch; each has its own attempts."""
    with place() as open_store:
        for life in range(4):
            disk = BreakingStore()
            async with a_process(open_store, ScriptedLlm([hang()]), disk, works=False) as office:
                if life in {0, 3}:
                    message = a_peer_message("x", f"in-{life}")
                    await office.adapter.accept_input(SESSION, message)
                if life:
                    executor = SessionExecutor(office.service, SESSION)
                    await office.adapter.register_session(SESSION, executor)
                    await staged(office, "in-0")
                disk.die()
        async with a_process(open_store, ScriptedLlm([]), works=False) as office:
            first, second = (office.adapter.input_state(SESSION, f"in-{n}") for n in (0, 3))
            assert first is not None
            assert second is not None
            assert first.outcome == Abandoned(reason="max_attempts_exhausted")
            assert (second.phase, second.attempts) == (InputPhase.QUEUED, 1)


async def test_a_retired_inbox_is_retired_in_the_next_process(place: Place) -> None:
    with place() as open_store:
        async with a_process(open_store, ScriptedLlm([])) as office:
            await office.adapter.retire_runtime(SESSION)
        async with a_process(open_store, ScriptedLlm(["one"])) as office:
            assert office.adapter.runtime_state(SESSION) is RuntimeState.RETIRED
            with pytest.raises(RuntimeNotReady):
                await office.adapter.accept_input(SESSION, a_prompt("go", "in-1"))
            await office.adapter.reset_runtime(SESSION)
            assert isinstance(await (await waited_for(office, a_prompt("go", "in-1"))), Completed)


async def test_an_image_is_kept_by_its_name_before_it_is_acknowledged(place: Place) -> None:
    """DUR-1, BLB-3: and the model of the next process sees it."""
    image = ImageBlock(media_type="image/png", source="inline", data="aGVsbG8=")
    with place() as open_store:
        async with a_process(open_store, ScriptedLlm([]), works=False) as office:
            await office.adapter.accept_input(SESSION, a_prompt((image,), "in-1"))
            facts = await office.service.read_facts(SESSION)
            assert not any(b"aGVsbG8=" in record.body for record in facts)
        with ScriptedLlm(["nice"]) as llm:
            async with a_process(open_store, llm) as office:
                await office.idle()
        (request,) = llm.requests
        assert [blob.data for blob in request.blobs.values()] == ["aGVsbG8="]


async def test_what_joined_a_run_before_a_crash_does_not_join_again(place: Place) -> None:
    """It was consumed by a receipt of its own; the run it joined goes on from there."""
    with place() as open_store:
        disk = BreakingStore()
        script = ScriptedLlm([call("echo"), hang()])
        async with a_process(open_store, script, disk) as office:
            await office.adapter.accept_input(SESSION, a_prompt("go", "in-1"))
            await staged(office, "in-1")
            await office.adapter.accept_input(SESSION, a_prompt("also", "in-2", mode="steer"))
            while len(script.requests) < 2:
                await asyncio.sleep(0)
            disk.die()
        with ScriptedLlm(["done"]) as llm:
            async with a_process(open_store, llm, ids="later") as office:
                await office.idle()
                assert await office.heard() == ["go", "also"]
                receipt = office.adapter.load_boundary_receipt(SESSION, "run-1")
                assert receipt is not None
                assert receipt.contributing_input_ids == ("in-2",)


async def test_of_two_that_bring_one_key_at_once_one_is_kept(place: Place) -> None:
    with place() as open_store:
        async with a_process(open_store, ScriptedLlm(["one"])) as office:
            accept = office.adapter.accept_input
            first, second = await asyncio.gather(
                accept(SESSION, a_prompt("go", "in-1", key="k")),
                accept(SESSION, a_prompt("go", "in-2", key="k")),
            )
            assert first == Accepted(input_id="in-1")
            assert second == Deduplicated(input_id="in-2", existing_id="in-1")
            await office.idle()
            assert await office.heard() == ["go"]


async def test_killed_at_any_commit_everything_accepted_runs_once(place: Place) -> None:
    """INV-5: accepted means it runs, a receipt means never again; receipts hold (INV-4)."""
    for killed_at in range(1, 40):
        with place() as open_store:
            accepted, done = await _killed_at(killed_at, open_store)
            if done:
                return
            if killed_at > 1:
                async with a_process(open_store, _answers(), ids=f"after-{killed_at}") as office:
                    await office.idle()
                    assert sorted(await office.heard()) == sorted(accepted)
                    facts = await office.service.read_facts(SESSION)
                    assert all(check.agrees for check in verify_receipts(facts))
    raise AssertionError("the story has more commits than were tried")


def _answers() -> ScriptedLlm:
    return ScriptedLlm(lambda r: call("echo") if len(r.messages) % 4 == 1 else "ok")


async def _killed_at(number: int, open_store: OpenStore) -> tuple[list[str], bool]:
    """What was accepted before a commit that never came, and whether the story ended before it."""
    disk, accepted = BreakingStore(lambda n: n >= number), list[str]()
    try:
        async with a_process(open_store, _answers(), disk) as office:
            for n in range(4):
                mode: HandlingMode = "steer" if n == 2 else "queue"
                item = a_prompt(f"do {n}", f"in-{n}", key=f"k{n}", mode=mode)
                await office.adapter.accept_input(SESSION, item)
                accepted.append(f"do {n}")
            while office.adapter.is_busy(SESSION) and disk.commits < number:
                await asyncio.sleep(0)
    except StoreFailed:
        pass
    return accepted, disk.commits < number


async def test_a_run_can_be_stopped_before_its_session_knows_of_it(place: Place) -> None:
    """W11: between the queue and the session nothing escapes an interrupt."""
    with place() as open_store:
        disk = BreakingStore()
        async with a_process(open_store, ScriptedLlm([]), works=False) as office:
            await office.adapter.accept_input(SESSION, a_prompt("go", "in-1"))
        async with a_process(open_store, ScriptedLlm([]), disk) as office:
            await staged(office, "in-1")
            await office.adapter.interrupt_current_run(SESSION)
            await office.idle()
            record = office.adapter.input_state(SESSION, "in-1")
            assert record is not None
            assert isinstance(record.outcome, Abandoned)
            assert record.outcome.reason == "cancelled"
