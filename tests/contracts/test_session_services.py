"""Every session service keeps every rule."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest

from meerkat_mob.llm.client import LlmClient
from meerkat_mob.sessions.service import SessionService
from meerkat_mob.store import MemoryStore
from meerkat_mob.testing.builders import a_clock, a_persistent_service, a_service
from meerkat_mob.testing.session_contract import RULES, OpenService, SessionRule


@asynccontextmanager
async def ephemeral(
    llm: LlmClient, *, max_sessions: int = 10_000
) -> AsyncGenerator[SessionService, None]:
    service = a_service(llm, max_sessions=max_sessions)
    yield service
    await service.aclose()


@asynccontextmanager
async def persistent(
    llm: LlmClient, *, max_sessions: int = 10_000
) -> AsyncGenerator[SessionService, None]:
    store = MemoryStore(clock=a_clock(step=1))
    service = await a_persistent_service(llm, store, max_sessions=max_sessions)
    yield service
    await service.aclose()
    await store.aclose()


HOMES: dict[str, OpenService] = {"ephemeral": ephemeral, "persistent": persistent}


def name_of(rule: Callable[..., object]) -> str:
    return rule.__name__


@pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)
@pytest.mark.parametrize("rule", RULES, ids=name_of)
async def test_the_service_keeps_the_rule(rule: SessionRule, home: OpenService) -> None:
    await rule(home)


def test_no_rule_is_lost() -> None:
    assert len(RULES) == 50
