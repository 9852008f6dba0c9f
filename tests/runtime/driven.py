"""One session driven by hand, over each home that an adapter can have.

What a runtime promises of its inputs it promises in memory and over a store: whoever takes
``driven`` says it of both. A run ends when the test says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import msgspec

from meerkat_mob.comms import LIFECYCLE_INTENTS
from meerkat_mob.core.inputs import (
    Convention,
    FlowSource,
    FlowStepInput,
    Input,
    InputHeader,
    PeerInput,
    PeerSource,
    Source,
    SystemSource,
)
from meerkat_mob.llm import ScriptedLlm
from meerkat_mob.runtime import (
    Abandoned,
    Accepted,
    InputPhase,
    Outcome,
    RuntimeSessionAdapter,
    RuntimeState,
)
from meerkat_mob.testing.builders import (
    NEW_YEAR_2030,
    a_clock,
    a_persistent_service,
    a_request,
    some_ids,
)
from tests.contracts.places import PLACES
from tests.runtime.kit import Desk, settle

SESSION: Final = "the-session"
PEER: Final = PeerSource(peer_id="team/dev/dev")


class Driven(msgspec.Struct, frozen=True, kw_only=True):
    """An adapter with one session."""

    adapter: RuntimeSessionAdapter
    desk: Desk

    @property
    def state(self) -> RuntimeState:
        return self.adapter.runtime_state(SESSION)

    @property
    def runs(self) -> list[tuple[str, ...]]:
        """The inputs of each run so far."""
        return [batch.ids for batch in self.desk.batches]

    async def accept(self, item: Input) -> asyncio.Future[Outcome]:
        """Takes an input that is new, and lets happen what then happens by itself."""
        accept = self.adapter.accept_input_with_completion
        outcome, ended = await accept(SESSION, item)
        assert outcome == Accepted(input_id=item.header.id)
        assert ended is not None
        await settle()
        return ended

    async def end_run(self, error: Exception | None = None) -> None:
        """Ends the run that goes on, and lets the next one begin."""
        assert self.desk.at_work
        self.desk.end(error)
        await settle(12)

    def phase(self, input_id: str) -> InputPhase:
        record = self.adapter.input_state(SESSION, input_id)
        assert record is not None
        return record.phase

    def waiting(self) -> list[str]:
        """What has not ended, in its order."""
        return [r.item.header.id for r in self.adapter.list_active_inputs(SESSION)]


HOMES: Final = ("nothing kept", *PLACES)
"""An adapter that keeps nothing, and one over each place that a store can have."""


@asynccontextmanager
async def driven(home: str, *, works: bool = True) -> AsyncGenerator[Driven, None]:
    """A session whose inputs wait for nobody but the test; without ``works`` for an executor."""
    async with AsyncExitStack() as stack:
        adapter = await _adapter(home, stack)
        stack.push_async_callback(adapter.aclose)
        desk = Desk()
        await adapter.register_session(SESSION, desk if works else None, keep_alive=True)
        adapter.set_session_silent_intents(SESSION, LIFECYCLE_INTENTS)
        yield Driven(adapter=adapter, desk=desk)


async def _adapter(home: str, stack: AsyncExitStack) -> RuntimeSessionAdapter:
    if home not in PLACES:
        return RuntimeSessionAdapter.ephemeral(ids=some_ids("run"))
    open_store = stack.enter_context(PLACES[home]())
    store = await stack.enter_async_context(open_store())
    service = await a_persistent_service(ScriptedLlm([]), store)
    stack.push_async_callback(service.aclose)
    await service.create_session(a_request(defer=True, session_id=SESSION))
    return RuntimeSessionAdapter.persistent(service, ids=some_ids("run"), clock=a_clock())


# -- inputs and ends ---------------------------------------------------------------------------


def a_header(input_id: str, source: Source | None = None) -> InputHeader:
    return InputHeader(id=input_id, timestamp=NEW_YEAR_2030, source=source or SystemSource())


def from_peer(input_id: str, convention: Convention, body: str = "x") -> PeerInput:
    return PeerInput(header=a_header(input_id, PEER), convention=convention, body=body)


def a_step(input_id: str) -> FlowStepInput:
    header = a_header(input_id, FlowSource(flow_id="f", step_index=0))
    return FlowStepInput(header=header, step_id="s", instructions="do it")


def reason_of(ended: asyncio.Future[Outcome]) -> str:
    """Why an input that has ended was not answered."""
    outcome = ended.result()
    assert isinstance(outcome, Abandoned)
    return outcome.reason
