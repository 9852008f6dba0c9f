"""Where facts live."""

from meerkat_mob.store.memory import MemoryStore
from meerkat_mob.store.protocol import (
    Append,
    Blob,
    Head,
    Install,
    NewRecord,
    Record,
    Store,
    StoreReader,
)

__all__ = (
    "Append",
    "Blob",
    "Head",
    "Install",
    "MemoryStore",
    "NewRecord",
    "Record",
    "Store",
    "StoreReader",
)
