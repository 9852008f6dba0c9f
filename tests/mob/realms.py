"""Realms over one store, one after the other, on both targets. No tests."""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from meerkat_mob.llm import Clients, LlmClient
from meerkat_mob.mob import Realm
from meerkat_mob.store import MemoryStore
from meerkat_mob.testing.builders import a_clock, a_persistent_service, some_ids


class _Disk(MemoryStore):
    """What was kept stays there when who used it lets go."""

    async def aclose(self) -> None:
        """Nothing is let go."""


class Kept:
    """What realms leave to the next one, and the clock they share."""

    def __init__(self, store: MemoryStore | None = None, opened: int = 1) -> None:
        self.clock = a_clock(step=1)
        self.store = store or _Disk(clock=self.clock)
        self._opened = opened

    def as_it_is_now(self) -> Kept:
        """What a process that is killed in this moment leaves."""
        store = _Disk(clock=self.clock)
        kept: dict[str, object] = vars(self.store)
        for name in ("_streams", "_names", "_keys", "_summaries", "_blobs", "_last_at"):
            setattr(store, name, copy.deepcopy(kept[name]))
        return Kept(store, self._opened)

    @asynccontextmanager
    async def realm(self, llm: LlmClient) -> AsyncGenerator[Realm, None]:
        """A realm that finds what the others left."""
        ids = some_ids(f"r{self._opened}")
        self._opened += 1
        sessions = await a_persistent_service(llm, self.store, clock=self.clock, ids=ids)
        clients = Clients(llm=llm, env={})
        async with Realm(sessions, self.store, clients=clients, clock=self.clock, ids=ids) as realm:
            yield realm
