"""Whatever is sent, said, stopped and killed, in whatever order: INV-1 to INV-7 of an inbox.

Beside the inbox stands what was promised: which inputs were acknowledged, under which key, and
how those ended that have. Every wait is a step of its own, so a step can come between any two
commits. A life may be killed at any commit; what it did not keep was never promised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from itertools import chain, count, pairwise
from typing import TypeAlias, get_args

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from meerkat_mob.core.events import RunCompleted, RunFailed, RunStarted
from meerkat_mob.core.inputs import Input, OperationInput, Receipt
from meerkat_mob.core.messages import HandlingMode, text_of_message
from meerkat_mob.errors import InputRejected, RuntimeNotReady, StoreFailed
from meerkat_mob.llm import call, fail, say
from meerkat_mob.runtime import (
    Abandoned,
    Accepted,
    Completed,
    CompletedWithoutResult,
    InputPhase,
    Outcome,
    RuntimeState,
    RuntimeTerminated,
)
from meerkat_mob.runtime.inbox import LEGAL
from meerkat_mob.sessions.receipts import ReceiptFold
from meerkat_mob.store import MemoryStore
from meerkat_mob.testing.builders import a_clock
from tests.runtime.kit import settle
from tests.runtime.machine import (
    SESSION,
    Kind,
    Play,
    Process,
    Promises,
    a_process,
    an_input,
    broken_calls,
    digest_of,
    lasts,
    token,
)

# -- steps -------------------------------------------------------------------------------------


class Send(msgspec.Struct, frozen=True):
    """A new input; nobody waits for its acknowledgement before the next step."""

    kind: Kind
    mode: HandlingMode | None = None
    key: str | None = None
    durable: bool = True


class Again(msgspec.Struct, frozen=True):
    """The same as an earlier input, id and all; 0 is the newest."""

    number: int


class Crash(msgspec.Struct, frozen=True):
    """The process is killed after some more commits; whether one works in the next is said."""

    after: int = 0
    torn: bool = False
    works: bool = True


Step: TypeAlias = Send | Again | Crash | str

sends = st.builds(
    Send,
    st.sampled_from(("prompt", *get_args(Kind))),
    st.sampled_from([None, None, "queue", "steer", "steer"]),
    st.sampled_from([None, None, "a", "b"]),
    st.sampled_from([True, True, True, False]),
)
answers = st.sampled_from(
    ["say", "call", "call", "call twice", "fail", "fail for now", "time passes", "interrupt"]
)
controls = st.sampled_from(["hold", "release", "release", "retire", "reset", "reset", "work"])
crashes = st.builds(Crash, st.integers(0, 4), st.booleans(), st.booleans())
again = st.builds(Again, st.integers(0, 3))
work = st.one_of(sends, sends, again, answers, answers, answers, controls)
ends = st.one_of(crashes, crashes, st.just("restart"))
pauses = st.sampled_from([0, 0, 1, 2, 3, 4, 6, 25, 25, 25, 25])


def stories(steps: SearchStrategy[Step]) -> SearchStrategy[list[tuple[Step, int]]]:
    """Steps, each with the passes of the loop after it: longer than one list would become."""
    part = st.lists(st.tuples(steps, pauses), max_size=8)
    return st.tuples(part, part, part, part, part).map(lambda parts: [*chain.from_iterable(parts)])


REPLIES = {
    "say": say("fine"),
    "call": call("wait"),
    "call twice": call("wait") & call("wait"),
    "fail": fail("no"),
    "fail for now": fail("later", retryable=True),
}

# -- the story ---------------------------------------------------------------------------------


class Story:
    """What happens to one session, in one life after another."""

    def __init__(self, *, durable: bool) -> None:
        self.store = MemoryStore(clock=a_clock(step=1)) if durable else None
        self.play, self.told = Play(), Promises()
        self.process: Process
        self.lives, self.names = count(), count()
        self.sent: list[Input] = []
        self.sending: list[asyncio.Task[None]] = []
        self.waiters: dict[str, list[asyncio.Future[Outcome]]] = {}
        self.retired = self.works = self.in_doubt = self.changing = False
        self.most_runs: int | None = None
        """How many runs this life may have while it is told to hold; None when it is not."""
        self.retirements = self.last_seq = self.seen = self.checked_runs = 0
        self.running: list[bool] = []
        self.crash: Crash | None = None
        self.unproven: list[Receipt] = []
        self.receipts, self.read = ReceiptFold(), 0

    @property
    def is_dead(self) -> bool:
        return self.process.disk.is_dead

    async def begin(self, *, works: bool = True) -> None:
        self.process = await a_process(self.play, self.store, next(self.lives))
        self.waiters, self.running, self.seen, self.checked_runs = {}, [], 0, 0
        self.most_runs, self.works, self.crash = None, False, None
        if works:
            await self.start_work()

    async def start_work(self) -> None:
        await self.process.work()
        self.works = True

    # -- steps ---------------------------------------------------------------------------------

    async def do(self, step: Step) -> None:
        match step:
            case Send():
                name = f"in-{next(self.names)}"
                item = an_input(step.kind, name, mode=step.mode, key=step.key, durable=step.durable)
                self.sent.append(item)
                self.send(item)
            case Again():
                if self.sent:
                    self.send(self.sent[-1 - step.number % len(self.sent)])
            case Crash():
                disk = self.process.disk
                disk.torn, disk.left, self.crash = step.torn, step.after, step
            case "time passes":
                await asyncio.sleep(10)
            case "interrupt":
                await self.process.adapter.interrupt_current_run(SESSION)
            case "restart":
                await self.restart()
            case _ if step in REPLIES:
                self.play.go_on(REPLIES[step])
            case _:
                await self.control(step)

    async def control(self, command: str) -> None:
        adapter = self.process.adapter
        match command:
            case "hold" | "release":
                adapter.hold(SESSION, held=command == "hold")
                active = adapter.list_active_inputs(SESSION)
                taken = any(r.phase is InputPhase.STAGED for r in active)
                begun = len(self.process.witness.runs) + (taken and not self.process.witness.now)
                self.most_runs = begun if command == "hold" else None
            case "work":
                await self.start_work()
            case "retire":
                self.retirements += 1
                await self.try_to(adapter.retire_runtime(SESSION))
            case _:
                self.retirements += 1
                await self.try_to(adapter.reset_runtime(SESSION))

    async def try_to(self, change: Awaitable[object]) -> None:
        """What changes whether inputs are taken. Refused it changes nothing, or its disk died."""
        self.changing = True
        try:
            await change
        except RuntimeNotReady:
            assert self.works  # there is a run
        except StoreFailed:
            assert self.is_dead
            self.in_doubt = True
        self.changing, self.retired = False, self._is_retired()

    def _is_retired(self) -> bool:
        return self.process.adapter.runtime_state(SESSION) is RuntimeState.RETIRED

    def send(self, item: Input) -> None:
        self.sending.append(asyncio.create_task(self._send(item, self.process)))

    async def _send(self, item: Input, process: Process) -> None:
        changes, shut = self.retirements, self.retired or self.changing
        ended: asyncio.Future[Outcome] | None
        try:
            outcome, ended = await process.adapter.accept_input_with_completion(SESSION, item)
        except InputRejected:
            return
        except RuntimeNotReady as refused:
            closed = refused.state == RuntimeState.DESTROYED.value
            assert closed or shut or self.retirements > changes
            return
        except StoreFailed:
            assert process.disk.is_dead
            if lasts(item):
                self.told.unsure.setdefault(item.header.id, item)
            return
        if isinstance(outcome, Accepted):
            self.told.accept(item)
            name = item.header.id
        else:
            name = outcome.existing_id
            key = item.header.idempotency_key
            assert name == item.header.id or self.told.keys.get(str(key), name) == name
        if ended is not None:
            self.waiters.setdefault(name, []).append(ended)

    # -- what must be true after every step ----------------------------------------------------

    async def check(self) -> None:
        for task in [t for t in self.sending if t.done()]:
            self.sending.remove(task)
            task.result()
        self._one_at_a_time()
        self._ends_once()
        self._events_in_order()
        await self._what_is_stored()

    def _one_at_a_time(self) -> None:
        """INV-1."""
        active = self.process.adapter.list_active_inputs(SESSION)
        assert len({r.run_id for r in active if r.phase is InputPhase.STAGED}) <= 1
        assert self.process.witness.most_at_once <= 1
        assert self.play.most_at_once <= 1
        if self.most_runs is not None:
            assert len(self.process.witness.runs) <= self.most_runs, "it runs although held"

    def _ends_once(self) -> None:
        """INV-2; what a dead process believes is of no interest."""
        adapter = self.process.adapter
        if self.is_dead:
            return
        for input_id in self.told.inputs:
            record = adapter.input_state(SESSION, input_id)
            assert record is not None, f"{input_id} is lost"
            assert input_id not in self.told.ended or not LEGAL[record.phase]
            if not LEGAL[record.phase]:
                self.told.end(input_id, record.phase)
            for future in self.waiters.get(input_id, ()):
                assert future.done() == (record.outcome is not None)
                assert not future.done() or future.result() is record.outcome
        for run_id, ids in self.process.witness.runs[self.checked_runs :]:
            again = [i for i in ids if self.told.consumed.get(i, run_id) != run_id]
            assert not again, f"{again} have a receipt, and run again"
        self.checked_runs = len(self.process.witness.runs)

    def _events_in_order(self) -> None:
        """INV-7; a run whose process died has no end."""
        for envelope in self.process.events[self.seen :]:
            assert envelope.seq > self.last_seq
            self.last_seq = envelope.seq
            if isinstance(envelope.payload, RunStarted | RunCompleted | RunFailed):
                self.running.append(isinstance(envelope.payload, RunStarted))
        self.seen = len(self.process.events)
        assert all(a != b for a, b in pairwise([False, *self.running])), "a run has one end"
        if not self.process.witness.now:
            assert not any(self.running[-1:]), "a run has no end"

    async def _what_is_stored(self) -> None:
        """INV-3, INV-4 and INV-5."""
        assert self.play.faults == []
        messages = (await self.process.service.read_history(SESSION)).messages
        assert broken_calls(messages) == []
        self._take_receipts()
        proven = [r for r in self.unproven if r.message_count <= len(messages)]
        for receipt in proven:
            assert digest_of(messages[: receipt.message_count]) == receipt.conversation_digest
            self.unproven.remove(receipt)
        facts = await self.process.service.read_facts(SESSION, after=self.read)
        for check in self.receipts.add(facts):
            assert check.agrees, check.difference
            self.told.apply(check.receipt)
        self.read += len(facts)

    def _take_receipts(self) -> None:
        for run_id, _ in self.process.witness.runs:
            for sequence in count():
                receipt = self.process.adapter.load_boundary_receipt(SESSION, run_id, sequence)
                if receipt is None:
                    break
                if (run_id, sequence) not in self.told.receipts:
                    self.unproven.append(receipt)
                self.told.apply(receipt)

    # -- the end of a life ---------------------------------------------------------------------

    async def restart(self, *, works: bool = True) -> None:
        """The process ends, in order or killed, and another one finds what it left."""
        await self.close()
        await self.begin(works=False)
        self._nothing_was_lost()
        if works:
            await self.start_work()

    async def die(self) -> None:
        crash = self.crash or Crash()
        self.process.disk.is_dead = True
        await self.restart(works=crash.works)

    async def close(self) -> None:
        await self.process.adapter.aclose()
        await self.process.service.aclose()
        await asyncio.gather(*self.sending)
        self.sending.clear()
        self._events_in_order()
        self.process.stop_watching()
        waiting = [i for i, those in self.waiters.items() if not all(f.done() for f in those)]
        assert not waiting, f"who sent {waiting} waits for ever"
        self.told.forget_what_was_not_kept()
        self.sent = [item for item in self.sent if lasts(item)]  # the others may be new again

    def _nothing_was_lost(self) -> None:
        """INV-5 and INV-6, as the next process finds it."""
        adapter, told = self.process.adapter, self.told
        for input_id, item in told.unsure.items():
            if input_id not in told.inputs and adapter.input_state(SESSION, input_id):
                told.accept(item)
        told.unsure.clear()
        for input_id in told.inputs:
            record = adapter.input_state(SESSION, input_id)
            assert record is not None, f"{input_id} was acknowledged, and is lost"
            if input_id in told.ended:
                assert record.phase is told.ended[input_id]
        active = {r.item.header.id for r in adapter.list_active_inputs(SESSION)}
        assert active <= set(told.inputs)
        assert not active & set(told.consumed)
        assert self.in_doubt or self.retired == self._is_retired()
        self.retired, self.in_doubt = self._is_retired(), False

    # -- the end -------------------------------------------------------------------------------

    async def finish(self) -> None:
        """Everything that was acknowledged ends, once somebody works and nothing holds it."""
        if self.crash is not None:
            await self.die()
        await self.do("release")
        await self.start_work()
        await self._drain()
        if not self.retired:
            await self.do(Send("prompt"))  # it takes along what only waits for a run
            await self._drain()
        await self.check()
        assert set(self.told.inputs) == set(self.told.ended)
        assert self.unproven == []
        for input_id, phase in self.told.ended.items():
            item = self.told.inputs[input_id]
            applied = input_id in self.told.consumed or isinstance(item, OperationInput)
            assert applied == (phase is InputPhase.CONSUMED)
        self._each_waiter_was_told()
        await self._said_once()

    async def _drain(self) -> None:
        for _ in range(300):
            await settle(12)
            if not self.process.adapter.is_busy(SESSION) and not self.sending:
                return
            self.play.go_on()
            await asyncio.sleep(1)
            await self.check()
        raise AssertionError("it never comes to rest")

    def _each_waiter_was_told(self) -> None:
        for input_id, futures in self.waiters.items():
            outcome = futures[0].result()
            assert all(future.result() is outcome for future in futures)
            applied = isinstance(outcome, Completed | CompletedWithoutResult)
            assert not isinstance(outcome, RuntimeTerminated)
            assert applied == (self.told.ended[input_id] is InputPhase.CONSUMED)
            assert isinstance(outcome, Abandoned) != applied

    async def _said_once(self) -> None:
        """INV-5, as the model sees it: what was applied was said, and nothing is said twice."""
        messages = (await self.process.service.read_history(SESSION)).messages
        texts = "\n".join(text_of_message(m) for m in messages)
        for input_id, item in self.told.inputs.items():
            times = texts.count(token(input_id))
            silent = item.__struct_config__.tag in {"continuation", "operation"}
            assert times <= 1
            if not silent and self.told.ended[input_id] is InputPhase.CONSUMED:
                assert times == 1


async def told(story: Story, steps: list[tuple[Step, int]]) -> None:
    await story.begin()
    for step, passes in steps:
        await story.do(step)
        await story.check()
        await settle(passes)
        await story.check()
        if story.is_dead:
            await story.die()
            await story.check()
    await story.finish()


PROMPT, ANSWER = (Send("prompt"), 25), ("say", 25)
IN_A_TOOL: list[tuple[Step, int]] = [PROMPT, ("call", 25)]
STEERED: list[tuple[Step, int]] = [*IN_A_TOOL, (Send("message", "steer"), 25), ANSWER]


@pytest.mark.virtual_only
@example([*IN_A_TOOL, (Crash(), 0)])  # each is rarely drawn, and always worth a look
@example([*STEERED, (Crash(), 0)])
@example([*STEERED, ("restart", 25), (Again(0), 25)])
@given(stories(st.one_of(work, work, work, work, work, ends)))
async def test_what_was_promised_is_kept_over_every_crash(
    steps: list[tuple[Step, int]],
) -> None:
    story = Story(durable=True)
    await told(story, steps)
    await story.restart()
    await settle()
    await story.check()
    assert story.process.witness.runs == []
    await story.close()


@pytest.mark.virtual_only
@given(stories(work))
async def test_what_was_promised_is_kept_in_memory(
    steps: list[tuple[Step, int]],
) -> None:
    story = Story(durable=False)
    await told(story, steps)
    await story.close()
