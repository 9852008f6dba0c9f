"""Any sequence of calls: in memory, in a stream and behind restarts a session is the same.

The model of a persistent service is the ephemeral one. Time stands still, so whole documents can
be compared; a restart is a call like any other, and nobody can tell that it happened.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeAlias

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from meerkat_mob.core.build_state import MobToolAuthorityContext
from meerkat_mob.core.content import ImageBlock
from meerkat_mob.core.messages import SystemNotice, ToolResult, UserMessage, text_of_message
from meerkat_mob.core.metadata import SessionLlmIdentity
from meerkat_mob.core.requests import StartTurnRequest
from meerkat_mob.core.system_context import PendingAppend
from meerkat_mob.core.tool_visibility import ToolFilter, allow, deny
from meerkat_mob.errors import MeerkatError
from meerkat_mob.llm import LlmEvent, LlmRequest, Reply, ScriptedLlm, call, fail, say
from meerkat_mob.llm.client import LlmToolCallComplete
from meerkat_mob.sessions import (
    EphemeralSessionService,
    PersistentSessionService,
    RecoveryOverrides,
    SessionQuery,
    SessionService,
)
from meerkat_mob.sessions.fold import STREAM, summary_from
from meerkat_mob.store import MemoryStore
from meerkat_mob.testing.builders import (
    a_clock,
    a_persistent_service,
    a_request,
    a_service,
    a_tool_that_echoes,
)


class Numbered:
    """A scripted model whose calls are numbered by what was said before, not by its own life."""

    provider = "scripted"

    def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        return self._spoken(request)

    async def _spoken(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        async for event in ScriptedLlm(answer).stream(request):
            if isinstance(event, LlmToolCallComplete):
                yield replace(event, id=f"{event.id} of {len(request.messages)}")
            else:
                yield event

    async def aclose(self) -> None:
        pass


Act: TypeAlias = Callable[[SessionService, str], Awaitable[object]]
TOOLS = (
    a_tool_that_echoes(),
    *(replace(a_tool_that_echoes(name), deferred=True) for name in ("later", "never")),
)
IMAGE = ImageBlock(media_type="image/png", source="inline", data="aGk=")


def answer(request: LlmRequest) -> Reply:
    """What the prompt asks for: a failure, a call, or a word; and what it was told and shown."""
    notices = [m.body for m in request.messages if isinstance(m, SystemNotice)]
    last = [m for m in request.messages if not isinstance(m, SystemNotice)][-1]
    text = text_of_message(last)
    if isinstance(last, UserMessage) and "load" in text:
        return call("tool_catalog_load", names=["later"])
    if isinstance(last, UserMessage) and "fail" in text:
        return fail("no")
    if isinstance(last, UserMessage) and "call" in text:
        return call("echo", n=len(request.messages)) & call("echo")
    shown = [tool.name for tool in request.tools]
    return say(
        f"{len(request.messages)} {request.model} {request.system_context} {notices} {shown}"
    )


def a_turn(
    prompt: str, *, late: str | None = None, pending: bool = False, without: str | None = None
) -> Act:
    content = (IMAGE,) if prompt == "image" else prompt
    overlay: ToolFilter = "all" if without is None else deny([without])
    kind = StartTurnRequest(prompt=content, system_prompt=late, flow_tool_overlay=overlay)
    if pending:
        kind = StartTurnRequest(prompt=content, execution_kind="resume_pending")
    return lambda service, name: service.start_turn(name, kind)


def a_note(text: str, key: str) -> Act:
    return lambda service, name: service.append_system_context(name, text, idempotency_key=key)


def results(name: str) -> Act:
    result = ToolResult(tool_use_id=name, content=(IMAGE,) if name == "b" else name)
    return lambda service, session: service.stage_tool_results(session, (result,))


async def swap(service: SessionService, name: str) -> None:
    identity = SessionLlmIdentity(model="gpt-9", provider="openai", provider_params={"seed": 7})
    await service.hot_swap_session_llm_identity(name, Numbered(), identity)


async def context(service: SessionService, name: str) -> None:
    append = PendingAppend(text="red", source="ci", accepted_at=1)
    await service.apply_runtime_context_appends(name, "run", (append,), ())


async def branch(service: SessionService, name: str) -> None:
    if await service.has_live_session(name):  # an archived one can only be forked from a store
        await service.fork_session(name, at=3, new_id=f"{name}+")


AUTHORITY = MobToolAuthorityContext(principal_token="p", managed_mob_scope=("m",))
ACTS: dict[str, Act] = {
    "say": a_turn("hi"),
    "say an image": a_turn("image"),
    "call": a_turn("call"),
    "load": a_turn("load"),
    "say without": a_turn("hi", without="echo"),
    "fail": a_turn("fail"),
    "say late": a_turn("hi", late="late"),
    "say nothing": a_turn(""),
    "go on": a_turn("hi", pending=True),
    "broken": a_turn("\ud800"),
    "note": a_note("red", "k"),
    "note again": a_note("green", "k"),
    "other note": a_note("blue", "other"),
    "results": results("a"),
    "more results": results("b"),
    "awake": lambda service, name: service.update_session_keep_alive(name, keep_alive=True),
    "asleep": lambda service, name: service.update_session_keep_alive(name, keep_alive=False),
    "trusted": lambda s, name: s.update_session_mob_authority_context(name, AUTHORITY),
    "not trusted": lambda s, name: s.update_session_mob_authority_context(name, None),
    "hide": lambda service, name: service.set_session_tool_filter(name, deny(["echo"])),
    "show": lambda service, name: service.set_session_tool_filter(name, allow(["echo"])),
    "swap": swap,
    "context": context,
    "branch": branch,
    "archive": lambda service, name: service.archive(name),
}
RESTART = "restart"
steps = st.lists(
    st.tuples(st.sampled_from([*ACTS, RESTART, RESTART]), st.sampled_from(["s", "s", "s", "s+"])),
    max_size=14,
)


async def outcome(act: Act, service: SessionService, name: str) -> object:
    """What came back; of an error its code."""
    try:
        return await act(service, name)
    except MeerkatError as error:
        return error.code


class Pair:
    """A persistent service, and its model."""

    def __init__(self) -> None:
        self.store = MemoryStore(clock=a_clock())
        self.model: EphemeralSessionService = a_service(Numbered(), clock=a_clock())
        self.real: PersistentSessionService

    async def start(self) -> None:
        self.real = await a_persistent_service(Numbered(), self.store, clock=a_clock())

    async def restart(self) -> None:
        """A new process; whoever runs it knows the tools."""
        live = [s.session_id for s in await self.real.list(SessionQuery())]
        await self.real.aclose()
        await self.start()
        for name in live:
            await self.real.resume_session(name, RecoveryOverrides(external_tools=TOOLS))

    async def compare(self) -> None:
        """What both show, and what the store holds."""
        listed = await self.model.list(SessionQuery())
        found = await self.real.list(SessionQuery())
        assert sorted(found, key=str) == sorted(listed, key=str)
        for name in {s.session_id for s in listed} | {"s"}:
            assert await self.real.read(name) == await self.model.read(name)
        for name in (s.session_id for s in listed):
            document = await self.real.export_session(name)
            assert document == await self.model.export_session(name)
            assert document == await self.real.load_persisted_session(name)
            await self._head_follows(name)

    async def _head_follows(self, name: str) -> None:
        head = await self.store.head(STREAM + name)
        assert head is not None
        assert head.summary == summary_from(await self.store.read(STREAM + name))


@example([("branch", "s"), ("archive", "s+"), ("branch", "s")], False, "")
@example([("say", "s"), ("hide", "s"), ("restart", "s"), ("say", "s")], False, "")
@given(steps, st.booleans(), st.sampled_from(["", "kept"]))
async def test_a_restart_is_never_noticed(
    steps: list[tuple[str, str]], prompted: bool, staged: str
) -> None:
    pair = Pair()
    await pair.start()
    system = "kind" if prompted else None
    request = a_request(
        staged, defer=True, stage=True, system_prompt=system, tools=TOOLS, session_id="s"
    )
    for service in (pair.model, pair.real):
        await service.create_session(request)
    for step, name in steps:
        if step == RESTART:
            await pair.restart()
        else:
            wanted = await outcome(ACTS[step], pair.model, name)
            assert await outcome(ACTS[step], pair.real, name) == wanted, step
        await pair.compare()
    await pair.restart()
    await pair.compare()
    await pair.real.aclose()
    await pair.model.aclose()
