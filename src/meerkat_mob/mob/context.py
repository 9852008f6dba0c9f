"""What every part of a mob works with. It belongs to one mob and is not public."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Final

from msgspec import UNSET

from meerkat_mob.agent.memory import Memory
from meerkat_mob.comms import Router
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.errors import MemberNotFound, MemberRestoreFailed, WaitTimedOut
from meerkat_mob.mob.definition import MobDefinition, Profile, restore_definition
from meerkat_mob.mob.facts import Fact, MobRedefined
from meerkat_mob.mob.journal import Journal
from meerkat_mob.mob.network import Network
from meerkat_mob.mob.offer import Offer
from meerkat_mob.mob.profiles import RealmProfile, RealmProfiles
from meerkat_mob.mob.request import SpawnSpec
from meerkat_mob.mob.roster import RosterEntry
from meerkat_mob.mob.session_service import MobSessionService
from meerkat_mob.mob.tools import Tasks
from meerkat_mob.runtime import RuntimeSessionAdapter
from meerkat_mob.sessions import SessionService
from meerkat_mob.store.protocol import Store

GRACE_MS: Final = 5000
"""How long a command waits for a run that does not end, where the definition says nothing."""


class MobContext:
    """The shared parts of one mob.

    ``network`` holds each member's place in it. ``profile_tools`` and ``member_tools`` were given
    to a role or to one member alone, and ``ends`` stop what a member has at work beside its runs.
    ``servers`` are the MCP servers of the mob, where they are allowed. ``departing`` are members
    that have retired, and are being put away.
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
        self.definition = definition
        self.revision = 1
        self.service: Final = service
        self.sessions: Final[SessionService] = service.sessions
        self.runtime: Final[RuntimeSessionAdapter] = service.runtime_adapter()
        self.journal: Final = Journal(definition.id, store)
        self.roster: Final = self.journal.roster
        self.router: Final = router
        self.network: Final = Network(definition.id, router, self.roster)
        self.journal.follow(self.network.apply)
        self.journal.follow(self._follow)
        self.profiles: Final = RealmProfiles(store, clock)
        self.tasks: Final = Tasks(self.journal, ids)
        self.now, self.new_id = clock, ids
        self.offer: Final = offer
        self.profile_tools: dict[str, Toolbox] = {}
        self.member_tools: dict[str, Toolbox] = {}
        self.ends: dict[str, Callable[[], Awaitable[None]]] = {}
        self.departing: dict[str, RosterEntry] = {}
        self.unwatch: dict[str, Callable[[], None]] = {}
        self.memory: Final = Memory(offer.memory, self.sessions.read_discarded)
        self.servers: Final = (
            None if offer.mcp is None else offer.mcp.servers(definition.mcp_servers)
        )
        self._at_work: set[asyncio.Task[None]] = set()

    def _follow(self, fact: Fact) -> None:
        if isinstance(fact, MobRedefined):
            self.definition, self.revision = (
                restore_definition(bytes(fact.definition)),
                fact.revision,
            )

    @property
    def mob_id(self) -> str:
        """The mob's id."""
        return self.definition.id

    @property
    def grace_s(self) -> float:
        """How long to wait for a run that was told to end."""
        limits = self.definition.limits
        told = None if limits is None else limits.cancel_grace_timeout_ms
        return (GRACE_MS if told is None else told) / 1000

    # -- members -------------------------------------------------------------------------------

    def entry(self, member: str) -> RosterEntry:
        """A member. Raises ``MemberNotFound``, and ``MemberRestoreFailed`` for a broken one."""
        entry = self.roster.get(member)
        if entry is None:
            raise MemberNotFound(member=member, known=[e.member for e in self.roster.list()])
        if entry.broken is not UNSET:
            raise MemberRestoreFailed(
                member=member, session_id=entry.session_id, reason=entry.broken
            )
        return entry

    def profile_of(self, entry: RosterEntry) -> Profile | None:
        """What a member is made from; None when its definition has no such profile any more."""
        if entry.request is not UNSET and entry.request.override_profile is not UNSET:
            return entry.request.override_profile
        if entry.realm_profile is not UNSET:
            return entry.realm_profile.profile
        return self.definition.profiles.get(entry.profile)

    async def realm_profile(self, spec: SpawnSpec) -> RealmProfile | None:
        """The realm's profile that a member to be is made from, if its role is one and there is."""
        reference = self.definition.realm_profiles.get(spec.profile)
        if reference is None or spec.override_profile is not UNSET:
            return None
        return await self.profiles.get(reference.realm_profile)

    def tools_of_role(self, profile: str) -> Toolbox:
        """What was given to a role."""
        return self.profile_tools.setdefault(profile, Toolbox())

    def watch(self, entry: RosterEntry) -> None:
        """Shows what the member's runs say to those who watch the mob."""
        self.stop_watching(entry.session_id)
        self.unwatch[entry.session_id] = self.sessions.watch_session_events(
            entry.session_id,
            lambda event: self.journal.show(entry.member, entry.profile, event),
        )

    def stop_watching(self, session_id: str) -> None:
        """Shows no more of it."""
        if stop := self.unwatch.pop(session_id, None):
            stop()

    def close(self) -> None:
        """Lets go of names and watchers and ends the event streams."""
        for session_id in tuple(self.unwatch):
            self.stop_watching(session_id)
        self.network.close()
        self.journal.close()

    # -- work ----------------------------------------------------------------------------------

    def begin(self, work: Coroutine[None, None, None], *, name: str) -> asyncio.Task[None]:
        """Starts something that goes on by itself; ``settle`` awaits its end."""
        task = asyncio.create_task(work, name=name)
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
        return task

    async def settle(self) -> None:
        """Ends what goes on by itself."""
        while self._at_work:
            for task in self._at_work:
                task.cancel()
            await asyncio.wait(self._at_work)

    def busy_members(self) -> tuple[str, ...]:
        """Members with a run going on or an input that asks for one."""
        members = self.roster.list()
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
