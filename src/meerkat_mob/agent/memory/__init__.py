"""What a session's model can find again of what compaction took out of its sight."""

from meerkat_mob.agent.memory.entries import Hit, MemoryEntry, MemoryIndex, entries_of
from meerkat_mob.agent.memory.memory import Memory, memory_search_tool
from meerkat_mob.agent.memory.ranked import RankedIndex

__all__ = (
    "Hit",
    "Memory",
    "MemoryEntry",
    "MemoryIndex",
    "RankedIndex",
    "entries_of",
    "memory_search_tool",
)
