"""Every session service keeps every rule, wherever it keeps its sessions."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from meerkat_mob.llm.client import LlmClient
from meerkat_mob.sessions.service import SessionService
from meerkat_mob.testing.builders import a_clock, a_persistent_service, a_service
from meerkat_mob.testing.session_contract import RULES, OpenService, SessionRule
from tests.contracts.places import PLACES, Place, name_of


@asynccontextmanager
async def ephemeral(
    llm: LlmClient, *, max_sessions: int = 10_000, step: int = 1
) -> AsyncGenerator[SessionService, None]:
    service = a_service(llm, max_sessions=max_sessions, clock=a_clock(step=step))
    yield service
    await service.aclose()


def persistent(place: Place) -> OpenService:
    @asynccontextmanager
    async def open_service(
        llm: LlmClient, *, max_sessions: int = 10_000, step: int = 1
    ) -> AsyncGenerator[SessionService, None]:
        clock = a_clock(step=step)
        with place(clock) as open_store:
            async with open_store() as store:
                service = await a_persistent_service(
                    llm, store, max_sessions=max_sessions, clock=clock
                )
                yield service
                await service.aclose()

    return open_service


HOMES: dict[str, OpenService] = {
    "ephemeral": ephemeral,
    **{f"persistent-{name}": persistent(place) for name, place in PLACES.items()},
}


@pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)
@pytest.mark.parametrize("rule", RULES, ids=name_of)
async def test_the_service_keeps_the_rule(rule: SessionRule, home: OpenService) -> None:
    await rule(home)


def test_no_rule_is_lost() -> None:
    assert len(RULES) == 122
