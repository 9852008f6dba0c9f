"""What the parts of one running mob share: its facts, its sessions, its network, its clock.

Spawning, a member's handle and the mob itself all work on this, so none of them needs another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from meerkat_mob.agent.memory import Memory
from meerkat_mob.comms import Endpoint, Router
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.errors import WaitTimedOut
from meerkat_mob.mob.definition import MobDefinition
from meerkat_mob.mob.journal import Journal
from meerkat_mob.mob.offer import Offer
from meerkat_mob.mob.session_service import MobSessionService
from meerkat_mob.mob.tools import Tasks
from meerkat_mob.runtime import RuntimeSessionAdapter
from meerkat_mob.sessions import SessionService
from meerkat_mob.store.protocol import Store


class MobContext:
    """The shared parts of one mob.

    ``endpoints`` holds each member's place in the network. ``profile_tools`` and ``member_tools``
    were given to a role or to one member alone, and ``ends`` stop what a member has at work beside
    its runs. ``servers`` are the MCP servers of the mob, where they are allowed.
    """

    def __init__(
        self,
        definition: MobDefinition,
        *,
        service: MobSessionService,
        store: Store,
        router: Router,
        clock: Clock,
        ids: Callable[[], str],
        offer: Offer,
    ) -> None:
        self.definition: Final = definition
        self.router: Final = router
        self.sessions: Final[SessionService] = service.sessions
        self.runtime: Final[RuntimeSessionAdapter] = service.runtime_adapter()
        self.journal: Final = Journal(definition.id, store)
        self.tasks: Final = Tasks(self.journal, ids)
        self.now, self.new_id = clock, ids
        self.offer: Final = offer
        self.profile_tools: Final = {name: Toolbox() for name in definition.profiles}
        self.member_tools: dict[str, Toolbox] = {}
        self.ends: dict[str, Callable[[], Awaitable[None]]] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.memory: Final = Memory(offer.memory, self.sessions.read_discarded)
        self.servers: Final = (
            None if offer.mcp is None else offer.mcp.servers(definition.mcp_servers)
        )

    @property
    def mob_id(self) -> str:
        """The mob's id."""
        return self.definition.id

    def busy_members(self) -> tuple[str, ...]:
        """Members with a run going on or an input that asks for one."""
        members = self.journal.roster.list()
        return tuple(e.member for e in members if self.runtime.is_busy(e.session_id))

    async def wait_idle(self) -> None:
        """Waits until no member works or will: counted, never guessed by silence."""
        await self.runtime.activity.until(lambda: not self.busy_members())

    async def within(self, seconds: float | None, what: str) -> None:
        """Waits for idle, at most ``seconds``; then ``WaitTimedOut`` names who is at work."""
        try:
            async with asyncio.timeout(seconds):
                await self.wait_idle()
        except TimeoutError:
            raise self.timed_out(what, seconds) from None

    def timed_out(self, what: str, seconds: float | None) -> WaitTimedOut:
        """The error of a wait that reached its limit."""
        return WaitTimedOut(what=what, seconds=seconds or 0, busy=self.busy_members())
