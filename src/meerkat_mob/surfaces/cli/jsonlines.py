"""A run as JSON lines on standard output: every event as it is, and how it ended as the last line.

A line is a ``MobEvent`` (it has ``kind``), a ``MemberEvent`` (``envelope``) or a ``Lagged``
(``skipped``); the last one has ``type``: ``answer`` or ``error``.
"""

from __future__ import annotations

from typing import IO, Final

import msgspec

from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import MeerkatError, StoreCorrupt
from meerkat_mob.mob import AnyEvent
from meerkat_mob.surfaces.cli.exit_codes import exit_code

_encoder: Final = msgspec.json.Encoder()


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="answer"):
    """The end of a run that was answered. ``usage`` is null when not every model told it."""

    mob_id: str
    member: str
    text: str
    duration_ms: int
    turns: int
    tool_calls: int
    failed_runs: int
    usage: Usage | None


class Failure(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="error"):
    """The end of a run that was not."""

    code: str
    message: str
    exit_code: int


def failure_of(error: BaseException, exit_code: int) -> Failure:
    """What went wrong, as a line."""
    code = error.code if isinstance(error, MeerkatError) else "INTERNAL_ERROR"
    return Failure(code=code, message=str(error), exit_code=exit_code)


def damage_of(error: StoreCorrupt | None) -> Failure | None:
    """What was found of a session's damage; what comes before it is told beside."""
    return None if error is None else failure_of(error, exit_code(error))


class JsonLines:
    """Writes each line at once, so that a reader can follow."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    def write(self, line: AnyEvent | Answer | Failure) -> None:
        """One line."""
        write_json(self._out, _encoder.encode(line))


def write_json(out: IO[str], document: bytes) -> None:
    """One line of JSON, at once. It is UTF-8, whatever the encoding of the terminal is."""
    out.flush()
    raw: IO[bytes] | None = getattr(out, "buffer", None)
    if raw is None:
        out.write(document.decode() + "\n")
        out.flush()
    else:
        raw.write(document + b"\n")
        raw.flush()
