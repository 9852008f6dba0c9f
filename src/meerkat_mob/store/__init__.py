"""Where facts live."""

from meerkat_mob.core.blobs import Blob
from meerkat_mob.store.memory import MemoryStore
from meerkat_mob.store.protocol import (
    Append,
    Head,
    Install,
    NewRecord,
    Record,
    Store,
    StoreReader,
)
from meerkat_mob.store.waiting import to_the_end

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
    "to_the_end",
)
