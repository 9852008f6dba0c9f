"""What the benchmarks of sessions work on: services over a scripted model, and a bare database."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Final

from meerkat_mob._target import now_ms
from meerkat_mob.agent import AgentBuilder
from meerkat_mob.core.ids import Ids
from meerkat_mob.core.requests import CreateSessionRequest, SessionBuildOptions, StartTurnRequest
from meerkat_mob.llm.client import LlmClient
from meerkat_mob.llm.reply import say
from meerkat_mob.llm.scripted import ScriptedLlm
from meerkat_mob.sessions import EphemeralSessionService, PersistentSessionService
from meerkat_mob.sessions.service import SessionService
from meerkat_mob.store.file import FileStore, open_file_store
from meerkat_mob.store.file.flock import flock
from meerkat_mob.store.file.threads import ThreadLane

KILOBYTE: Final = ("word after word " * 64)[:1024]
TURN: Final = StartTurnRequest(prompt=KILOBYTE)
SHORT: Final = StartTurnRequest(prompt="A question of a few words, as a person asks it.")
ANSWER: Final = say(KILOBYTE)
SHORT_ANSWER: Final = say("An answer of a few words, as a member gives it.")


def in_memory(llm: LlmClient | None = None) -> EphemeralSessionService:
    """Sessions that last as long as the process."""
    return EphemeralSessionService(
        build_agent=_builder(llm), clock=now_ms, ids=Ids(now_ms, os.urandom)
    )


@asynccontextmanager
async def a_store(folder: Path) -> AsyncGenerator[FileStore, None]:
    """A realm as a host opens it: threads, and the system's lock."""
    store = await open_file_store(
        folder, clock=now_ms, holder="the benchmark", lane=ThreadLane, lock=flock
    )
    try:
        yield store
    finally:
        await store.aclose()


@asynccontextmanager
async def on_disk(
    folder: Path, llm: LlmClient | None = None
) -> AsyncGenerator[PersistentSessionService, None]:
    """Sessions that survive."""
    async with a_store(folder) as store:
        service = await over(store, llm)
        yield service
        await service.aclose()


async def over(store: FileStore, llm: LlmClient | None = None) -> PersistentSessionService:
    """Sessions that survive in an open store."""
    return await PersistentSessionService.open(
        store, build_agent=_builder(llm), clock=now_ms, ids=Ids(now_ms, os.urandom)
    )


def _builder(llm: LlmClient | None) -> AgentBuilder:
    model = llm or ScriptedLlm(lambda _: ANSWER)
    return AgentBuilder(client_for=lambda _: model, clock=now_ms)


async def a_session(service: SessionService, name: str) -> str:
    """A session in which nothing was said yet."""
    options = SessionBuildOptions(session_id=name)
    request = CreateSessionRequest(model="scripted", initial_turn="defer", build=options)
    return (await service.create_session(request)).session_id


@contextmanager
def a_bare_database(folder: Path) -> Generator[sqlite3.Connection, None, None]:
    """One table and nothing else, on the same disk, with commits that are as safe as ours."""
    with closing(sqlite3.connect(folder / "bare.sqlite3", isolation_level=None)) as db:
        for pragma in ("page_size = 8192", "journal_mode = WAL", "synchronous = FULL"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("CREATE TABLE facts (id INTEGER PRIMARY KEY, body BLOB)")
        yield db


def bare_commit(db: sqlite3.Connection, body: bytes) -> None:
    """The floor of everything that is kept."""
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO facts (body) VALUES (?)", (body,))
    db.execute("COMMIT")
