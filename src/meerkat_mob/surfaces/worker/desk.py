"""What a page does with a team: load it, open it, give it a task, talk to it, stop it.

There is one team at a time. A loaded team is data; an open one is a mob with all its members in a
realm of its own, and opening another one ends it. Everything else a page may ask goes to the
dispatcher of the open realm.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from meerkat_mob._target import now_ms
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.strict import PLAIN, nearest
from meerkat_mob.errors import InvalidParams, MethodNotFound, NoAnswer, RunCancelled
from meerkat_mob.llm import BUILT_IN
from meerkat_mob.mob import Mob, MobState, Realm, addressee, default_members, open_realm, spawn_team
from meerkat_mob.mob.definition import Pack
from meerkat_mob.surfaces.playing import with_model
from meerkat_mob.surfaces.rpc import (
    METHODS,
    Dispatcher,
    Method,
    Notify,
    call_method,
    method,
    stream_ids,
)
from meerkat_mob.surfaces.worker.offline import offline_client
from meerkat_mob.surfaces.worker.teams import TeamView, read_team, view_of

Pace: TypeAlias = Annotated[int, Meta(ge=0, le=1000)]
Text: TypeAlias = Annotated[str, Meta(min_length=1)]

# -- params and results ------------------------------------------------------------------------


class LoadTeam(msgspec.Struct, frozen=True, kw_only=True):
    """A file: its name, and its bytes in base64."""

    name: Text
    data: str


class Offline(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="scripted"):
    """Played without a server; ``pace_ms`` is the time between two words."""

    pace_ms: Pace = 0


class Server(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="server"):
    """Asked of an OpenAI-compatible server, with one model for all members."""

    base_url: Text
    model: Text
    api_key: str | None = None


class BuiltIn(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag=BUILT_IN):
    """Asked of the browser's own model."""


class OpenTeam(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers for the members."""

    voice: Offline | Server | BuiltIn


class StartTeam(msgspec.Struct, frozen=True, kw_only=True):
    """A task for the lead."""

    task: Text


class SayTo(msgspec.Struct, frozen=True, kw_only=True):
    """A further message, to any member: who has the page open is the team's operator."""

    member: Text
    text: Text


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """No params."""


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """The mob is there; its events come as ``mob/stream_event`` with this stream."""

    mob_id: str
    stream_id: str
    lead: str
    sessions: Mapping[str, str]


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """The team is idle. ``stopped``: somebody stopped it, and ``text`` is no answer."""

    status: Literal["answered", "stopped"]
    member: str
    text: str
    duration_ms: int


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody works any more."""

    mob_id: str


# -- the desk ----------------------------------------------------------------------------------


class Desk:
    """The one team of a page. ``load_http`` brings what asking a model needs, when one is asked."""

    def __init__(
        self, notify: Notify, *, load_http: Callable[[], Awaitable[None]], clock: Clock = now_ms
    ) -> None:
        self._notify, self._load_http, self._clock = notify, load_http, clock
        self._pack: Pack | None = None
        self._ids = stream_ids()
        self._realm: Realm = open_realm(env={})
        self._dispatcher = Dispatcher(self._realm, notify, ids=self._ids)
        self._mob: Mob | None = None
        self._stopped = False

    async def dispatch(self, name: str, params: object = None) -> object:
        """A method of the page, or of the dispatcher. Raises what ``Dispatcher.dispatch`` does."""
        if name in TEAM_METHODS:
            return await call_method(TEAM_METHODS, self, name, params)
        if name in METHODS:
            return await self._dispatcher.dispatch(name, params)
        raise MethodNotFound(method=name, nearest=nearest(name, (*TEAM_METHODS, *METHODS)))

    async def load(self, given: LoadTeam) -> TeamView:
        """Reads a team. The open one goes on until another is opened."""
        try:
            content = b64decode(given.data, validate=True)
        except binascii.Error as fault:
            raise InvalidParams(what=f"this is not base64: {fault}", path="data") from fault
        pack = read_team(given.name, content)
        self._pack = pack
        return view_of(pack)

    async def open(self, given: OpenTeam) -> Opened:
        """A mob of the loaded team, with all its members, and nothing to do yet.

        Raises ``SkillMissing``, ``InvalidParams`` for a bad address, ``CapabilityUnavailable``.
        """
        pack = self._loaded()
        definition, realm = pack.definition, await self._new_realm(pack, given.voice)
        if isinstance(given.voice, Server):
            definition = with_model(definition, given.voice.model)
        elif isinstance(given.voice, BuiltIn):
            definition = with_model(definition, BUILT_IN)
        await self._replace(realm)
        mob = await realm.create_mob(definition)
        members = await spawn_team(mob)
        self._mob, self._stopped = mob, False
        return Opened(
            mob_id=mob.id,
            stream_id=self._dispatcher.streams.open(mob, after=0),
            lead=_lead(mob),
            sessions={member.id: member.session_id for member in members},
        )

    async def start(self, given: StartTeam) -> Played:
        """Gives the lead the task; returns when the whole team is idle."""
        mob = self._playing()
        return await self._ask(mob, _lead(mob), given.task)

    async def say(self, given: SayTo) -> Played:
        """Says something to a member; a stopped team works again. Returns when all are idle."""
        mob = self._playing()
        mob.member(given.member)
        if mob.state is MobState.STOPPED:
            self._stopped = False
            await mob.resume()
        return await self._ask(mob, given.member, given.text)

    async def stop(self, _: Nothing) -> Stopped:
        """Interrupts every member; what waits for them stays until somebody speaks again."""
        mob = self._playing()
        if mob.state is MobState.RUNNING:
            self._stopped = True
            await mob.stop()
        return Stopped(mob_id=mob.id)

    async def _ask(self, mob: Mob, member: str, text: str) -> Played:
        began, said = self._clock(), ""
        try:
            said = await mob.member(member).ask(text)
        except (RunCancelled, NoAnswer):
            if not self._stopped:
                raise
        return Played(
            status="stopped" if self._stopped else "answered",
            member=member,
            text=said,
            duration_ms=self._clock() - began,
        )

    async def _new_realm(self, pack: Pack, voice: Offline | Server | BuiltIn) -> Realm:
        if isinstance(voice, Offline):
            return open_realm(llm=offline_client(pack, pace_ms=voice.pace_ms), env={})
        await self._load_http()
        if isinstance(voice, BuiltIn):
            return open_realm(env={})
        return open_realm(base_url=voice.base_url, api_key=voice.api_key, env={})

    async def _replace(self, realm: Realm) -> None:
        """Ends the open team, whose stream says so, and puts another realm in its place."""
        old, dispatcher, self._mob = self._realm, self._dispatcher, None
        self._realm = realm
        self._dispatcher = Dispatcher(realm, self._notify, ids=self._ids)
        await old.aclose()
        await dispatcher.streams.drain()

    def _loaded(self) -> Pack:
        if self._pack is None:
            raise InvalidParams(what="no team is loaded", hint="load one with team/load")
        return self._pack

    def _playing(self) -> Mob:
        if self._mob is None:
            raise InvalidParams(what="no team is open", hint="open one with team/open")
        return self._mob

    async def aclose(self) -> None:
        """Ends the open team and its streams. Idempotent."""
        await self._realm.aclose()
        await self._dispatcher.aclose()


def _lead(mob: Mob) -> str:
    return addressee(mob.definition, default_members(mob.definition))


TEAM_METHODS: Final[Mapping[str, Method[Desk]]] = {
    "team/load": method(LoadTeam, Desk.load, dialect=PLAIN),
    "team/open": method(OpenTeam, Desk.open, dialect=PLAIN),
    "team/start": method(StartTeam, Desk.start, dialect=PLAIN),
    "team/say": method(SayTo, Desk.say, dialect=PLAIN),
    "team/stop": method(Nothing, Desk.stop, dialect=PLAIN),
}
