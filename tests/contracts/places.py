"""Where things are kept, for every contract that is applied here: a memory, and a file."""

import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeAlias

from meerkat_mob.core.ids import Clock
from meerkat_mob.store import MemoryStore, Store
from meerkat_mob.store.file import InlineLane, open_file_store
from meerkat_mob.testing.builders import a_clock
from meerkat_mob.testing.store_contract import OpenStore

Place: TypeAlias = Callable[..., AbstractContextManager[OpenStore]]
"""Makes an empty place; ``clock`` says its time."""


@contextmanager
def in_memory(clock: Clock | None = None) -> Generator[OpenStore, None, None]:
    store = MemoryStore(clock=clock or a_clock(step=1))

    @asynccontextmanager
    async def open_store() -> AsyncGenerator[Store, None]:
        try:
            yield store
        finally:
            await store.aclose()

    yield open_store


@contextmanager
def in_a_file(clock: Clock | None = None) -> Generator[OpenStore, None, None]:
    """Inline, so that it also runs on the virtual clock and in a page."""
    now = clock or a_clock(step=1)
    with tempfile.TemporaryDirectory() as folder:

        @asynccontextmanager
        async def open_store() -> AsyncGenerator[Store, None]:
            store = await open_file_store(
                Path(folder, "realm"),
                clock=now,
                holder="the contract",
                lane=lambda _: InlineLane(),
                lock=None,
            )
            try:
                yield store
            finally:
                await store.aclose()

        yield open_store


PLACES: dict[str, Place] = {"memory": in_memory, "file": in_a_file}


def name_of(rule: Callable[..., object]) -> str:
    return rule.__name__
