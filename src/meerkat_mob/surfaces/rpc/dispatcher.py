"""The dispatcher: every method that works, by name, over one realm.

A new method is a struct in ``params``, a function here or in a module beside, and one row below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec

import meerkat_mob
from meerkat_mob.mob import Realm
from meerkat_mob.mob.definition import CAPABILITIES
from meerkat_mob.surfaces.playing import PROVIDED
from meerkat_mob.surfaces.rpc import inputs, joining, membership, mobs, params, profiles
from meerkat_mob.surfaces.rpc.host import Host
from meerkat_mob.surfaces.rpc.input_params import (
    INPUT_DIALECT,
    AcceptInput,
    OfInput,
    in_todays_form,
)
from meerkat_mob.surfaces.rpc.methods import Method, Run, call_method, method
from meerkat_mob.surfaces.rpc.streams import Notify, Streams, stream_ids

ParamsT = TypeVar("ParamsT", bound=msgspec.Struct)

NOTIFICATIONS: Final = ("mob/stream_event", "mob/stream_end")


class ServerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers."""

    name: str
    version: str


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """A word of manifests, and whether it is offered here."""

    id: str
    available: bool


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """The result of ``initialize``."""

    server_info: ServerInfo
    methods: tuple[str, ...]
    notifications: tuple[str, ...]
    capabilities: tuple[Capability, ...]
    supports_persistent_sessions: bool


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """The result of ``capabilities/get``."""

    capabilities: tuple[Capability, ...]


async def initialize(host: Host, _: params.Nothing) -> Hello:
    """Who answers, and what can be asked."""
    return Hello(
        server_info=ServerInfo(name="meerkat-mob", version=meerkat_mob.__version__),
        methods=tuple(METHODS),
        notifications=NOTIFICATIONS,
        capabilities=_capabilities(),
        supports_persistent_sessions=host.realm.service.supports_persistent_sessions,
    )


async def capabilities(_: Host, __: params.Nothing) -> Capabilities:
    """What packs may require here."""
    return Capabilities(capabilities=_capabilities())


def _capabilities() -> tuple[Capability, ...]:
    return tuple(Capability(id=word, available=word in PROVIDED) for word in CAPABILITIES)


async def session_read(host: Host, given: params.OfSession) -> object:
    """A session as of its last finished run."""
    return await host.realm.sessions.read(given.session_id)


async def session_history(host: Host, given: params.History) -> object:
    """A page of its messages, oldest first."""
    return await host.realm.sessions.read_history(
        given.session_id, offset=given.offset, limit=given.limit
    )


def _row(cls: type[ParamsT], run: Run[Host, ParamsT]) -> Method[Host]:
    return method(cls, run, dialect=params.DIALECT)


METHODS: Final[Mapping[str, Method[Host]]] = {
    "initialize": _row(params.Nothing, initialize),
    "capabilities/get": _row(params.Nothing, capabilities),
    "mob/create": _row(params.CreateMob, mobs.create),
    "mob/list": _row(params.Nothing, mobs.list_mobs),
    "mob/status": _row(params.OfMob, mobs.status),
    "mob/members": _row(params.OfMob, mobs.members),
    "mob/resume": _row(params.OfMob, mobs.resume),
    "mob/spawn": _row(params.SpawnOne, joining.spawn),
    "mob/spawn_many": _row(params.SpawnMany, joining.spawn_many),
    "mob/spawn_helper": _row(params.Errand, joining.spawn_helper),
    "mob/fork_helper": _row(params.ForkedErrand, joining.fork_helper),
    "mob/wait_kickoff": _row(params.WaitKickoff, joining.wait_kickoff),
    "mob/profile/create": _row(params.NewProfile, profiles.create),
    "mob/profile/get": _row(params.NamedProfile, profiles.get),
    "mob/profile/list": _row(params.Nothing, profiles.list_profiles),
    "mob/profile/update": _row(params.ChangedProfile, profiles.update),
    "mob/profile/delete": _row(params.ProfileAt, profiles.delete),
    "mob/retire": _row(params.OfMember, membership.retire),
    "mob/respawn": _row(params.Respawn, membership.respawn),
    "mob/wire": _row(params.Wire, membership.wire),
    "mob/unwire": _row(params.Wire, membership.unwire),
    "mob/force_cancel": _row(params.OfMember, membership.force_cancel),
    "mob/member_send": _row(params.MemberSend, mobs.member_send),
    "mob/member_status": _row(params.OfMember, mobs.member_status),
    "mob/ask": _row(params.Ask, mobs.ask),
    "mob/wait_idle": _row(params.WaitIdle, mobs.wait_idle),
    "mob/tasks": _row(params.OfMob, mobs.tasks),
    "mob/events": _row(params.Events, mobs.events),
    "mob/stream_open": _row(params.StreamOpen, mobs.stream_open),
    "mob/stream_close": _row(params.StreamClose, mobs.stream_close),
    "mob/lifecycle": _row(params.Lifecycle, mobs.lifecycle),
    "session/read": _row(params.OfSession, session_read),
    "session/history": _row(params.History, session_history),
    "runtime/accept": method(
        AcceptInput, inputs.accept, dialect=INPUT_DIALECT, prepare=in_todays_form
    ),
    "runtime/state": _row(params.OfSession, inputs.runtime_state),
    "runtime/retire": _row(params.OfSession, inputs.retire),
    "runtime/reset": _row(params.OfSession, inputs.reset),
    "input/state": _row(OfInput, inputs.input_state),
    "input/list": _row(params.OfSession, inputs.input_list),
}


class Dispatcher:
    """Calls for one realm from one other side, which ``notify`` reaches. ``ids`` names streams.

    The realm stays its owner's.
    """

    def __init__(
        self, realm: Realm, notify: Notify, *, ids: Callable[[], str] | None = None
    ) -> None:
        self.streams: Final = Streams(notify, ids or stream_ids())
        self._host = Host(realm=realm, streams=self.streams)

    async def dispatch(self, method: str, params: object = None) -> object:
        """The result of a call: a struct that encodes as JSON.

        Raises ``MethodNotFound``, ``InvalidParams`` with every fault, and what the call raises.
        Calls do not wait for each other: the other side may make many at once.
        """
        return await call_method(METHODS, self._host, method, params)

    async def aclose(self) -> None:
        """Ends the open streams without a word. Idempotent."""
        await self.streams.aclose()
