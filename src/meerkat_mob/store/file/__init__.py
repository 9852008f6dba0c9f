"""Facts in a folder: one SQLite file for each realm, and one process that writes it."""

from meerkat_mob.store.file.lease import OsLock
from meerkat_mob.store.file.reader import FileReader, open_file_reader
from meerkat_mob.store.file.store import FileStore, MakeLane, open_file_store
from meerkat_mob.store.file.verify import Finding, Fold, Report, verify
from meerkat_mob.store.lanes import InlineLane, Lane

__all__ = (
    "FileReader",
    "FileStore",
    "Finding",
    "Fold",
    "InlineLane",
    "Lane",
    "MakeLane",
    "OsLock",
    "Report",
    "open_file_reader",
    "open_file_store",
    "verify",
)
