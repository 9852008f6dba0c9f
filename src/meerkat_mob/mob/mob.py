"""A running mob: its members, its board, its events, and its end.

Structural commands are facts of its journal, decided one after the other; nothing here waits while
a model thinks, and reads answer from projections and never wait (design section 7).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
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
    InvalidTransition,
    MeerkatError,
    MemberExists,
    MemberNotFound,
    MobExists,
    NotExternallyAddressable,
    PersistenceDisabled,
    ProfileNotFound,
    StaleRevision,
)
from meerkat_mob.mob.auto_spawn import SpawnPolicy, nobody, policy_of
from meerkat_mob.mob.context import MobContext
from meerkat_mob.mob.definition import (
    MobDefinition,
    RuntimeMode,
    encode_definition,
    ensure_valid,
)
from meerkat_mob.mob.events import AnyEvent, MobEvent
from meerkat_mob.mob.facts import ExternalPeer, MobCreated
from meerkat_mob.mob.helping import ErrandOptions, ErrandResult, help_out, helper_spec
from meerkat_mob.mob.kickoff import wait_for_kickoff
from meerkat_mob.mob.lifecycle import EndReport, Lifecycle, StopReport
from meerkat_mob.mob.member import DeliveryReceipt, Member
from meerkat_mob.mob.offer import Offer
from meerkat_mob.mob.request import Fork, ForkContext, Fresh, FullHistory, SpawnSpec
from meerkat_mob.mob.respawning import RespawnReceipt, respawn
from meerkat_mob.mob.resuming import bring_back, definition_of
from meerkat_mob.mob.retiring import RetireReport, retire
from meerkat_mob.mob.roster import RosterEntry
from meerkat_mob.mob.session_service import MobSessionService
from meerkat_mob.mob.spawning import Spawns
from meerkat_mob.mob.state import Command, MobState, require
from meerkat_mob.mob.status import MemberSnapshot, snapshot
from meerkat_mob.mob.tools import Tasks
from meerkat_mob.mob.wiring import unwire, unwire_external, wire, wire_external
from meerkat_mob.store.protocol import Store

if TYPE_CHECKING:  # a page has no servers, and does not carry it
    from meerkat_mob.agent.mcp import McpServers


class Mob:
    """A team at work. Made by ``Realm.create_mob``, or by ``Mob.create`` over parts of your own."""

    def __init__(self, context: MobContext) -> None:
        self._context = context
        self._spawns = Spawns(context)
        self._life = Lifecycle(context, self._spawns)
        self._policy = policy_of(context.definition)

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

    @classmethod
    async def bring_back(
        cls,
        mob_id: str,
        *,
        service: MobSessionService,
        store: Store,
        router: Router,
        clock: Clock,
        ids: Callable[[], str],
        offer: Offer | None = None,
    ) -> Mob:
        """A mob from its facts, as it was: its state, members, wiring, inboxes and tasks (2.13).

        A member that cannot be brought back is broken, and the rest is not hurt by it. Raises
        ``MobNotFound``, ``InvalidTransition`` for one that was destroyed, ``StoreError``.
        """
        context = MobContext(
            await definition_of(store, mob_id),
            service=service,
            store=store,
            router=router,
            clock=clock,
            ids=ids,
            offer=offer or Offer(clock=clock),
        )
        await context.journal.replay()
        if context.journal.state is MobState.DESTROYED:
            raise InvalidTransition(state=context.journal.state.value, command=Command.RESUME.value)
        mob = cls(context)
        try:
            if context.servers is not None and context.journal.state is MobState.RUNNING:
                context.servers.start()
            await bring_back(context)
        except BaseException:  # nothing of it works on, so it can be tried again
            await mob.shutdown()
            raise
        return mob

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

    @property
    def is_closed(self) -> bool:
        """Whether it was shut down: it does nothing here any more."""
        return self._life.is_over

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

        Raises, with nothing left behind: ``InvalidTransition``, ``MemberExists``,
        ``ProfileNotFound``, ``WiringRefused`` (comms are off, or the id is reserved),
        ``SkillMissing``, ``LlmFailed`` (nobody answers for its model), ``InvalidParams`` (two of
        its tools have one name), ``SpawnCancelled`` (the mob was stopped), ``StoreError``.
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
        await self._spawns.spawn(spec, tools)
        return self.member(spec.member_id)

    async def spawn_many(self, specs: Iterable[SpawnSpec]) -> tuple[Member | MeerkatError, ...]:
        """Many at once, side by side. For each, in the order given, the member or why not."""

        async def one(spec: SpawnSpec) -> Member | MeerkatError:
            try:
                return await self.spawn_spec(spec)
            except MeerkatError as fault:
                return fault

        return tuple(await asyncio.gather(*map(one, specs)))

    async def retire(self, member_id: str) -> RetireReport:
        """Ends a member: it is gone once this is kept, then all it leaves is put away (2.6).

        An unknown id is fine. What could not be put away is in the report. Raises
        ``InvalidTransition``, and ``StoreError`` with nothing changed.
        """
        await self._spawns.cancel("its member was retired", member_id)
        return await retire(self._context, member_id)

    async def retire_all(self) -> tuple[RetireReport, ...]:
        """Ends every member, side by side; spawns that go on are cancelled."""
        require(self.state, Command.RETIRE)
        await self._spawns.cancel("all members were retired")
        going = (retire(self._context, entry.member) for entry in self.members())
        return tuple(await asyncio.gather(*going))

    async def respawn(
        self, member_id: str, initial_message: Content | None = None
    ) -> RespawnReceipt:
        """A member begins anew: a new session in the place of the old one, all else as it was.

        Its wiring, labels, tools and the way it was asked for stay; a broken one is whole again.
        It is one step: when it fails, the member is as it was. Raises as ``spawn`` does.
        """
        return await respawn(self._context, self._spawns, member_id, initial_message)

    async def spawn_helper(
        self, task: Content, *, member_id: str | None = None, options: ErrandOptions | None = None
    ) -> ErrandResult:
        """A member for one task: it does it, its answer is returned, and it is gone.

        Raises what its spawn and its run raise.
        """
        return await self._help(task, member_id, options or ErrandOptions(), Fresh())

    async def fork_helper(
        self,
        source: str,
        task: Content,
        *,
        fork_context: ForkContext | None = None,
        member_id: str | None = None,
        options: ErrandOptions | None = None,
    ) -> ErrandResult:
        """The same, by one that remembers what ``source`` said and heard.

        It has the source's role if none is said. Raises ``MemberNotFound`` for the source.
        """
        wanted = options or ErrandOptions()
        if wanted.role_name is UNSET:
            role = self._context.entry(source).profile
            wanted = msgspec.structs.replace(wanted, role_name=role)
        fork = Fork(source_member_id=source, fork_context=fork_context or FullHistory())
        return await self._help(task, member_id, wanted, fork)

    async def _help(
        self, task: Content, member_id: str | None, options: ErrandOptions, launch: Fresh | Fork
    ) -> ErrandResult:
        name = member_id or f"helper-{self._context.new_id()}"
        spec = helper_spec(self.definition, name, options, launch)
        return await help_out(self._context, self._spawns, spec, task)

    def member(self, member_id: str) -> Member:
        """A handle. Raises ``MemberNotFound``, naming who there is."""
        return Member(self._context, member_id)

    # -- wiring --------------------------------------------------------------------------------

    async def wire(self, a: str, b: str | ExternalPeer) -> bool:
        """Lets two members write to each other, or one write to somebody outside the mob.

        False when that stands already: then nothing happens. Raises ``WiringRefused``,
        ``MemberNotFound``, ``MemberRestoreFailed``, ``InvalidTransition``, ``StoreError``, with
        nothing changed.
        """
        if isinstance(b, ExternalPeer):
            return await wire_external(self._context, a, b)
        return await wire(self._context, a, b)

    async def unwire(self, a: str, b: str | ExternalPeer) -> bool:
        """Takes that back. ``b`` is a member, or somebody outside by name or whole.

        False when there was nothing to take back. Raises ``WiringRefused`` for somebody outside
        who is not the one that is kept, ``MemberNotFound``, ``InvalidTransition``.
        """
        if isinstance(b, ExternalPeer):
            return await unwire_external(self._context, a, b.name, spec=b)
        entry = self._context.roster.get(a)
        if entry is not None and b in entry.external_peers:
            return await unwire_external(self._context, a, b)
        return await unwire(self._context, a, b)

    # -- what members have ---------------------------------------------------------------------

    def toolbox(self, profile: str) -> Toolbox:
        """Tools for all members of a profile, to be changed at any time (see ``Toolbox``).

        Raises ``ProfileNotFound``.
        """
        if profile not in self.definition.roles:
            raise ProfileNotFound(profile=profile, known=tuple(self.definition.roles))
        return self._context.tools_of_role(profile)

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
        """A message from outside the mob (U-1). One nobody has yet may come by the spawn policy.

        Raises ``NotExternallyAddressable`` when the member's profile takes none; a ``Member``
        handle writes to anyone.
        """
        member = await self._reachable(member_id)
        return await member.send(
            content, handling_mode=handling_mode, idempotency_key=idempotency_key
        )

    async def _reachable(self, member_id: str) -> Member:
        if self._context.roster.get(member_id) is None:
            require(self.state, Command.SEND)
            spec = self._policy(member_id)
            if spec is not None:
                try:
                    await self._spawns.spawn(spec)
                except MemberExists:  # somebody else wrote to it at the same time
                    await self._spawns.settled(member_id)
        return self.addressable(member_id)

    def set_spawn_policy(self, policy: SpawnPolicy | None) -> None:
        """Who comes when somebody outside writes to an id that nobody has; None: nobody comes.

        It takes the place of the definition's own.
        """
        self._policy = policy or nobody

    def addressable(self, member_id: str) -> Member:
        """A handle for the outside. Raises ``MemberNotFound`` and ``NotExternallyAddressable``."""
        member = self.member(member_id)
        profile = self._context.profile_of(self._context.entry(member_id))
        if profile is None or not profile.external_addressable:
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

    def events(
        self, *, after: int | None = 0, member: str | None = None
    ) -> AsyncGenerator[AnyEvent, None]:
        """What happened after a cursor, then what happens; ends with the mob.

        Stored facts come as ``MobEvent``, what members' runs say as ``MemberEvent``; a reader
        that is too slow gets ``Lagged``. With None it starts from now. With a member it is what is
        about that one, also when it begins anew. Raises ``MemberNotFound``.
        """
        if member is not None and self._context.roster.get(member) is None:
            known = [entry.member for entry in self.members()]
            raise MemberNotFound(member=member, known=known)
        return self._context.journal.events(after, member)

    async def poll_events(self, after: int = 0, limit: int = 100) -> Sequence[MobEvent]:
        """Stored facts with a higher cursor, at most ``limit``."""
        return await self._context.journal.poll(after, limit)

    # -- life ----------------------------------------------------------------------------------

    async def stop(self) -> StopReport:
        """Interrupts every member and lets nothing run until ``resume``; nothing is lost."""
        return await self._life.stop()

    async def resume(self) -> None:
        """Lets a stopped mob work again, first on what was waiting."""
        await self._life.resume()

    async def complete(self) -> EndReport:
        """Its work is done: every member retires, in one step, and none comes any more."""
        return await self._life.complete()

    async def reset(self) -> EndReport:
        """Begins anew from its definition: no members, no tasks, and it runs. The facts stay."""
        return await self._life.reset()

    async def destroy(self) -> EndReport:
        """Ends the mob for good: members are put away, event streams closed. The facts stay."""
        return await self._life.destroy()

    async def shutdown(self) -> None:
        """Lets go of everything that is at work here; what is kept of the mob stays as it is.

        ``Realm.resume_mob`` brings it back. Idempotent.
        """
        await self._life.shutdown()

    # -- definition ----------------------------------------------------------------------------

    @property
    def revision(self) -> int:
        """Which definition it has: 1 is the one it was made from."""
        return self._context.revision

    async def redefine(self, definition: MobDefinition, *, expected_revision: int) -> int:
        """Members to come are made from another definition; returns its revision.

        Who is there stays as it is. Raises ``DefinitionInvalid``, ``RevisionConflict`` when
        somebody was faster, ``WiringRefused`` for the definition of another mob.
        """
        return await self._life.redefine(definition, expected_revision)

    # -- first turns ---------------------------------------------------------------------------

    async def wait_for_kickoff(
        self, members: Sequence[str] | None = None, *, timeout: float = 600
    ) -> tuple[tuple[str, MemberSnapshot], ...]:
        """Waits until these members (all, if none are named) have had their first turn.

        Who comes later is not waited for; who is broken is not either. Returns how each stands,
        in the order asked for. Raises ``KickoffWaitTimedOut`` after ``timeout`` seconds.
        """
        wanted = tuple(members or (entry.member for entry in self.members()))
        await wait_for_kickoff(self._context, wanted, seconds=timeout)
        return tuple([(name, await self.member_status(name)) for name in wanted])
