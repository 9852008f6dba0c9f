"""The tool ``datetime``: what time it is, which no model knows by itself.

UTC and fixed offsets work everywhere. A named zone needs a zone database, which a page has only
when ``tzdata`` was loaded into it; without one the model is told to use an offset.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Annotated, Final
from zoneinfo import ZoneInfo, available_timezones

from msgspec import Meta

from meerkat_mob import _target
from meerkat_mob.agent.builtins.provenance import as_builtin
from meerkat_mob.agent.functions import tool
from meerkat_mob.core import strict
from meerkat_mob.core.ids import Clock
from meerkat_mob.core.tools import Tool, ToolOutcome, tool_error, tool_value

Zone = Annotated[
    str, Meta(description="UTC, an offset such as +05:30, or a name such as Europe/Lisbon.")
]
_1970: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OFFSET: Final = re.compile(r"([+-])([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


def datetime_tool(clock: Clock = _target.now_ms) -> Tool:
    """The tool. Its result is JSON: ``iso`` with the offset, ``unix_ms``, and ``zone`` as asked."""

    @tool(name="datetime", description="The present date and time, in UTC or in the zone you name.")
    def now(zone: Zone = "UTC") -> ToolOutcome:
        found = _zone(zone)
        if found is None:
            return tool_error("invalid_arguments", _unknown(zone))
        ms = clock()
        at = (_1970 + timedelta(milliseconds=ms)).astimezone(found)
        return tool_value(
            {"iso": at.isoformat(timespec="milliseconds"), "unix_ms": ms, "zone": zone}
        )

    return as_builtin(now)


def _zone(name: str) -> tzinfo | None:
    if name in {"UTC", "Z"}:
        return UTC
    if offset := _OFFSET.fullmatch(name):
        span = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(-span if offset[1] == "-" else span)
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # not there, no key at all, a folder of the database
        return None


def _unknown(name: str) -> str:
    known = available_timezones()
    if not known:
        return f"no zone {name!r}: there are no named zones here; give UTC or an offset like +02:00"
    near = strict.nearest(name, known)
    hint = f"did you mean {near!r}?" if near else "give an IANA name, UTC or an offset like +02:00"
    return f"no zone {name!r}; {hint}"
