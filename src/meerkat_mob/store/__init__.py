"""Where facts live."""

from meerkat_mob.store.memory import MemoryStore
from meerkat_mob.store.protocol import Append, NewRecord, Record, Store

__all__ = ("Append", "MemoryStore", "NewRecord", "Record", "Store")
