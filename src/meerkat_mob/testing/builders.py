"""Small real parts for tests: a service over a scripted model, requests, inputs, tools.

Nothing here stands in for our own code. Clocks and ids are fixed, so two runs do the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from itertools import count
from typing import Final, Literal, TypeVar

from msgspec import UNSET, UnsetType

from meerkat_mob.agent import AgentBuilder
from meerkat_mob.comms import PEER_ADDED
from meerkat_mob.core.build_state import BudgetLimits
from meerkat_mob.core.content import Content
from meerkat_mob.core.events import AgentEvent, EventEnvelope, RunResult
from meerkat_mob.core.hooks import Hook
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.inputs import (
    InputHeader,
    MessageConvention,
    OperatorSource,
    PeerInput,
    PeerSource,
    PromptInput,
    RequestConvention,
)
from meerkat_mob.core.messages import HandlingMode
from meerkat_mob.core.requests import CreateSessionRequest, SessionBuildOptions, StartTurnRequest
from meerkat_mob.core.tools import Execute, Tool, ToolCall, ToolDef, ToolOutcome
from meerkat_mob.llm.client import LlmClient
from meerkat_mob.sessions import EphemeralSessionService, PersistentSessionService
from meerkat_mob.sessions.service import SessionService
from meerkat_mob.store import Store

EventT = TypeVar("EventT")
NEW_YEAR_2030: Final = 1_893_456_000_000
"""Where the fixed clocks stand, in ms."""


# -- time and names ----------------------------------------------------------------------------


def a_clock(*, at: int = NEW_YEAR_2030, step: int = 0) -> Clock:
    """A clock that stands still, or moves on by ``step`` ms whenever it is asked."""
    ticks = count(at, step)
    return lambda: next(ticks)


def the_loop_s_clock() -> int:
    """The running loop's own time in ms: in virtual time it moves exactly as tests wait."""
    return NEW_YEAR_2030 + round(asyncio.get_running_loop().time() * 1000)


def some_ids(prefix: str = "id") -> Callable[[], str]:
    """``id-1``, ``id-2`` and so on."""
    numbers = count(1)
    return lambda: f"{prefix}-{next(numbers)}"


# -- sessions ----------------------------------------------------------------------------------


def a_service(
    llm: LlmClient,
    *,
    clock: Clock | None = None,
    ids: Callable[[], str] | None = None,
    max_sessions: int = 10_000,
) -> EphemeralSessionService:
    """Sessions in memory, all answered by one model."""
    now = clock or a_clock(step=1)
    return EphemeralSessionService(
        build_agent=AgentBuilder(client_for=lambda _: llm, clock=now),
        clock=now,
        ids=ids or some_ids(),
        max_sessions=max_sessions,
    )


async def a_persistent_service(
    llm: LlmClient,
    store: Store,
    *,
    clock: Clock | None = None,
    ids: Callable[[], str] | None = None,
    max_sessions: int = 10_000,
) -> PersistentSessionService:
    """Sessions in a store, all answered by one model."""
    now = clock or a_clock(step=1)
    return await PersistentSessionService.open(
        store,
        build_agent=AgentBuilder(client_for=lambda _: llm, clock=now),
        clock=now,
        ids=ids or some_ids(),
        max_sessions=max_sessions,
    )


def a_request(
    prompt: Content = "",
    *,
    defer: bool = False,
    stage: bool = False,
    system_prompt: str | None = None,
    labels: Mapping[str, str] | None = None,
    tools: tuple[Tool, ...] = (),
    session_id: str | None = None,
    comms_name: str | None = None,
    max_turns: int | UnsetType = UNSET,
    budget: BudgetLimits | UnsetType = UNSET,
    hooks: tuple[Hook, ...] = (),
) -> CreateSessionRequest:
    """A request for a session that runs its prompt, or defers its first turn."""
    initial: Literal["defer", "run_immediately"] = "defer" if defer else "run_immediately"
    return CreateSessionRequest(
        model="scripted",
        prompt=prompt,
        system_prompt=system_prompt,
        initial_turn=initial,
        deferred_prompt_policy="stage" if stage else "discard",
        labels=labels or {},
        build=SessionBuildOptions(
            session_id=UNSET if session_id is None else session_id,
            comms_name=comms_name,
            external_tools=tools,
            max_turns=max_turns,
            budget_limits=budget,
            hooks=hooks,
        ),
    )


async def a_session(
    service: SessionService, *, tools: tuple[Tool, ...] = (), system_prompt: str | None = None
) -> str:
    """A session in which nothing was said yet; returns its id."""
    request = a_request(defer=True, tools=tools, system_prompt=system_prompt)
    return (await service.create_session(request)).session_id


def a_turn(prompt: Content = "go on") -> StartTurnRequest:
    """A turn with a prompt."""
    return StartTurnRequest(prompt=prompt)


async def a_turn_at(
    event: type[AgentEvent], service: SessionService, session_id: str, prompt: Content = "go on"
) -> asyncio.Task[RunResult]:
    """A turn that goes on and has just said ``event`` of itself. Await the task's end."""
    events = service.subscribe_session_events(session_id)
    turn = asyncio.create_task(service.start_turn(session_id, a_turn(prompt)))
    await the_next(event, events)
    await events.aclose()
    return turn


async def the_next(kind: type[EventT], events: AsyncGenerator[EventEnvelope, None]) -> EventT:
    """The next event of a kind; those before it are passed over."""
    async for envelope in events:
        if isinstance(envelope.payload, kind):
            return envelope.payload
    raise AssertionError(f"the stream ended without a {kind.__name__}")


# -- inputs ------------------------------------------------------------------------------------


def a_prompt(
    content: Content, input_id: str, *, key: str | None = None, mode: HandlingMode = "queue"
) -> PromptInput:
    """A prompt of the operator."""
    header = InputHeader(
        id=input_id,
        timestamp=NEW_YEAR_2030,
        source=OperatorSource(),
        idempotency_key=UNSET if key is None else key,
    )
    return PromptInput(header=header, content=content, handling_mode=mode)


def a_peer_message(
    body: str, input_id: str, *, mode: HandlingMode = "queue", sender: str = "team/dev/dev"
) -> PeerInput:
    """A message of a peer."""
    return PeerInput(
        header=_from_peer(input_id, sender),
        convention=MessageConvention(),
        body=body,
        handling_mode=mode,
    )


def a_notice(
    body: str, input_id: str, *, intent: str = PEER_ADDED, sender: str = "team/dev/dev"
) -> PeerInput:
    """A request of a peer; with the intent it has, news that wakes nobody who listens silently."""
    return PeerInput(
        header=_from_peer(input_id, sender),
        convention=RequestConvention(request_id=input_id, intent=intent),
        body=body,
    )


def _from_peer(input_id: str, sender: str) -> InputHeader:
    return InputHeader(
        id=input_id,
        timestamp=NEW_YEAR_2030,
        source=PeerSource(peer_id=sender),
        idempotency_key=input_id,
    )


# -- tools -------------------------------------------------------------------------------------


def a_tool(name: str, execute: Execute) -> Tool:
    """A tool that takes any arguments, over a coroutine function."""
    definition = ToolDef(name=name, description=f"{name}.", input_schema={"type": "object"})
    return Tool(definition=definition, execute=execute)


def a_tool_that_echoes(name: str = "echo") -> Tool:
    """It gives back its arguments as they came."""

    async def echo(call: ToolCall) -> ToolOutcome:
        return ToolOutcome(content=bytes(call.args).decode())

    return a_tool(name, echo)


def a_tool_that_fails(error: BaseException, name: str = "fail") -> Tool:
    """It raises."""

    async def fail(call: ToolCall) -> ToolOutcome:
        del call
        raise error

    return a_tool(name, fail)


def a_tool_that_waits(gate: asyncio.Event, name: str = "wait") -> Tool:
    """It gives back its arguments once the gate is set, and holds on to nothing if cancelled."""

    async def wait(call: ToolCall) -> ToolOutcome:
        await gate.wait()
        return ToolOutcome(content=bytes(call.args).decode())

    return a_tool(name, wait)


def a_tool_that_hangs(name: str = "hang") -> Tool:
    """It ends only when it is cancelled."""
    return a_tool_that_waits(asyncio.Event(), name)
