"""Inboxes over real sessions, and over an executor whose runs end when the test says so."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec

from meerkat_mob.comms import LIFECYCLE_INTENTS
from meerkat_mob.core.events import RunResult
from meerkat_mob.core.inputs import ApplyOutput, Receipt
from meerkat_mob.core.messages import UserMessage, text_of_message
from meerkat_mob.core.tools import Tool
from meerkat_mob.errors import RunCancelled
from meerkat_mob.llm import LlmClient
from meerkat_mob.runtime import RuntimeSessionAdapter, SessionExecutor
from meerkat_mob.runtime.inbox import Batch
from meerkat_mob.sessions import RunInbox, SessionService
from meerkat_mob.testing.builders import a_service, a_session, some_ids


class Office(msgspec.Struct, frozen=True, kw_only=True):
    """One session with its inbox."""

    adapter: RuntimeSessionAdapter
    service: SessionService
    session_id: str

    async def heard(self) -> list[str]:
        """What the session's model was told, message by message."""
        messages = (await self.service.read_history(self.session_id)).messages
        return [text_of_message(m) for m in messages if isinstance(m, UserMessage)]

    def receipt(self, run_id: str, sequence: int = 0) -> Receipt:
        found = self.adapter.load_boundary_receipt(self.session_id, run_id, sequence)
        assert found is not None
        return found

    async def idle(self) -> None:
        await self.adapter.activity.until(lambda: not self.adapter.is_busy(self.session_id))


@asynccontextmanager
async def an_office(
    llm: LlmClient, *tools: Tool, keep_alive: bool = True
) -> AsyncGenerator[Office, None]:
    service = a_service(llm)
    adapter = RuntimeSessionAdapter.ephemeral(ids=some_ids("run"))
    session_id = await a_session(service, tools=tools)
    await adapter.register_session(
        session_id, SessionExecutor(service, session_id), keep_alive=keep_alive
    )
    adapter.set_session_silent_intents(session_id, LIFECYCLE_INTENTS)
    yield Office(adapter=adapter, service=service, session_id=session_id)
    await adapter.aclose()
    await service.aclose()


class Desk:
    """An executor: each run waits until the test ends it, with an error or without."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.at_work: deque[asyncio.Future[None]] = deque()
        self.most_at_once = 0

    async def apply(self, run_id: str, batch: Batch, inbox: RunInbox) -> ApplyOutput:
        del inbox
        self.batches.append(batch)
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.at_work.append(end)
        self.most_at_once = max(self.most_at_once, len(self.at_work))
        try:
            await end
        finally:
            self.at_work.remove(end)
        receipt = Receipt(
            run_id=run_id,
            boundary=batch.boundary,
            contributing_input_ids=batch.ids,
            conversation_digest="",
            message_count=0,
        )
        return ApplyOutput(receipt=receipt, result=RunResult(text=run_id, session_id="s"))

    async def cancel_current_run(self) -> None:
        self.end(RunCancelled())

    def end(self, error: Exception | None = None) -> None:
        """Ends the run that is going on, if there is one."""
        if self.at_work and not self.at_work[0].done():
            if error is None:
                self.at_work[0].set_result(None)
            else:
                self.at_work[0].set_exception(error)


async def a_desk(*, keep_alive: bool = True) -> tuple[RuntimeSessionAdapter, Desk]:
    """An adapter with one session, named ``s``."""
    adapter, desk = RuntimeSessionAdapter.ephemeral(ids=some_ids("run")), Desk()
    await adapter.register_session("s", desk, keep_alive=keep_alive)
    adapter.set_session_silent_intents("s", LIFECYCLE_INTENTS)
    return adapter, desk


async def settle(passes: int = 6) -> None:
    """Lets everything happen that can happen by itself."""
    for _ in range(passes):
        await asyncio.sleep(0)
