"""The states of a mob and what it takes in each, as one table (spec mob 2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from meerkat_mob.errors import InvalidTransition
from meerkat_mob.mob.events import Fact, MobCreated, MobDestroyed, MobResumed, MobStopped


class MobState(StrEnum):
    """Where a mob stands."""

    CREATING = "Creating"
    RUNNING = "Running"
    STOPPED = "Stopped"
    DESTROYED = "Destroyed"


class Command(StrEnum):
    """What a mob can be told to do."""

    SPAWN = "spawn"
    SEND = "send"
    TASK = "task"
    STOP = "stop"
    RESUME = "resume"
    DESTROY = "destroy"


ALLOWED: Final[Mapping[MobState, frozenset[Command]]] = {
    MobState.CREATING: frozenset({Command.DESTROY}),
    MobState.RUNNING: frozenset(Command) - {Command.RESUME},
    MobState.STOPPED: frozenset({Command.RESUME, Command.DESTROY}),
    MobState.DESTROYED: frozenset(),
}


def require(state: MobState, command: Command) -> None:
    """Raises ``InvalidTransition`` when the state does not take the command."""
    if command not in ALLOWED[state]:
        raise InvalidTransition(state=state.value, command=command.value)


def after(state: MobState, fact: Fact) -> MobState:
    """The state once a fact has happened."""
    match fact:
        case MobCreated() | MobResumed():
            return MobState.RUNNING
        case MobStopped():
            return MobState.STOPPED
        case MobDestroyed():
            return MobState.DESTROYED
        case _:
            return state
