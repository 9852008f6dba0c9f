"""A realm in a folder, looked at while another process may hold it.

The rule: nothing here takes the realm, changes it, or makes its holder wait. For the host: a tab
keeps no realm in a folder, so its build of the package is without this module.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from meerkat_mob import _target
from meerkat_mob.errors import CapabilityUnavailable
from meerkat_mob.sessions.fold import STREAM
from meerkat_mob.sessions.outside import summary_or_nothing
from meerkat_mob.store import StoreReader
from meerkat_mob.store.file import Finding, OsLock, open_file_reader, verify
from meerkat_mob.store.file.threads import ThreadLane

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many streams were looked at, and how many there are."""


class Meaning(msgspec.Struct, frozen=True, gc=False):
    """What a kind of finding means for whoever owns the realm, and what to do about it."""

    means: str
    advice: str


class Fault(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A finding in words. ``stream`` is empty, and ``seq`` 0, where it is not about one."""

    code: str
    stream: str
    seq: int
    message: str
    means: str
    advice: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at in a realm, and everything that is not as it was committed."""

    ok: bool
    streams: int
    records: int
    keys: int
    blobs: int
    findings: tuple[Fault, ...]


class RealmOutside(msgspec.Struct, frozen=True):
    """A realm that can be read. ``damage`` is what is wrong with it as a whole, or empty."""

    reader: StoreReader
    damage: str


_RESTORE: Final = "restore the realm's folder from a copy"
_READ: Final = "what comes before it in its stream can still be read; " + _RESTORE
MEANINGS: Final[Mapping[str, Meaning]] = {
    "log_damaged": Meaning(
        "commits in the write-ahead log would be dropped by whoever opens the realm to write",
        "copy the folder before anything else, export what you need, then " + _RESTORE,
    ),
    "file_damaged": Meaning(
        "pages of the database are not in order",
        "copy the folder and see to the disk, then " + _RESTORE,
    ),
    "record_unreadable": Meaning("a record is no record any more", _READ),
    "record_missing": Meaning("records were removed, or their end was cut off", _READ),
    "record_changed": Meaning("a record is not what was committed", _READ),
    "record_unknown": Meaning(
        "there are records that were never committed", "do not trust them; " + _RESTORE
    ),
    "records_gone": Meaning("whole streams were removed, and nobody knows which", _RESTORE),
    "head_missing": Meaning(
        "a stream's summary is gone, so nobody knows which record is its last", _RESTORE
    ),
    "head_changed": Meaning(
        "a stream's summary is not what was committed; its records can be read", _RESTORE
    ),
    "summary_differs": Meaning(
        "a session's summary does not follow from its records as far as they can be read here",
        "see to its damaged records first; where it has none, a later version may have written it",
    ),
    "key_differs": Meaning(
        "a key that may be used once is not as it was taken: something might be done twice",
        _RESTORE,
    ),
    "blob_changed": Meaning("an image is not what was committed", _RESTORE),
}
_UNKNOWN: Final = Meaning("the realm is not as it was committed", _RESTORE)


@asynccontextmanager
async def realm_from_outside(path: Path) -> AsyncGenerator[RealmOutside, None]:
    """Opens the realm at ``path`` for reading.

    Raises ``RealmUnreadable``, ``RealmDamaged`` when nothing of it can be read,
    ``RealmLocked`` while it is being made, and ``CapabilityUnavailable`` in a browser tab.
    """
    lock = _lock()
    reader = await open_file_reader(path, lane=ThreadLane("look from outside"), lock=lock)
    try:
        yield RealmOutside(reader, reader.damage)
    finally:
        await reader.aclose()


def verify_realm(path: Path, *, progress: Progress | None = None) -> Verdict:
    """Holds everything in the realm at ``path`` against itself; its sessions' summaries too.

    Takes as long as reading all of it, on the thread that calls. Raises as ``realm_from_outside``.
    """
    report = verify(path, lock=_lock(), folds={STREAM: summary_or_nothing}, progress=progress)
    return Verdict(
        ok=report.clean,
        streams=report.streams,
        records=report.records,
        keys=report.keys,
        blobs=report.blobs,
        findings=tuple(map(in_words, report.findings)),
    )


def in_words(finding: Finding) -> Fault:
    """A finding with what it means."""
    meaning = MEANINGS.get(finding.code, _UNKNOWN)
    return Fault(
        code=finding.code,
        stream=finding.stream,
        seq=finding.seq,
        message=finding.message,
        means=meaning.means,
        advice=meaning.advice,
    )


def _lock() -> OsLock | None:
    if _target.IN_BROWSER:
        raise CapabilityUnavailable(
            capability="persistent_sessions",
            why="a browser tab keeps sessions in memory only",
            instead="look at the realm on the host",
        )
    if not _target.OS_LOCKS:
        return None
    from meerkat_mob.store.file.flock import flock  # noqa: PLC0415 not every system has it

    return flock
