"""What a run of an agent asks of its session, at the boundaries between its model calls.

Two rooms that may not know each other meet here: the session owns what lasts, the agent asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from meerkat_mob.core.blobs import NO_BLOBS, Blob
from meerkat_mob.core.compaction import Compacted
from meerkat_mob.core.events import BackgroundJobCompleted
from meerkat_mob.core.messages import Message, SystemNotice, ToolResult, ToolUseData
from meerkat_mob.core.system_context import PendingAppend
from meerkat_mob.core.tool_visibility import ToolsInForce


class News(msgspec.Struct, frozen=True, kw_only=True):
    """Background jobs that ended since the model was last told: for it, and for watchers."""

    notice: SystemNotice
    jobs: tuple[BackgroundJobCompleted, ...]


class RunContext(Protocol):
    """A session, as its agent sees it during a run."""

    def take_system_context(self) -> tuple[PendingAppend, ...]:
        """The notes that wait for this run; from now on they count as applied (SES-23a, SES-24).

        Asked for once in a run, when its first model call is certain. What is appended later
        waits for the next run.
        """
        ...

    def tools_in_force(self) -> ToolsInForce:
        """What the next model call goes by; what was staged takes effect now."""
        ...

    def tools_before(self) -> ToolsInForce:
        """What the session's last run went by, but for its overlay.

        Asked for once by an agent that goes on with a session, to know what its model has seen.
        """
        ...

    def load_tools(self, names: Iterable[str]) -> frozenset[str]:
        """The model asks for deferred tools; from its next turn on they stay.

        Returns those that it had not asked for before.
        """
        ...

    def compacted(self) -> Compacted:
        """What compactions took out of the session's history, in this run or before."""
        ...

    def note_compaction(self, compacted: Compacted, gone: Sequence[Message]) -> None:
        """The same from now on: the transcript was made shorter, by ``gone``. Kept with it."""
        ...

    async def checkpoint(self) -> None:
        """Keeps what the run has said so far, before something happens that cannot be undone.

        Raises ``StoreError`` when it could not be kept. Does nothing in a session that lives in
        memory, or whose gate is closed.
        """
        ...

    async def steer(self) -> bool:
        """Lets inputs that came meanwhile join the run; whether any did.

        Asked at each boundary: behind the results of tools, and when the model has nothing more
        to call, so that a run goes on with what came in its last moment. Their messages are in
        the transcript then, and kept. Raises ``StoreError`` when they could not be kept.
        """
        ...

    def news(self) -> News | None:
        """What the model has not been told of background work; it counts as pending (W18).

        Asked at each boundary. It is part of every call of this run and of no transcript; it is
        told when the run completes, so after one that failed the next run tells it again.
        """
        ...

    def leave(self, calls: Sequence[ToolUseData], done: Sequence[ToolResult]) -> None:
        """The run ends with calls that somebody else runs; ``done`` are the others' results.

        They wait with those that are to come, so that all results of one answer come together.
        """
        ...

    async def blobs(self, ids: Iterable[str]) -> Mapping[str, Blob]:
        """Those of the named images that are there."""
        ...


class NoSession:
    """The context of an agent on its own: nothing waits, hides or lasts."""

    def __init__(self) -> None:
        self._loaded: frozenset[str] = frozenset()
        self._compacted = Compacted()

    def take_system_context(self) -> tuple[PendingAppend, ...]:
        """Nothing."""
        return ()

    def tools_in_force(self) -> ToolsInForce:
        """No filter, and what was loaded since it began."""
        return ToolsInForce(loaded=self._loaded)

    def tools_before(self) -> ToolsInForce:
        """Nothing was before."""
        return ToolsInForce()

    def load_tools(self, names: Iterable[str]) -> frozenset[str]:
        """Remembers them as long as it is there."""
        new = frozenset(names) - self._loaded
        self._loaded |= new
        return new

    def compacted(self) -> Compacted:
        """What was noted since it began."""
        return self._compacted

    def note_compaction(self, compacted: Compacted, gone: Sequence[Message]) -> None:
        """Remembers it as long as it is there."""
        del gone  # nobody looks for it
        self._compacted = compacted

    async def checkpoint(self) -> None:
        """Keeps nothing."""

    async def steer(self) -> bool:
        """Nobody joins."""
        return False

    def news(self) -> News | None:
        """None."""
        return None

    def leave(self, calls: Sequence[ToolUseData], done: Sequence[ToolResult]) -> None:
        """Nobody is there to remember them."""
        del calls, done

    async def blobs(self, ids: Iterable[str]) -> Mapping[str, Blob]:
        """None but those the transcript holds itself."""
        return NO_BLOBS
