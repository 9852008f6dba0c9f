"""Both indexes, for tests that hold for each. No tests."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import pytest

from meerkat_mob.agent.memory import MemoryEntry, MemoryIndex, RankedIndex
from meerkat_mob.agent.memory.fts5 import Fts5Index, is_available
from meerkat_mob.store.lanes import InlineLane

NewIndex: TypeAlias = type[RankedIndex] | type[Fts5Index]
INDEXES = [
    pytest.param(RankedIndex, id="in_memory"),
    *([pytest.param(Fts5Index, id="fts5")] if is_available() else []),
]


def an_index(kind: NewIndex, folder: Path) -> MemoryIndex:
    """An empty one."""
    return RankedIndex() if kind is RankedIndex else Fts5Index(folder, lane=InlineLane)


def said(*texts: str) -> list[MemoryEntry]:
    """Entries of a person."""
    return [MemoryEntry(role="user", text=text) for text in texts]


async def found(index: MemoryIndex, query: str, session: str = "s", limit: int = 20) -> list[str]:
    """The texts that are found, the best first."""
    return [hit.entry.text for hit in await index.search(session, query, limit)]
