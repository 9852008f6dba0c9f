"""The states of one session's runtime (spec sessions 5.6), as a table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class RuntimeState(StrEnum):
    """What a session's runtime is doing. Without an executor it is idle, with one attached."""

    IDLE = "idle"
    ATTACHED = "attached"
    RUNNING = "running"
    RETIRED = "retired"
    STOPPED = "stopped"
    DESTROYED = "destroyed"


class Move(StrEnum):
    """What may happen to it. A run remembers the state that it goes back to."""

    ATTACH = "attach"
    BEGIN_RUN = "begin_run"
    RETIRE = "retire"
    RESET = "reset"
    RECYCLE = "recycle"
    STOP = "stop"
    DESTROY = "destroy"


_RESTING: Final = frozenset({RuntimeState.IDLE, RuntimeState.ATTACHED})
_LIVING: Final = _RESTING | {RuntimeState.RUNNING}

FROM: Final[Mapping[Move, frozenset[RuntimeState]]] = {
    Move.ATTACH: _RESTING,
    Move.BEGIN_RUN: _RESTING | {RuntimeState.RETIRED},
    Move.RETIRE: _LIVING,
    Move.RESET: _RESTING | {RuntimeState.RETIRED},
    Move.RECYCLE: _RESTING | {RuntimeState.RETIRED},
    Move.STOP: _LIVING | {RuntimeState.RETIRED},
    Move.DESTROY: frozenset(RuntimeState) - {RuntimeState.DESTROYED},
}
"""Where each may happen. Anywhere else it is refused and changes nothing."""

ACCEPTS: Final = _LIVING
"""The states in which an input is taken. Retired drains what it has."""

ENDED: Final = frozenset({RuntimeState.STOPPED, RuntimeState.DESTROYED})
"""Nothing runs any more, and nothing waits."""

LASTING: Final = ENDED | {RuntimeState.RETIRED}
"""The states that a restart finds again. All others begin as idle."""
