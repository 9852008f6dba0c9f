"""Instants and durations in every form we read, as integer milliseconds.

We write integers only. Upstream writes an instant as seconds and nanoseconds, or as RFC 3339
text, and a duration as seconds and nanoseconds, or as text such as ``1m 30s``; what is finer than
a millisecond is cut off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from meerkat_mob.core.jsonvalue import Json

_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))",
    re.ASCII,
)
_SPAN: Final = re.compile(r"(\d+)\s*([a-z]+)\s*", re.ASCII)
_UNIT_NS: Final[Mapping[str, int]] = {
    name: ns
    for names, ns in (
        ("ns nsec nanos", 1),
        ("us usec micros", 1_000),
        ("ms msec millis", 1_000_000),
        ("s sec secs second seconds", 1_000_000_000),
        ("m min mins minute minutes", 60_000_000_000),
        ("h hr hrs hour hours", 3_600_000_000_000),
        ("d day days", 86_400_000_000_000),
    )
    for name in names.split()
}


def instant_ms(value: Json) -> int:
    """Milliseconds since 1970, UTC, from any form of an instant. Raises ``ValueError``."""
    match value:
        case bool():
            pass
        case int():
            return value
        case {"secs_since_epoch": int(secs), "nanos_since_epoch": int(nanos)}:
            return secs * 1000 + nanos // 1_000_000
        case str():
            return _rfc3339_ms(value)
        case _:
            pass
    raise ValueError(f"{value!r} is no instant: give milliseconds since 1970 or RFC 3339 text")


def upstream_instant(ms: int) -> dict[str, Json]:
    """The form in which upstream writes an instant."""
    return {"secs_since_epoch": ms // 1000, "nanos_since_epoch": ms % 1000 * 1_000_000}


def duration_ms(value: Json) -> int:
    """Milliseconds from any form of a duration. Raises ``ValueError``."""
    match value:
        case bool():
            pass
        case int() if value >= 0:
            return value
        case {"secs": int(secs), "nanos": int(nanos)}:
            return secs * 1000 + nanos // 1_000_000
        case str() if value.strip():
            return _spans_ms(value.strip())
        case _:
            pass
    raise ValueError(f"{value!r} is no duration: give milliseconds or text such as '1m 30s'")


def _spans_ms(text: str) -> int:
    total, place = 0, 0
    while place < len(text):
        span = _SPAN.match(text, place)
        if span is None or span[2] not in _UNIT_NS:
            raise ValueError(f"{text!r} is no duration: write it like '500ms', '30s' or '1m 30s'")
        total += int(span[1]) * _UNIT_NS[span[2]]
        place = span.end()
    return total // 1_000_000


def _rfc3339_ms(text: str) -> int:
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no RFC 3339 instant, such as 2026-01-31T08:00:00Z")
    year, month, day, hour, minute, second = (int(found[n]) for n in range(1, 7))
    if not (1 <= month <= 12 and 1 <= day <= _days_in(year, month)):
        raise ValueError(f"{text!r} names a day that does not exist")
    if hour > 23 or minute > 59 or second > 60:  # 60 is a leap second: it counts as the next minute
        raise ValueError(f"{text!r} names a time of day that does not exist")
    seconds = _days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
    if found[8]:
        offset = int(found[9]) * 3600 + int(found[10]) * 60
        seconds -= offset if found[8] == "+" else -offset
    return seconds * 1000 + int(f"{found[7] or '':0<3}"[:3])


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _days_in(year: int, month: int) -> int:
    if month == 2:
        return 29 if _is_leap(year) else 28
    return 30 if month in {4, 6, 9, 11} else 31


def _days_since_1970(year: int, month: int, day: int) -> int:
    """Days in the proleptic Gregorian calendar; whole years first, then whole months."""
    past = year - 1
    days = past * 365 + past // 4 - past // 100 + past // 400 - 719_162
    return days + sum(_days_in(year, m) for m in range(1, month)) + day - 1
