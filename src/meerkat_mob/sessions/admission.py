"""Who may run on a session: the one authority for "busy" (spec sessions 3.1).

The machine is a table. Requests are decided without an ``await``, so of two that come at once
exactly one is admitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from meerkat_mob.errors import SessionBusy, SessionNotRunning


class Phase(StrEnum):
    """Where a session stands between two of its runs, or in one."""

    IDLE = "idle"
    ADMITTED = "admitted"
    RUNNING = "running"
    COMPLETING = "completing"
    SHUTTING_DOWN = "shutting_down"


class Signal(StrEnum):
    """What happens to it."""

    REQUEST_START_TURN = "request_start_turn"
    BEGIN_RUN = "begin_run"
    ABORT = "abort"
    REQUEST_INTERRUPT = "request_interrupt"
    RESOLVE_RUN = "resolve_run"
    FINALIZE_TURN = "finalize_turn"
    REQUEST_SHUTDOWN = "request_shutdown"


TABLE: Final[Mapping[Phase, Mapping[Signal, Phase]]] = {
    Phase.IDLE: {
        Signal.REQUEST_START_TURN: Phase.ADMITTED,
        Signal.REQUEST_SHUTDOWN: Phase.SHUTTING_DOWN,
    },
    Phase.ADMITTED: {
        Signal.BEGIN_RUN: Phase.RUNNING,
        Signal.ABORT: Phase.IDLE,
        Signal.REQUEST_SHUTDOWN: Phase.SHUTTING_DOWN,
    },
    Phase.RUNNING: {
        Signal.REQUEST_INTERRUPT: Phase.RUNNING,
        Signal.RESOLVE_RUN: Phase.COMPLETING,
        Signal.REQUEST_SHUTDOWN: Phase.RUNNING,
    },
    Phase.COMPLETING: {
        Signal.FINALIZE_TURN: Phase.IDLE,
        Signal.REQUEST_SHUTDOWN: Phase.COMPLETING,
    },
    Phase.SHUTTING_DOWN: {Signal.REQUEST_SHUTDOWN: Phase.SHUTTING_DOWN},
}
"""What is not in the table is refused and changes nothing."""

_ACTIVE: Final = frozenset({Phase.ADMITTED, Phase.RUNNING, Phase.COMPLETING})


class Admission:
    """The admission state of one session."""

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id
        self.phase = Phase.IDLE
        self.interrupted = False
        self._shutdown = False

    @property
    def is_active(self) -> bool:
        """True while a run is admitted, running or completing."""
        return self.phase in _ACTIVE

    def send(self, signal: Signal) -> None:
        """Takes a signal.

        Raises ``SessionBusy`` for a start that is not possible now, ``SessionNotRunning`` for an
        interrupt or another step the table does not have.
        """
        after = TABLE[self.phase].get(signal)
        if after is None:
            if signal is Signal.REQUEST_START_TURN:
                raise SessionBusy(session_id=self._session_id)
            raise SessionNotRunning(session_id=self._session_id)
        self._note(signal)
        if signal is Signal.FINALIZE_TURN and self._shutdown:
            after = Phase.SHUTTING_DOWN
        self.phase = after

    def _note(self, signal: Signal) -> None:
        match signal:
            case Signal.BEGIN_RUN:
                self.interrupted = False
            case Signal.REQUEST_INTERRUPT:
                self.interrupted = True
            case Signal.REQUEST_SHUTDOWN:
                self._shutdown = True
            case _:
                pass
