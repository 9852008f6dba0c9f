"""The place where a program's mobs live, and where everything is put together.

``open_realm`` is the only place that chooses: which sessions, which store, which model. All the
rest is given what it needs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, overload

from msgspec import UNSET, UnsetType

from meerkat_mob import _target
from meerkat_mob.agent import AgentBuilder
from meerkat_mob.agent.memory import MemoryIndex
from meerkat_mob.comms import Router
from meerkat_mob.core.compaction import CompactionPolicy
from meerkat_mob.core.hooks import Hook
from meerkat_mob.core.ids import Clock, Ids
from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.core.tools import Tool
from meerkat_mob.errors import CapabilityUnavailable, MobExists, MobNotFound
from meerkat_mob.llm import Catalogue, Clients, LlmClient
from meerkat_mob.mob.definition import MobDefinition
from meerkat_mob.mob.kept import kept_mobs
from meerkat_mob.mob.mob import Mob
from meerkat_mob.mob.offer import Offer
from meerkat_mob.mob.profiles import RealmProfiles
from meerkat_mob.mob.session_service import for_mobs
from meerkat_mob.sessions import (
    EphemeralSessionService,
    PersistentSessionService,
    SessionService,
)
from meerkat_mob.store import MemoryStore, Store

if TYPE_CHECKING:  # a page has no processes, and does not carry it
    from meerkat_mob.agent.mcp import Mcp
    from meerkat_mob.agent.shell import Shell


class Realm:
    """Mobs that share sessions, a store and a network. Made by ``open_realm``.

    Use it with ``async with``, or end it with ``aclose``. ``profiles`` are those that roles of any
    of its mobs may be.
    """

    def __init__(
        self,
        sessions: SessionService,
        store: Store,
        *,
        clients: Clients,
        clock: Clock,
        ids: Callable[[], str],
        offer: Offer | None = None,
    ) -> None:
        self._offer = offer or Offer(clock=clock)
        self._clients, self._clock, self._ids = clients, clock, ids
        self._store = store
        self._router = Router(ids=ids)
        self.sessions = sessions
        self.service = for_mobs(sessions, ids=ids, clock=clock)
        self.profiles = RealmProfiles(store, clock)
        self._mobs: dict[str, Mob] = {}

    async def create_mob(self, definition: MobDefinition) -> Mob:
        """A new mob in this realm, running and without members.

        Raises ``DefinitionInvalid`` with every error of the definition, and ``MobExists`` for an
        id that this realm knows, also from before it was opened.
        """
        if definition.id in self._mobs:
            raise MobExists(mob_id=definition.id)
        mob = await Mob.create(
            definition,
            service=self.service,
            store=self._store,
            router=self._router,
            clock=self._clock,
            ids=self._ids,
            offer=self._offer,
            allow_ephemeral_sessions=True,
        )
        self._mobs[mob.id] = mob
        return mob

    async def resume_mob(self, mob_id: str) -> Mob:
        """A mob that was here before, as it was: one that was stopped is stopped.

        One that is here already is returned as it is. Raises ``MobNotFound``,
        ``InvalidTransition`` for one that was destroyed, ``StoreError``.
        """
        if mob_id in self._mobs and not self._mobs[mob_id].is_closed:
            return self._mobs[mob_id]
        self._mobs[mob_id] = await Mob.bring_back(
            mob_id,
            service=self.service,
            store=self._store,
            router=self._router,
            clock=self._clock,
            ids=self._ids,
            offer=self._offer,
        )
        return self._mobs[mob_id]

    async def kept_mobs(self) -> list[str]:
        """The ids of all mobs that this realm keeps, whether they are here or not."""
        return await kept_mobs(self._store)

    @property
    def toolbox(self) -> Toolbox:
        """Tools for every member, to be changed at any time (see ``Toolbox``)."""
        return self._offer.toolbox

    def mob(self, mob_id: str) -> Mob:
        """A mob by id. Raises ``MobNotFound``, naming those there are."""
        if mob_id not in self._mobs:
            raise MobNotFound(mob_id=mob_id, known=sorted(self._mobs))
        return self._mobs[mob_id]

    def mobs(self) -> tuple[Mob, ...]:
        """All mobs, by id."""
        return tuple(self._mobs[k] for k in sorted(self._mobs))

    async def aclose(self) -> None:
        """Ends every run and frees everything. Idempotent.

        A realm in a folder leaves its runs as they are: the next one goes on with them.
        """
        for mob in self.mobs():
            await mob.shutdown()
        await self.service.runtime_adapter().aclose()
        await self.sessions.aclose()
        await self._offer.memory.aclose()
        await self._store.aclose()
        await self._clients.aclose()

    def __await__(self) -> Generator[None, None, Realm]:
        """Itself: ``await open_realm(…)`` reads the same with a path and without."""
        yield from ()  # a generator is what ``await`` wants, and there is nothing to wait for
        return self

    async def __aenter__(self) -> Realm:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class OpeningRealm:
    """A realm that is kept in a folder, and about to be opened: await it, or ``async with`` it."""

    def __init__(self, opened: Callable[[], Coroutine[None, None, Realm]]) -> None:
        self._opened = opened
        self._realm: Realm | None = None

    def __await__(self) -> Generator[None, None, Realm]:
        return self._opened().__await__()

    async def __aenter__(self) -> Realm:
        self._realm = await self._opened()
        return self._realm

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._realm is not None:
            await self._realm.aclose()


@overload
def open_realm(
    path: None = None,
    *,
    llm: LlmClient | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    env: Mapping[str, str] | None = None,
    models: Catalogue | None = None,
    clock: Clock = _target.now_ms,
    ids: Callable[[], str] | None = None,
    hooks: Sequence[Hook] = (),
    tools: Sequence[Tool] = (),
    bundles: Mapping[str, Sequence[Tool] | Toolbox] | None = None,
    root: Path | str | None = None,
    compaction: CompactionPolicy | UnsetType = UNSET,
    shell: Shell | None = None,
    mcp: Mcp | None = None,
) -> Realm: ...


@overload
def open_realm(
    path: Path | str | None,
    *,
    llm: LlmClient | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    env: Mapping[str, str] | None = None,
    models: Catalogue | None = None,
    clock: Clock = _target.now_ms,
    ids: Callable[[], str] | None = None,
    hooks: Sequence[Hook] = (),
    tools: Sequence[Tool] = (),
    bundles: Mapping[str, Sequence[Tool] | Toolbox] | None = None,
    root: Path | str | None = None,
    compaction: CompactionPolicy | UnsetType = UNSET,
    shell: Shell | None = None,
    mcp: Mcp | None = None,
) -> Realm | OpeningRealm: ...


def open_realm(
    path: Path | str | None = None,
    *,
    llm: LlmClient | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    env: Mapping[str, str] | None = None,
    models: Catalogue | None = None,
    clock: Clock = _target.now_ms,
    ids: Callable[[], str] | None = None,
    hooks: Sequence[Hook] = (),
    tools: Sequence[Tool] = (),
    bundles: Mapping[str, Sequence[Tool] | Toolbox] | None = None,
    root: Path | str | None = None,
    compaction: CompactionPolicy | UnsetType = UNSET,
    shell: Shell | None = None,
    mcp: Mcp | None = None,
) -> Realm | OpeningRealm:
    """A realm. With a path its sessions survive the process; without one they end with it.

    ``path`` is a folder, which is made if it is not there. ``llm`` answers for every member; else
    each profile's model is asked from its provider, with ``base_url`` and ``api_key`` or what
    ``env`` (the process's variables) holds. ``models`` is what is known of models and servers of
    one's own (``load_catalogue``). ``hooks`` look at every run of every member.
    ``tools`` are for every member, ``bundles`` for the profiles that name them under
    ``rust_bundles``. ``root`` is the folder whose files ``builtins`` may read and change; without
    one they touch none. ``compaction`` says when the histories of members become shorter.
    ``shell`` is for profiles with ``tools.shell``; without it nobody runs a command. ``mcp`` lets
    the MCP servers that definitions name be started and reached; without it none is.

    Raises ``InvalidParams`` when two tools have one name or ``root`` is no folder, and
    ``CapabilityUnavailable`` when a path is asked for in a browser tab. Opening it raises
    ``RealmLocked`` when another process holds it, ``RealmUnreadable``, and ``RealmDamaged``.
    """
    clients = Clients(
        llm=llm,
        base_url=base_url,
        api_key=api_key,
        env=os.environ if env is None else env,
        models=models,
    )
    build_agent = AgentBuilder(client_for=clients, clock=clock, models=clients.models)
    minted = ids or Ids(clock, _target.entropy)
    offer = Offer(
        hooks=hooks,
        tools=tools,
        bundles=bundles,
        root=root,
        compaction=compaction,
        shell=shell,
        mcp=mcp,
        memory=None if path is None or _target.IN_BROWSER else _memory_in(Path(path)),
        clock=clock,
    )
    if path is None:
        sessions = EphemeralSessionService(build_agent=build_agent, clock=clock, ids=minted)
        store = MemoryStore(clock=clock)
        return Realm(sessions, store, clients=clients, clock=clock, ids=minted, offer=offer)
    if _target.IN_BROWSER:
        raise CapabilityUnavailable(
            capability="persistent_sessions",
            why="a browser tab keeps sessions in memory only",
            instead="open the realm without a path",
        )
    folder = Path(path)

    async def opened() -> Realm:
        store = await _open_store(folder, clock)
        try:
            sessions = await PersistentSessionService.open(
                store, build_agent=build_agent, clock=clock, ids=minted
            )
        except BaseException:
            await store.aclose()
            raise
        return Realm(sessions, store, clients=clients, clock=clock, ids=minted, offer=offer)

    return OpeningRealm(opened)


def _memory_in(folder: Path) -> MemoryIndex | None:
    """What members search is found in a file of its own, if this Python's SQLite can do that."""
    from meerkat_mob.agent.memory.fts5 import Fts5Index, is_available
    from meerkat_mob.store.file.threads import ThreadLane

    return Fts5Index(folder, lane=lambda: ThreadLane("memory")) if is_available() else None


async def _open_store(folder: Path, clock: Clock) -> Store:
    # Imported here: a realm in memory needs no SQLite, and a page does not carry these modules.
    from meerkat_mob.store.file import open_file_store
    from meerkat_mob.store.file.flock import flock
    from meerkat_mob.store.file.threads import ThreadLane

    return await open_file_store(
        folder,
        clock=clock,
        holder=_target.process_name(),
        lane=ThreadLane,
        lock=flock if _target.OS_LOCKS else None,
    )
