"""The command's exit codes: one row per kind of end (docs/cli.md shows the same table).

Numbers from 10 on are those of spec sessions 2.1. An error without a row of its own takes the row
of the nearest class above it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OK: Final = 0
FAILED: Final = 1
DAMAGED: Final = 50
INTERRUPTED: Final = 130
TERMINATED: Final = 143
PIPE_CLOSED: Final = 141

BY_CODE: Final[Mapping[str, int]] = {
    "INTERNAL_ERROR": FAILED,
    "INVALID_PARAMS": 2,
    "DEFINITION_INVALID": 2,
    "DEFINITION_UNREADABLE": 2,
    "PROFILE_NOT_FOUND": 2,
    "MEMBER_NOT_FOUND": 2,
    "MEMBER_EXISTS": 2,
    "MOB_EXISTS": 2,
    "WIRING_ERROR": 2,
    "REALM_UNREADABLE": 2,
    "SESSION_NOT_FOUND": 10,
    "SESSION_BUSY": 11,
    "SESSION_NOT_RUNNING": 12,
    "REQUEST_CANCELLED": 14,
    "WAIT_TIMED_OUT": 14,
    "PROVIDER_ERROR": 20,
    "AGENT_ERROR": 30,
    "NO_ANSWER": 30,
    "INPUT_ENDED": 30,
    "CAPABILITY_UNAVAILABLE": 40,
    "SESSION_PERSISTENCE_DISABLED": 40,
    "SESSION_UNSUPPORTED": 40,
    "SKILL_MISSING": 41,
    "STORE_CORRUPT": DAMAGED,
    "REALM_DAMAGED": DAMAGED,
    "REALM_LOCKED": 51,
}


def exit_code(error: BaseException) -> int:
    """The code for what a command ended with."""
    for kind in type(error).__mro__:
        code: object = vars(kind).get("code")
        if isinstance(code, str) and code in BY_CODE:
            return BY_CODE[code]
    return FAILED
