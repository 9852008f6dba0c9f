"""Whatever comes in whatever order: one run at a time, and every input ends once (INV-1, INV-2)."""

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from meerkat_mob.core.inputs import Input
from meerkat_mob.errors import LlmFailed, RuntimeNotReady
from meerkat_mob.runtime import (
    Abandoned,
    Accepted,
    Completed,
    InputPhase,
    Outcome,
    RuntimeSessionAdapter,
    RuntimeState,
)
from meerkat_mob.runtime.inbox import Batch
from meerkat_mob.testing.builders import a_notice, a_peer_message, a_prompt
from tests.runtime.kit import Desk, a_desk, settle

FAILURE = LlmFailed(provider="p", reason="provider_error", detail="no", hint="wait")

sends = st.tuples(
    st.sampled_from(["prompt", "steered prompt", "message", "steered message", "news"]),
    st.sampled_from(["a", "b", None]),
)
commands = st.sampled_from(
    ["end", "end", "fail", "break", "interrupt", "hold", "release", "pass", "retire"]
)
stories = st.lists(st.one_of(sends, commands), max_size=25)


def an_item(kind: str, number: int, key: str | None) -> Input:
    name = f"in-{number}"
    match kind:
        case "prompt":
            return a_prompt("", name, key=key)
        case "steered prompt":
            return a_prompt("", name, key=key, mode="steer")
        case "message":
            return a_peer_message("", name)
        case "steered message":
            return a_peer_message("", name, mode="steer")
        case _:
            return a_notice("", name)


class Story:
    """What a test does to one session, and what it was promised."""

    def __init__(self, adapter: RuntimeSessionAdapter, desk: Desk) -> None:
        self.adapter, self.desk = adapter, desk
        self.promised: dict[str, list[asyncio.Future[Outcome]]] = {}
        self.sent = 0

    async def send(self, kind: str, key: str | None) -> None:
        self.sent += 1
        item = an_item(kind, self.sent, key)
        try:
            outcome, ended = await self.adapter.accept_input_with_completion("s", item)
        except RuntimeNotReady:
            assert self.adapter.runtime_state("s") is RuntimeState.RETIRED
            return
        if isinstance(outcome, Accepted):
            assert ended is not None
            self.promised[outcome.input_id] = [ended]
        elif ended is not None:
            self.promised[outcome.existing_id].append(ended)

    async def do(self, command: str) -> None:
        match command:
            case "end":
                self.desk.end()
            case "fail":
                self.desk.end(FAILURE)
            case "break":
                self.desk.end(RuntimeError("a bug"))
            case "interrupt":
                await self.adapter.interrupt_current_run("s")
            case "hold" | "release":
                self.adapter.hold("s", held=command == "hold")
            case "retire":
                await self.adapter.retire_runtime("s")
            case _:
                await asyncio.sleep(0)

    def check(self) -> None:
        active = self.adapter.list_active_inputs("s")
        staged = [r for r in active if r.phase is InputPhase.STAGED]
        assert len({r.run_id for r in staged}) <= 1
        assert len(self.desk.at_work) <= 1
        pending = {i for i, futures in self.promised.items() if not futures[0].done()}
        assert pending == {r.item.header.id for r in active}

    async def finish(self) -> None:
        """Lets go of what is held and ends runs until nothing asks for one."""
        self.adapter.hold("s", held=False)
        await settle()
        while self.adapter.is_busy("s"):
            self.desk.end()
            await settle()
        await self.adapter.aclose()


def well_ordered(batches: list[Batch]) -> bool:
    """In each lane nothing that asks overtakes another; in the queue lane a prompt asks alone."""
    asking = [[r for r in b.records if r.policy.wakes] for b in batches]
    queued = [[r for r in b if r.policy.lane == "queue"] for b in asking]
    alone = all(len(b) == 1 or not any(r.policy.alone for r in b) for b in queued)
    together = all(len({r.policy.lane for r in b}) == 1 for b in asking)
    lanes = [
        [r.admission for b in asking for r in b if r.policy.lane == n] for n in ("steer", "queue")
    ]
    return alone and together and all(a < b for lane in lanes for a, b in pairwise(lane))


@given(stories)
async def test_every_accepted_input_ends_once_whatever_happens(
    steps: list[str | tuple[str, str | None]],
) -> None:
    story = Story(*await a_desk())
    for step in steps:
        await (story.do(step) if isinstance(step, str) else story.send(*step))
        story.check()
        await settle(2)
        story.check()
    await story.finish()

    assert story.desk.most_at_once <= 1
    taken = [input_id for batch in story.desk.batches for input_id in batch.ids]
    assert len(taken) == len(set(taken))
    assert well_ordered(story.desk.batches)
    for input_id, futures in story.promised.items():
        outcomes = [future.result() for future in futures]
        assert all(outcome is outcomes[0] for outcome in outcomes)
        assert isinstance(outcomes[0], Completed) <= (input_id in taken)
        failed = isinstance(outcomes[0], Abandoned) and outcomes[0].reason != "retired"
        assert failed <= (input_id in taken)
