"""Session services as a mob may be given them: ours, each in its home, and somebody else's."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, TypeAlias, cast

import pytest

from meerkat_mob.core.requests import CreateSessionRequest, SessionBuildOptions
from meerkat_mob.llm import LlmClient, ScriptedLlm
from meerkat_mob.mob import MobSessionService, for_mobs
from meerkat_mob.sessions import SessionService
from meerkat_mob.testing.builders import a_persistent_service, a_service, some_ids
from tests.contracts.places import PLACES, Place

OpenService: TypeAlias = Callable[[LlmClient], AbstractAsyncContextManager[SessionService]]


@asynccontextmanager
async def ephemeral(llm: LlmClient) -> AsyncGenerator[SessionService, None]:
    service = a_service(llm)
    yield service
    await service.aclose()


def persistent(place: Place) -> OpenService:
    @asynccontextmanager
    async def open_service(llm: LlmClient) -> AsyncGenerator[SessionService, None]:
        with place() as open_store:
            async with open_store() as store:
                service = await a_persistent_service(llm, store)
                yield service
                await service.aclose()

    return open_service


PERSISTENT: Final[dict[str, OpenService]] = {
    f"persistent-{name}": persistent(place) for name, place in PLACES.items()
}
HOMES: Final[dict[str, OpenService]] = {"ephemeral": ephemeral, **PERSISTENT}

every_home = pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)
every_lasting_home = pytest.mark.parametrize("home", PERSISTENT.values(), ids=PERSISTENT)


def a_view(service: SessionService) -> MobSessionService:
    return for_mobs(service, ids=some_ids("run"))


def a_silent_service() -> SessionService:
    """Nobody is to be asked."""
    return a_service(ScriptedLlm([]))


BASE: Final = (
    "create_session",
    "start_turn",
    "interrupt",
    "has_live_session",
    "read",
    "list",
    "archive",
    "append_system_context",
    "stage_tool_results",
    "read_history",
    "subscribe_session_events",
)
"""What ``MobSessionService`` builds on, and every session service has."""


class Foreign:
    """A session service that somebody else made: it has the base and ``extras``, no more."""

    def __init__(self, inner: SessionService, **extras: object) -> None:
        vars(self).update({name: getattr(inner, name) for name in BASE}, **extras)


def foreign(inner: SessionService, **extras: object) -> SessionService:
    """What a checker would refuse, and a program may be given all the same."""
    return cast("SessionService", Foreign(inner, **extras))


def a_bound_request(options: SessionBuildOptions) -> CreateSessionRequest:
    return CreateSessionRequest(model="scripted", initial_turn="defer", build=options)
