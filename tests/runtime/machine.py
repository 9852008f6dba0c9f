"""A session and its inbox in which every wait is the test's: the model's, the tool's, the disk's.

``Play`` is the model and its tool: both say nothing before they are told to. ``MortalStore`` gives
way to others at each commit, and dies at the one it is told to. A ``Process`` is what one life has
in memory: whoever drops it and opens another one over the same store has seen a crash.
``Promises`` outlives them all.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.comms import LIFECYCLE_INTENTS
from meerkat_mob.core.blobs import Blob
from meerkat_mob.core.events import EventEnvelope
from meerkat_mob.core.inputs import (
    ApplyOutput,
    ContinuationInput,
    Convention,
    ExternalEventInput,
    ExternalSource,
    FlowSource,
    FlowStepInput,
    Input,
    InputHeader,
    MessageConvention,
    OperationInput,
    OperatorSource,
    PeerInput,
    PeerSource,
    PromptInput,
    Receipt,
    RequestConvention,
    ResponseProgressConvention,
    ResponseTerminalConvention,
    Source,
    SystemSource,
)
from meerkat_mob.core.messages import (
    HandlingMode,
    Message,
    ToolResults,
    encode_message,
    tool_uses,
)
from meerkat_mob.core.tools import Tool, ToolCall, ToolOutcome
from meerkat_mob.errors import StoreFailed
from meerkat_mob.llm import LlmEvent, LlmRequest, Reply, say
from meerkat_mob.llm.voice import Voice
from meerkat_mob.runtime import InputPhase, RuntimeSessionAdapter, SessionExecutor
from meerkat_mob.runtime.inbox import Batch
from meerkat_mob.sessions import RecoveryOverrides, RunInbox, SessionService
from meerkat_mob.store import Append, Install, Record, Store, to_the_end
from meerkat_mob.testing.builders import (
    NEW_YEAR_2030,
    a_clock,
    a_persistent_service,
    a_request,
    a_service,
    a_tool,
    some_ids,
)
from meerkat_mob.testing.persistence_contract.stores import StoreBefore

SESSION: Final = "the-session"

# -- inputs of every kind ----------------------------------------------------------------------

Kind: TypeAlias = Literal[
    "prompt",
    "message",
    "request",
    "news",
    "progress",
    "response",
    "flow step",
    "event",
    "continuation",
    "operation",
]
_CONVENTIONS: Final[Mapping[Kind, Convention]] = {
    "message": MessageConvention(),
    "request": RequestConvention(request_id="r", intent="review"),
    "news": RequestConvention(request_id="r", intent=min(LIFECYCLE_INTENTS)),
    "progress": ResponseProgressConvention(request_id="r", phase="in_progress"),
    "response": ResponseTerminalConvention(request_id="r", status="completed"),
}
_SOURCES: Final[Mapping[Kind, Source]] = {
    "prompt": OperatorSource(),
    "flow step": FlowSource(flow_id="f", step_index=0),
    "event": ExternalSource(source_name="ci"),
    "continuation": SystemSource(),
    "operation": SystemSource(),
}


def token(input_id: str) -> str:
    """What an input says; that of one is no part of another's."""
    return f"<{input_id}>"


def an_input(
    kind: Kind, name: str, *, mode: HandlingMode | None, key: str | None, durable: bool
) -> Input:
    """An input that says its token, when its kind says anything."""
    header = InputHeader(
        id=name,
        timestamp=NEW_YEAR_2030,
        source=_SOURCES.get(kind, PeerSource(peer_id="team/dev/dev")),
        durability="durable" if durable else "ephemeral",
        idempotency_key=UNSET if key is None else key,
    )
    named: HandlingMode | UnsetType = UNSET if mode is None else mode
    match kind:
        case "prompt":
            return PromptInput(header=header, content=token(name), handling_mode=named)
        case "flow step":
            return FlowStepInput(
                header=header, step_id="s", instructions=token(name), handling_mode=named
            )
        case "event":
            return ExternalEventInput(
                header=header, event_type="e", payload=token(name), handling_mode=mode or "queue"
            )
        case "continuation":
            return ContinuationInput(header=header, reason="go on", handling_mode=mode or "queue")
        case "operation":
            return OperationInput(header=header, operation_id="o")
        case _:
            convention = _CONVENTIONS[kind]
            return PeerInput(
                header=header, convention=convention, body=token(name), handling_mode=named
            )


# -- the model and its tool --------------------------------------------------------------------


class Play:
    """A model, and a tool named ``wait``: each waits until the test goes on.

    ``faults`` are the calls without a result in what the model was sent (INV-3).
    """

    provider = "scripted"

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.most_at_once = 0
        self._voice = Voice()  # one for all lives, so no two calls have one name
        self._asked: deque[asyncio.Future[Reply]] = deque()
        self._tools: deque[asyncio.Future[None]] = deque()

    def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        """See ``LlmClient.stream``."""
        return self._spoken(request)

    async def _spoken(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        self.faults += broken_calls(request.messages)
        asked: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._asked.append(asked)
        self.most_at_once = max(self.most_at_once, len(self._asked))
        try:
            reply = await asked
            async with aclosing(self._voice.speak(request, lambda _: reply)) as events:
                async for event in events:
                    yield event
        finally:
            self._asked.remove(asked)

    async def aclose(self) -> None:
        """Nothing is held."""

    def tool(self) -> Tool:
        """The tool."""

        async def wait(call: ToolCall) -> ToolOutcome:
            end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._tools.append(end)
            try:
                await end
            finally:
                self._tools.remove(end)
            return ToolOutcome(content=call.id)

        return a_tool("wait", wait)

    def go_on(self, reply: Reply | None = None) -> None:
        """Ends the tool that waits, or else lets the model answer; nothing when neither waits."""
        if tool := next((t for t in self._tools if not t.done()), None):
            tool.set_result(None)
        elif asked := next((a for a in self._asked if not a.done()), None):
            asked.set_result(reply or say("fine"))


def broken_calls(messages: Iterable[Message]) -> list[str]:
    """Calls that are followed by something else than their results (INV-3)."""
    found: list[str] = []
    open_calls: list[str] = []
    for message in messages:
        results = message.results if isinstance(message, ToolResults) else ()
        if open_calls != [r.tool_use_id for r in results]:
            found.append(f"{open_calls} are followed by {message}")
        open_calls = [use.id for use in tool_uses(message)]
    return found


# -- a disk that dies --------------------------------------------------------------------------


class MortalStore(StoreBefore):
    """Its process is killed at a commit: that one and all later ones fail.

    ``torn`` says that the one it is killed at is written all the same, and nobody learns of it.
    """

    def __init__(self) -> None:
        self.is_dead = self.torn = False
        self.left: int | None = None
        """How many commits it lives; None when nothing is said."""

    async def commit(
        self,
        appends: Sequence[Append],
        *,
        blobs: Sequence[Blob] = (),
        install: Install | None = None,
    ) -> tuple[Record, ...]:
        """See ``Store.commit``. Others go on before it happens."""

        async def late() -> tuple[Record, ...]:
            await asyncio.sleep(0)
            if self.is_dead or self.left == 0:
                if self.torn and not self.is_dead:
                    await self._behind.commit(appends, blobs=blobs)
                self.is_dead = True
                raise StoreFailed(path="the disk", why="its process was killed")
            self.left = None if self.left is None else self.left - 1
            return await self._behind.commit(appends, blobs=blobs, install=install)

        return await to_the_end(asyncio.ensure_future(late()))

    async def aclose(self) -> None:
        """The next process has the same store behind it."""


# -- one life ----------------------------------------------------------------------------------


class Witness:
    """An executor over a session that counts how many runs it has, and remembers their inputs."""

    def __init__(self, service: SessionService) -> None:
        self._behind = SessionExecutor(service, SESSION)
        self.runs: list[tuple[str, tuple[str, ...]]] = []
        self.now = self.most_at_once = 0

    async def apply(self, run_id: str, batch: Batch, inbox: RunInbox) -> ApplyOutput:
        """See ``Executor.apply``."""
        self.runs.append((run_id, batch.ids))
        self.now += 1
        self.most_at_once = max(self.most_at_once, self.now)
        try:
            return await self._behind.apply(run_id, batch, inbox)
        finally:
            self.now -= 1

    async def cancel_current_run(self) -> None:
        """See ``Executor.cancel_current_run``."""
        await self._behind.cancel_current_run()


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """What one life has in memory, and the events it has said."""

    service: SessionService
    adapter: RuntimeSessionAdapter
    disk: MortalStore
    witness: Witness
    events: list[EventEnvelope]
    stop_watching: Callable[[], None]

    async def work(self) -> None:
        """From now on somebody runs what the inbox takes."""
        await self.adapter.register_session(SESSION, self.witness, keep_alive=True)


async def a_process(play: Play, store: Store | None, life: int, *more: Tool) -> Process:
    """A life over a store, or one that keeps nothing. Its inbox has nobody who works yet."""
    disk, ids, tools = MortalStore(), some_ids(f"run-{life}"), (play.tool(), *more)
    request = a_request(defer=True, tools=tools, session_id=SESSION)
    service: SessionService
    if store is None:
        service = a_service(play)
        await service.create_session(request)
        adapter = RuntimeSessionAdapter.ephemeral(ids=ids, clock=a_clock())
    else:
        service = kept = await a_persistent_service(play, disk.over(store))
        if life == 0:
            await kept.create_session(request)
        else:
            await kept.resume_session(SESSION, RecoveryOverrides(external_tools=tools))
        adapter = RuntimeSessionAdapter.persistent(service, ids=ids, clock=a_clock())
    await adapter.register_session(SESSION, keep_alive=True)
    adapter.set_session_silent_intents(SESSION, LIFECYCLE_INTENTS)
    events: list[EventEnvelope] = []
    return Process(
        service=service,
        adapter=adapter,
        disk=disk,
        witness=Witness(service),
        events=events,
        stop_watching=service.watch_session_events(SESSION, events.append),
    )


# -- what was promised -------------------------------------------------------------------------


class Promises:
    """The model: what senders were told, and what was seen of it. Lives as long as the story."""

    def __init__(self) -> None:
        self.inputs: dict[str, Input] = {}
        """Acknowledged, and not forgotten with a process that ended."""
        self.keys: dict[str, str] = {}
        self.ended: dict[str, InputPhase] = {}
        self.unsure: dict[str, Input] = {}
        """Sent to a process that died over them: kept or not, and nobody knows."""
        self.receipts: dict[tuple[str, int], Receipt] = {}
        self.consumed: dict[str, str] = {}

    def accept(self, item: Input) -> None:
        """INV-6: an acknowledged id, or key, is new."""
        header = item.header
        assert header.id not in self.inputs, f"{header.id} was accepted twice"
        self.inputs[header.id] = item
        if header.idempotency_key is not UNSET:
            first = self.keys.setdefault(header.idempotency_key, header.id)
            assert first == header.id, f"{header.id} was accepted, its key belongs to {first}"

    def end(self, input_id: str, phase: InputPhase) -> None:
        """INV-2: an end is for good."""
        assert self.ended.setdefault(input_id, phase) is phase, f"{input_id} ended twice"

    def apply(self, receipt: Receipt) -> None:
        """INV-5: one receipt for each input."""
        known = self.receipts.setdefault((receipt.run_id, receipt.sequence), receipt)
        assert known == receipt
        for input_id in receipt.contributing_input_ids:
            first = self.consumed.setdefault(input_id, receipt.run_id)
            assert first == receipt.run_id, f"{input_id} was applied by {first} and {receipt}"

    def forget_what_was_not_kept(self) -> None:
        """Its process has ended."""
        for input_id in [i for i, item in self.inputs.items() if not lasts(item)]:
            del self.inputs[input_id]
            self.ended.pop(input_id, None)
            self.consumed.pop(input_id, None)
        self.keys = {key: i for key, i in self.keys.items() if i in self.inputs}


def lasts(item: Input) -> bool:
    """Whether its acknowledgement says that it is kept."""
    return item.header.durability == "durable" and not isinstance(item, OperationInput)


def digest_of(messages: tuple[Message, ...]) -> str:
    """RCP-1, from the ground up."""
    whole = b"[" + b",".join(encode_message(message) for message in messages) + b"]"
    return hashlib.sha256(whole).hexdigest()
