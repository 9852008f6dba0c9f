"""How a contract opens a session service: the one thing each home has to provide."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias

from meerkat_mob.core.messages import (
    AssistantMessage,
    Message,
    ToolResults,
    UserMessage,
    text_of_message,
    tool_uses,
)
from meerkat_mob.llm.client import LlmClient
from meerkat_mob.sessions import SessionQuery, SessionService
from meerkat_mob.testing.expect import same


class OpenService(Protocol):
    """Opens a fresh service whose every session is answered by ``llm``, and closes it again."""

    def __call__(
        self, llm: LlmClient, *, max_sessions: int = ..., step: int = ...
    ) -> AbstractAsyncContextManager[SessionService]:
        """The open service. Its clock moves by ``step`` ms whenever it is asked."""
        ...


SessionRule: TypeAlias = Callable[[OpenService], Awaitable[None]]


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Lets others go on until it is true: a commit takes as long as it takes."""
    while not await true():  # noqa: ASYNC110 nothing says when, and nobody waits for time here
        await asyncio.sleep(0)


async def is_unlisted(service: SessionService, session_id: str) -> None:
    """Waits until a session is no longer listed."""

    async def unlisted() -> bool:
        return session_id not in {s.session_id for s in await service.list(SessionQuery())}

    await until(unlisted)


async def said(service: SessionService, session_id: str) -> list[tuple[str, str]]:
    """Who said what in a session, shortly."""
    history = await service.read_history(session_id)
    return [(_who(message), text_of_message(message)) for message in history.messages]


def _who(message: Message) -> str:
    match message:
        case UserMessage():
            return "user"
        case AssistantMessage(stop_reason="cancelled"):
            return "cut short"
        case ToolResults():
            return "tools"
        case _:
            return "system" if not isinstance(message, AssistantMessage) else "model"


async def each_call_has_a_result(service: SessionService, session_id: str) -> None:
    """INV-3: an answer with calls is followed by their results, in call order."""
    messages = (await service.read_history(session_id)).messages
    for place, message in enumerate(messages):
        calls = [use.id for use in tool_uses(message)]
        if calls:
            after = messages[place + 1] if place + 1 < len(messages) else None
            found = after.results if isinstance(after, ToolResults) else ()
            same([result.tool_use_id for result in found], calls, "the results of the calls")
