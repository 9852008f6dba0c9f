"""A running mob: its members, its board, its events, and its end.

Structural commands are serialised by one lock that is never held while a model thinks; reads
answer from projections and never wait (design section 7).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.comms import Router
from meerkat_mob.core.content import Content
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.messages import HandlingMode
from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.core.tools import Tool
from meerkat_mob.errors import (
    CapabilityUnavailable,
    MobExists,
    NotExternallyAddressable,
    PersistenceDisabled,
    ProfileNotFound,
    StaleRevision,
)
from meerkat_mob.mob.context import MobContext
from meerkat_mob.mob.definition import (
    MobDefinition,
    RuntimeMode,
    encode_definition,
    ensure_valid,
)
from meerkat_mob.mob.events import (
    AnyEvent,
    Fact,
    MobCreated,
    MobDestroyed,
    MobEvent,
    MobResumed,
    MobStopped,
)
from meerkat_mob.mob.member import DeliveryReceipt, Member, MemberSnapshot, snapshot
from meerkat_mob.mob.offer import Offer
from meerkat_mob.mob.roster import RosterEntry
from meerkat_mob.mob.session_service import MobSessionService
from meerkat_mob.mob.spawn import SpawnSpec, first_input, introduce_to_peers, spawn_member
from meerkat_mob.mob.state import Command, MobState, require
from meerkat_mob.mob.tools import Tasks
from meerkat_mob.store.protocol import Store

if TYPE_CHECKING:  # a page has no servers, and does not carry it
    from meerkat_mob.agent.mcp import McpServers


class Mob:
    """A team at work. Made by ``Realm.create_mob``, or by ``Mob.create`` over parts of your own."""

    def __init__(self, context: MobContext) -> None:
        self._context = context
        self._lock = asyncio.Lock()
        self._unwatch: list[Callable[[], None]] = []

    @classmethod
    async def create(
        cls,
        definition: MobDefinition,
        *,
        service: MobSessionService,
        store: Store,
        router: Router,
        clock: Clock,
        ids: Callable[[], str],
        offer: Offer | None = None,
        allow_ephemeral_sessions: bool = False,
    ) -> Mob:
        """A new mob, running and without members (B-3). ``offer`` is what its members get.

        Raises ``DefinitionInvalid`` with every error, ``PersistenceDisabled`` when the service
        keeps sessions in memory only and that was not opted in to, ``MobExists``.
        """
        ensure_valid(definition)
        if not (service.supports_persistent_sessions or allow_ephemeral_sessions):
            raise PersistenceDisabled(what=f"mob {definition.id!r}")
        context = MobContext(
            definition,
            service=service,
            store=store,
            router=router,
            clock=clock,
            ids=ids,
            offer=offer or Offer(clock=clock),
        )
        created = MobCreated(definition=msgspec.Raw(encode_definition(definition)))
        try:
            await context.journal.record(lambda: (created,))
        except StaleRevision:
            raise MobExists(mob_id=definition.id) from None
        if context.servers is not None:
            context.servers.start()  # nobody waits for them (B-5)
        return cls(context)

    @property
    def id(self) -> str:
        """The mob's id."""
        return self._context.mob_id

    @property
    def definition(self) -> MobDefinition:
        """What it was made from."""
        return self._context.definition

    @property
    def state(self) -> MobState:
        """Running, Stopped or Destroyed."""
        return self._context.journal.state

    @property
    def tasks(self) -> Tasks:
        """The team's task board."""
        return self._context.tasks

    def __repr__(self) -> str:
        return f"<mob {self.id}: {self.state}, {len(self._context.journal.roster)} members>"

    # -- members -------------------------------------------------------------------------------

    async def spawn(
        self,
        profile: str,
        member_id: str,
        initial_message: Content | None = None,
        *,
        kickoff: bool = False,
        runtime_mode: RuntimeMode | UnsetType = UNSET,
        labels: Mapping[str, str] | None = None,
        tools: Sequence[Tool] = (),
    ) -> Member:
        """Adds a member, with tools of its own, and wires it by the definition's rules.

        Raises what ``spawn_member`` raises.
        """
        spec = SpawnSpec(
            profile=profile,
            member_id=member_id,
            initial_message=initial_message,
            kickoff=kickoff,
            runtime_mode=runtime_mode,
            labels=labels or {},
        )
        return await self.spawn_spec(spec, tools=tools)

    async def spawn_spec(self, spec: SpawnSpec, *, tools: Sequence[Tool] = ()) -> Member:
        """The same, from a struct. A first input is accepted before this returns."""
        async with self._lock:
            await spawn_member(self._context, spec, tools)
            member = self.member(spec.member_id)
            self._watch(member)
            await introduce_to_peers(self._context, spec.member_id)
        if (first := first_input(self.id, spec)) is not None:
            await member.send(first)
        return member

    def _watch(self, member: Member) -> None:
        journal = self._context.journal
        stop = self._context.sessions.watch_session_events(
            member.session_id, lambda event: journal.show(member.id, member.profile, event)
        )
        self._unwatch.append(stop)

    def member(self, member_id: str) -> Member:
        """A handle. Raises ``MemberNotFound``, naming who there is."""
        return Member(self._context, member_id)

    def toolbox(self, profile: str) -> Toolbox:
        """Tools for all members of a profile, to be changed at any time (see ``Toolbox``).

        Raises ``ProfileNotFound``.
        """
        found = self._context.profile_tools.get(profile)
        if found is None:
            raise ProfileNotFound(profile=profile, known=tuple(self.definition.profiles))
        return found

    @property
    def mcp_servers(self) -> McpServers:
        """The mob's MCP servers: how they stand, and more of them, or fewer, at any time (B-6).

        Raises ``CapabilityUnavailable`` where the realm was opened without ``mcp``.
        """
        if self._context.servers is None:
            raise CapabilityUnavailable(
                capability="MCP servers",
                why="this realm does not connect any",
                instead="on the host, open it with open_realm(mcp=Mcp())",
            )
        return self._context.servers

    def members(self) -> tuple[RosterEntry, ...]:
        """The roster, by member id."""
        return self._context.journal.roster.list()

    async def member_status(self, member_id: str) -> MemberSnapshot:
        """How a member stands; ``unknown`` and final when there is none of that id."""
        return await snapshot(self._context, member_id)

    async def send(
        self,
        member_id: str,
        content: Content,
        *,
        handling_mode: HandlingMode = "queue",
        idempotency_key: str | None = None,
    ) -> DeliveryReceipt:
        """A message from outside the mob (U-1).

        Raises ``NotExternallyAddressable`` when the member's profile takes none; a ``Member``
        handle writes to anyone.
        """
        member = self.addressable(member_id)
        return await member.send(
            content, handling_mode=handling_mode, idempotency_key=idempotency_key
        )

    def addressable(self, member_id: str) -> Member:
        """A handle for the outside. Raises ``MemberNotFound`` and ``NotExternallyAddressable``."""
        member = self.member(member_id)
        if not self.definition.profiles[member.profile].external_addressable:
            raise NotExternallyAddressable(member=member_id, profile=member.profile)
        return member

    def busy_members(self) -> tuple[str, ...]:
        """Members with a run going on or an input that asks for one."""
        return self._context.busy_members()

    async def wait_idle(self, *, timeout: float | None = None) -> None:
        """Waits until no member works or will: counted, never guessed by silence.

        ``timeout`` is in seconds; raises ``WaitTimedOut`` naming who is still at work.
        """
        await self._context.within(timeout, "idle")

    # -- events --------------------------------------------------------------------------------

    def events(self, *, after: int | None = 0) -> AsyncGenerator[AnyEvent, None]:
        """What happened after a cursor, then what happens; ends with the mob.

        Stored facts come as ``MobEvent``, what members' runs say as ``MemberEvent``; a reader
        that is too slow gets ``Lagged``. With None it starts from now.
        """
        return self._context.journal.events(after)

    async def poll_events(self, after: int = 0, limit: int = 100) -> Sequence[MobEvent]:
        """Stored facts with a higher cursor, at most ``limit``."""
        return await self._context.journal.poll(after, limit)

    # -- life ----------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Interrupts every member and lets nothing run until ``resume``; nothing is lost."""
        async with self._lock:
            require(self.state, Command.STOP)
            self._hold(held=True)
            for entry in self.members():
                await self._context.runtime.interrupt_current_run(entry.session_id)
            await self._context.wait_idle()
            await self._record(MobStopped())
            if self._context.servers is not None:
                await self._context.servers.stop()

    async def resume(self) -> None:
        """Lets a stopped mob work again, first on what was waiting."""
        async with self._lock:
            require(self.state, Command.RESUME)
            await self._record(MobResumed())
            if self._context.servers is not None:
                self._context.servers.start()
            self._hold(held=False)

    def _hold(self, *, held: bool) -> None:
        for entry in self.members():
            self._context.runtime.hold(entry.session_id, held=held)

    async def destroy(self) -> None:
        """Ends the mob: runs are interrupted, sessions archived, event streams closed."""
        async with self._lock:
            require(self.state, Command.DESTROY)
            await self._record(MobDestroyed())
            for entry in self.members():
                await self._context.runtime.unregister_session(
                    entry.session_id, reason="the mob was destroyed"
                )
                await self._context.sessions.archive(entry.session_id)
                await self._context.offer.memory.forget(entry.session_id)
            await self.end_jobs()
            self.close()

    async def end_jobs(self) -> None:
        """Ends what is at work beside the members' runs: their jobs, the servers. Idempotent."""
        for end in self._context.ends.values():
            await end()
        if self._context.servers is not None:
            await self._context.servers.stop()

    def close(self) -> None:
        """Lets go of names and watchers and ends the event streams; the facts stay."""
        for stop in self._unwatch:
            stop()
        self._unwatch.clear()
        for endpoint in self._context.endpoints.values():
            self._context.router.close(endpoint)
        self._context.journal.close()

    async def _record(self, fact: Fact) -> None:
        await self._context.journal.record(lambda: (fact,))
