"""Realms to look into: made in this process, and ways to damage them. No tests."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from meerkat_mob.core.content import ImageBlock, TextBlock
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.messages import ToolResult, UserMessage
from meerkat_mob.llm.client import LlmRequest
from meerkat_mob.llm.reply import Reply, call, say
from meerkat_mob.sessions import PersistentSessionService
from meerkat_mob.testing import (
    ScriptedLlm,
    a_clock,
    a_request,
    a_tool_that_echoes,
    a_tool_that_fails,
    a_turn,
)
from meerkat_mob.testing.builders import a_persistent_service
from tests.store.kit import a_store, edit

Story = Callable[[PersistentSessionService], Awaitable[None]]
PICTURE: Final = ImageBlock(media_type="image/png", source="inline", data="iVBORw0KGgo=")
ANSWER: Final = "Here it is:\n\n- one\n- two"
ALIKE: Final = ("talk-1", "talk-2", "talk-3")


def a_realm(folder: Path, story: Story, *, clock: Clock | None = None) -> Path:
    """A realm in which that happened, and which nobody holds any more."""

    async def happen() -> None:
        async with a_store(folder, clock=clock) as store:
            now = clock or a_clock(step=1)
            service = await a_persistent_service(ScriptedLlm(_answer), store, clock=now)
            await story(service)
            await service.aclose()

    asyncio.run(happen())
    return folder


def _answer(request: LlmRequest) -> Reply:
    last = request.messages[-1]
    if isinstance(last, UserMessage) and last.content == "look":
        return say("I look.") & call("echo", place="\u00d6d\u00f6n") & call("fail", why="so")
    return say(ANSWER)


async def nothing(_: PersistentSessionService) -> None:
    """Nothing happens."""


async def talks(service: PersistentSessionService) -> None:
    """Three sessions that are alike, and one with a bit of everything, updated last."""
    for number, name in enumerate(ALIKE):
        labels = {"team": "blue" if number % 2 else "red"}
        await service.create_session(a_request(defer=True, session_id=name, labels=labels))
        await service.start_turn(name, a_turn("hello"))
    await everything(service)


async def everything(service: PersistentSessionService) -> None:
    """One session: tools, a picture, a receipt, and what waits for the next run."""
    tools = (a_tool_that_echoes(), a_tool_that_fails(ValueError("no such place")))
    labels = {"mob_id": "pair", "role": "lead", "meerkat_id": "lead"}
    await service.create_session(
        a_request(
            defer=True,
            session_id="lead-1",
            labels=labels,
            tools=tools,
            system_prompt="Be kind. " * 40,
        )
    )
    await service.start_turn("lead-1", a_turn("look"))
    pictured = a_turn((TextBlock(text="What is \x1b[31mthis\x1b[0m?"), PICTURE))
    await service.apply_runtime_turn("lead-1", "run-2", pictured, "run_start", ("input-2",))
    await service.append_system_context("lead-1", "It rains.", source="weather")
    await service.stage_tool_results(
        "lead-1", (ToolResult(tool_use_id="call-9", content="done elsewhere"),)
    )


async def archived(service: PersistentSessionService) -> None:
    """The same, and the second one is archived."""
    await talks(service)
    await service.archive("talk-2")


def damage(realm: Path, session_id: str, seq: int) -> None:
    """Changes what one record says."""
    edit(
        realm,
        "UPDATE records SET body = ? WHERE stream = ? AND seq = ?",
        b"[]",
        f"session:{session_id}",
        seq,
    )


def damage_head(realm: Path, session_id: str) -> None:
    """Changes what a session's summary says."""
    edit(realm, "UPDATE heads SET summary = ? WHERE stream = ?", b"{}", f"session:{session_id}")
