"""The states of one session's runtime (spec sessions 5.6), as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from meerkat_mob.errors import RuntimeNotReady


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


class Standing:
    """Where the runtime of one session stands, and where it goes back to behind a run.

    ``changed`` is told the former state and the new one.
    """

    def __init__(
        self, session_id: str, changed: Callable[[RuntimeState, RuntimeState], None]
    ) -> None:
        self._session_id, self._changed = session_id, changed
        self.state = RuntimeState.IDLE
        self.resting = RuntimeState.IDLE

    def go(self, state: RuntimeState) -> None:
        """Goes to a state; to the one it is in, nothing happens."""
        before, self.state = self.state, state
        if before is not state:
            self._changed(before, state)

    @property
    def accepts(self) -> bool:
        """Whether it takes inputs."""
        return self.state in ACCEPTS

    @property
    def has_ended(self) -> bool:
        """Whether nothing runs any more."""
        return self.state in ENDED

    def insist(self, move: Move) -> None:
        """Raises ``RuntimeNotReady`` where this may not happen."""
        if self.state not in FROM[move]:
            raise self.refusal()

    def insist_on_input(self) -> None:
        """Raises ``RuntimeNotReady`` when it takes none."""
        if not self.accepts:
            raise self.refusal()

    def refusal(self, state: RuntimeState | None = None) -> RuntimeNotReady:
        """What to raise in the state it is in, or looks like."""
        return RuntimeNotReady(session_id=self._session_id, state=(state or self.state).value)
