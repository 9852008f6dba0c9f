"""What can be found, and where it is looked for.

The rule: an index holds nothing of its own. The sessions keep what was said; an index that is lost
or behind is filled anew from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Protocol, TypeAlias

import msgspec

from meerkat_mob.core.content import text_of
from meerkat_mob.core.messages import (
    AssistantFlat,
    AssistantMessage,
    Message,
    ToolResults,
    UserMessage,
    text_of_message,
    tool_uses,
)

Role: TypeAlias = Literal["user", "assistant", "tool"]


class MemoryEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that was said, or the result of a tool."""

    role: Role
    text: str


class Hit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An entry that fits a query; ``number`` grows with time, a higher ``score`` fits better."""

    number: int
    entry: MemoryEntry
    score: float


class MemoryIndex(Protocol):
    """Entries by session. What one session said is never found by another.

    ``mark`` is how much of a session is in it: what was given to ``put`` last, and 0 before.
    """

    async def mark(self, session_id: str) -> int:
        """How far it has come with a session."""
        ...

    async def put(self, session_id: str, mark: int, entries: Sequence[MemoryEntry]) -> None:
        """From now on these are the session's entries, all or as before."""
        ...

    async def search(self, session_id: str, query: str, limit: int) -> tuple[Hit, ...]:
        """The entries that have a word of the query, the best first and of equals the newest."""
        ...

    async def forget(self, session_id: str) -> None:
        """Nothing of this session can be found any more."""
        ...

    async def aclose(self) -> None:
        """Releases what is held. Idempotent."""
        ...


def entries_of(messages: Iterable[Message]) -> tuple[MemoryEntry, ...]:
    """What can be found of messages, in order; what was said twice is there once."""
    found = (MemoryEntry(role=role, text=text) for m in messages for role, text in _texts(m))
    return tuple(dict.fromkeys(entry for entry in found if entry.text.strip()))


def _texts(message: Message) -> Iterator[tuple[Role, str]]:
    match message:
        case UserMessage():
            yield "user", text_of_message(message)
        case AssistantMessage() | AssistantFlat():
            yield "assistant", text_of_message(message)
            for use in tool_uses(message):
                yield "assistant", f"{use.name} {bytes(use.args).decode()}"
        case ToolResults(results=results):
            for result in results:
                yield "tool", text_of(result.content)
        case _:  # instructions and notices were not said by anybody
            return
