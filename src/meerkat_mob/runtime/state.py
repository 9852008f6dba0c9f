"""The states of one session's runtime (spec sessions 5.6), as a table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class RuntimeState(StrEnum):
    """What a session's runtime is doing."""

    IDLE = "idle"
    RUNNING = "running"
    RETIRED = "retired"
    DESTROYED = "destroyed"


LEGAL: Final[Mapping[RuntimeState, frozenset[RuntimeState]]] = {
    RuntimeState.IDLE: frozenset(
        {RuntimeState.RUNNING, RuntimeState.RETIRED, RuntimeState.DESTROYED}
    ),
    RuntimeState.RUNNING: frozenset(
        {RuntimeState.IDLE, RuntimeState.RETIRED, RuntimeState.DESTROYED}
    ),
    RuntimeState.RETIRED: frozenset({RuntimeState.DESTROYED}),
    RuntimeState.DESTROYED: frozenset(),
}

ACCEPTS: Final = frozenset({RuntimeState.IDLE, RuntimeState.RUNNING})
"""The states in which an input is taken. Retired drains what it has."""
