"""Facts in a folder: one SQLite file for each realm, and one process that writes it."""

from meerkat_mob.store.file.lanes import InlineLane, Lane
from meerkat_mob.store.file.lease import OsLock
from meerkat_mob.store.file.reader import FileReader, open_file_reader
from meerkat_mob.store.file.store import FileStore, MakeLane, open_file_store

__all__ = (
    "FileReader",
    "FileStore",
    "InlineLane",
    "Lane",
    "MakeLane",
    "OsLock",
    "open_file_reader",
    "open_file_store",
)
