"""A running mob: its members, its board, its events, and its end.

Structural commands are serialised by one lock that is never held while a model thinks; reads
answer from projections and never wait (design section 7).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.comms import Endpoint, Router
from meerkat_mob.core.content import Content
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.messages import HandlingMode
from meerkat_mob.errors import (
    DefinitionInvalid,
    MemberNotFound,
    MobExists,
    NotExternallyAddressable,
    PersistenceDisabled,
    SessionNotFound,
    StaleRevision,
    WaitTimedOut,
)
from meerkat_mob.mob.definition import (
    MobDefinition,
    RuntimeMode,
    encode_definition,
    validate,
)
from meerkat_mob.mob.events import (
    AnyEvent,
    MobCreated,
    MobDestroyed,
    MobEvent,
    MobResumed,
    MobStopped,
)
from meerkat_mob.mob.journal import Journal
from meerkat_mob.mob.member import DeliveryReceipt, Member, MemberSnapshot
from meerkat_mob.mob.roster import RosterEntry
from meerkat_mob.mob.session_service import MobSessionService
from meerkat_mob.mob.spawn import SpawnSpec, introduce, kickoff_sentence, spawn_member
from meerkat_mob.mob.state import Command, MobState, require
from meerkat_mob.mob.tools import Tasks
from meerkat_mob.store.protocol import Store


class Mob:
    """A team at work. Made by ``Realm.create_mob``, or by ``Mob.create`` over parts of your own."""

    def __init__(
        self,
        definition: MobDefinition,
        *,
        service: MobSessionService,
        store: Store,
        router: Router,
        clock: Clock,
        ids: Callable[[], str],
    ) -> None:
        self.definition = definition
        self.service, self.router = service, router
        self.journal = Journal(definition.id, store)
        self.tasks = Tasks(self.journal, ids)
        self.now, self.new_id = clock, ids
        self._lock = asyncio.Lock()
        self._endpoints: dict[str, Endpoint] = {}
        self._unwatch: dict[str, Callable[[], None]] = {}

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
        allow_ephemeral_sessions: bool = False,
    ) -> Mob:
        """A new mob, running and without members (B-3).

        Raises ``DefinitionInvalid`` with every error, ``PersistenceDisabled`` when the service
        keeps sessions in memory only and that was not opted in to, ``MobExists``.
        """
        errors = [d for d in validate(definition) if d.severity == "error"]
        if errors:
            raise DefinitionInvalid(diagnostics=errors, source=definition.id)
        if not (service.supports_persistent_sessions or allow_ephemeral_sessions):
            raise PersistenceDisabled(what=f"mob {definition.id!r}")
        mob = cls(definition, service=service, store=store, router=router, clock=clock, ids=ids)
        created = MobCreated(definition=msgspec.Raw(encode_definition(definition)))
        try:
            await mob.journal.record(lambda: (created,))
        except StaleRevision:
            raise MobExists(mob_id=definition.id) from None
        return mob

    @property
    def id(self) -> str:
        """The mob's id."""
        return self.definition.id

    @property
    def state(self) -> MobState:
        """Running, Stopped or Destroyed."""
        return self.journal.state

    def __repr__(self) -> str:
        return f"<mob {self.id}: {self.state}, {len(self.journal.roster)} members>"

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
    ) -> Member:
        """Adds a member and wires it by the definition's rules. See ``spawn_member``."""
        spec = SpawnSpec(
            profile=profile,
            member_id=member_id,
            initial_message=initial_message,
            kickoff=kickoff,
            runtime_mode=runtime_mode,
            labels=labels or {},
        )
        return await self.spawn_spec(spec)

    async def spawn_spec(self, spec: SpawnSpec) -> Member:
        """The same, from a struct. A first input is accepted before this returns."""
        async with self._lock:
            endpoint = await spawn_member(self, spec)
            self._endpoints[spec.member_id] = endpoint
            await self._wire(spec.member_id)
        member = self.member(spec.member_id)
        first = spec.initial_message
        if first is None and spec.kickoff:
            first = kickoff_sentence(self.id, spec.profile, spec.member_id)
        if first is not None:
            await member.send(first)
        return member

    async def _wire(self, member_id: str) -> None:
        entry = self.journal.roster.get(member_id)
        for peer in sorted(entry.wired_to) if entry else ():
            pair = self._endpoints[member_id], self._endpoints[peer]
            await introduce(*pair, self._notification_limits(member_id, peer))

    def _notification_limits(self, *members: str) -> dict[str, int | None]:
        limits: dict[str, int | None] = {}
        for member in members:
            endpoint = self._endpoints[member]
            profile = self.definition.profiles[endpoint.me.role]
            limits[endpoint.me.name] = profile.max_inline_peer_notifications
        return limits

    def watch(self, member: str, profile: str, session_id: str) -> None:
        """Shows what the member's runs say among the mob's events."""
        self._unwatch[member] = self.service.sessions.watch_session_events(
            session_id, lambda envelope: self.journal.show(member, profile, envelope)
        )

    def member(self, member_id: str) -> Member:
        """A handle. Raises ``MemberNotFound``, naming who there is."""
        entry = self.journal.roster.get(member_id)
        if entry is None:
            known = [e.member for e in self.journal.roster.list()]
            raise MemberNotFound(member=member_id, known=known)
        return Member(self, entry.member, entry.profile, entry.session_id)

    def members(self) -> tuple[RosterEntry, ...]:
        """The roster, by member id."""
        return self.journal.roster.list()

    async def member_status(self, member_id: str) -> MemberSnapshot:
        """How a member stands; ``unknown`` and final when there is none of that id."""
        entry = self.journal.roster.get(member_id)
        if entry is None:
            return MemberSnapshot(
                status="unknown",
                busy=False,
                output_preview=None,
                tokens_used=0,
                is_final=True,
                current_session_id=None,
            )
        sessions = self.service.sessions
        live = await sessions.has_live_session(entry.session_id)
        try:
            view = await sessions.read(entry.session_id)
        except SessionNotFound:
            view = None
        return MemberSnapshot(
            status="active" if live else "completed",
            busy=self.service.runtime_adapter().is_busy(entry.session_id),
            output_preview=view.state.last_assistant_text if view else None,
            tokens_used=view.billing.total_tokens if view else 0,
            is_final=not live,
            current_session_id=entry.session_id if live else None,
        )

    async def send(
        self, member_id: str, content: Content, *, handling_mode: HandlingMode = "queue"
    ) -> DeliveryReceipt:
        """A message from outside the mob (U-1).

        Raises ``NotExternallyAddressable`` when the member's profile takes none; a ``Member``
        handle writes to anyone.
        """
        member = self.member(member_id)
        profile = self.definition.profiles[member.profile]
        if not profile.external_addressable:
            raise NotExternallyAddressable(member=member_id, profile=member.profile)
        return await member.send(content, handling_mode=handling_mode)

    # -- idle ----------------------------------------------------------------------------------

    def busy_members(self) -> tuple[str, ...]:
        """Members with a run going on or an input that asks for one."""
        adapter = self.service.runtime_adapter()
        return tuple(e.member for e in self.members() if adapter.is_busy(e.session_id))

    async def wait_idle(self, *, timeout: float | None = None) -> None:
        """Waits until no member works or will: counted, never guessed by silence.

        ``timeout`` is in seconds; raises ``WaitTimedOut`` naming who is still at work.
        """
        adapter = self.service.runtime_adapter()
        try:
            async with asyncio.timeout(timeout):
                await adapter.activity.until(lambda: not self.busy_members())
        except TimeoutError:
            raise WaitTimedOut(
                what="idle", seconds=timeout or 0, busy=self.busy_members()
            ) from None

    # -- events --------------------------------------------------------------------------------

    def events(self, *, after: int | None = 0) -> AsyncGenerator[AnyEvent, None]:
        """What happened after a cursor, then what happens; ends with the mob.

        Stored facts come as ``MobEvent``, what members' runs say as ``MemberEvent``; a reader
        that is too slow gets ``Lagged``. With None it starts from now.
        """
        return self.journal.events(after)

    async def poll_events(self, after: int = 0, limit: int = 100) -> Sequence[MobEvent]:
        """Stored facts with a higher cursor, at most ``limit``."""
        return await self.journal.poll(after, limit)

    # -- life ----------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Interrupts every member and lets nothing run until ``resume``; nothing is lost."""
        async with self._lock:
            require(self.state, Command.STOP)
            self._hold(held=True)
            adapter = self.service.runtime_adapter()
            for entry in self.members():
                await adapter.interrupt_current_run(entry.session_id)
            await adapter.activity.until(lambda: not self.busy_members())
            await self.journal.record(lambda: (MobStopped(),))

    async def resume(self) -> None:
        """Lets a stopped mob work again, first on what was waiting."""
        async with self._lock:
            require(self.state, Command.RESUME)
            await self.journal.record(lambda: (MobResumed(),))
            self._hold(held=False)

    def _hold(self, *, held: bool) -> None:
        for entry in self.members():
            self.service.runtime_adapter().hold(entry.session_id, held=held)

    async def destroy(self) -> None:
        """Ends the mob: runs are interrupted, sessions archived, event streams closed."""
        async with self._lock:
            require(self.state, Command.DESTROY)
            await self.journal.record(lambda: (MobDestroyed(),))
            adapter = self.service.runtime_adapter()
            for entry in self.members():
                await adapter.unregister_session(entry.session_id, reason="the mob was destroyed")
                await self.service.sessions.archive(entry.session_id)
                self._unwatch.pop(entry.member)()
            for endpoint in self._endpoints.values():
                self.router.close(endpoint)
            self._endpoints.clear()
            self.journal.close()
