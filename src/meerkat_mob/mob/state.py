"""The states of a mob and what it takes in each, as one table (spec mob 2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from meerkat_mob.errors import InvalidTransition
from meerkat_mob.mob.facts import (
    Fact,
    MobCompleted,
    MobCreated,
    MobDestroyed,
    MobReset,
    MobResumed,
    MobStopped,
)


class MobState(StrEnum):
    """Where a mob stands."""

    CREATING = "Creating"
    RUNNING = "Running"
    STOPPED = "Stopped"
    COMPLETED = "Completed"
    DESTROYED = "Destroyed"


class Command(StrEnum):
    """What a mob can be told to do."""

    SPAWN = "spawn"
    RESPAWN = "respawn"
    RETIRE = "retire"
    WIRE = "wire"
    SEND = "send"
    TASK = "task"
    REDEFINE = "redefine"
    STOP = "stop"
    RESUME = "resume"
    COMPLETE = "complete"
    RESET = "reset"
    DESTROY = "destroy"


_ANY_LIFE: Final = frozenset({Command.RESET, Command.DESTROY, Command.REDEFINE})

ALLOWED: Final[Mapping[MobState, frozenset[Command]]] = {
    MobState.CREATING: frozenset({Command.DESTROY}),
    MobState.RUNNING: frozenset(Command) - {Command.RESUME},
    MobState.STOPPED: _ANY_LIFE | {Command.RESUME, Command.RETIRE},
    MobState.COMPLETED: _ANY_LIFE,
    MobState.DESTROYED: frozenset(),
}


def require(state: MobState, command: Command) -> None:
    """Raises ``InvalidTransition`` when the state does not take the command."""
    if command not in ALLOWED[state]:
        raise InvalidTransition(state=state.value, command=command.value)


def after(state: MobState, fact: Fact) -> MobState:
    """The state once a fact has happened."""
    match fact:
        case MobCreated() | MobResumed() | MobReset():
            return MobState.RUNNING
        case MobStopped():
            return MobState.STOPPED
        case MobCompleted():
            return MobState.COMPLETED
        case MobDestroyed():
            return MobState.DESTROYED
        case _:
            return state
