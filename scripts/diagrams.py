"""docs/diagrams.md, drawn from the tables that the code obeys.

    python -m scripts.diagrams            write it
    python -m scripts.diagrams --check    only say whether it is up to date

Nothing is drawn by hand, so a picture cannot disagree with its table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, TypeAlias, TypeVar

from meerkat_mob.agent import turns
from meerkat_mob.mob.facts import (
    Fact,
    MobCompleted,
    MobDestroyed,
    MobReset,
    MobResumed,
    MobStopped,
)
from meerkat_mob.mob.state import ALLOWED, Command, MobState, after
from meerkat_mob.runtime import inbox, state
from meerkat_mob.runtime.operations import STEPS, OperationStatus
from meerkat_mob.sessions import admission
from scripts.places import ROOT

PAGE: Final = ROOT / "docs" / "diagrams.md"
StateT = TypeVar("StateT", bound=StrEnum)
Edge: TypeAlias = tuple[str, str, str]
"""From, to, and the label."""

INTRO: Final = """\
# The life cycles, as pictures

Each is drawn from the table that the code obeys, by `python -m scripts.diagrams`; the suite fails
when this page is older than a table. What no arrow shows is refused and changes nothing.
"""

_FACTS: Final[Mapping[Command, Fact]] = {
    Command.STOP: MobStopped(),
    Command.RESUME: MobResumed(),
    Command.COMPLETE: MobCompleted(),
    Command.RESET: MobReset(),
    Command.DESTROY: MobDestroyed(),
}
"""What a command that changes a mob's state leaves behind."""


def admission_edges() -> Iterable[Edge]:
    """Who may run on a session."""
    for phase, row in admission.TABLE.items():
        for signal, then in row.items():
            yield phase.value, then.value, signal.value
    yield (
        admission.Phase.COMPLETING.value,
        admission.Phase.SHUTTING_DOWN.value,
        f"{admission.Signal.FINALIZE_TURN.value}, after a shutdown was asked for",
    )


def mob_edges() -> Iterable[Edge]:
    """What a mob takes in each state."""
    yield MobState.CREATING.value, MobState.RUNNING.value, "created"
    for here, commands in ALLOWED.items():
        for command in sorted(commands):
            fact = _FACTS.get(command)
            then = here if fact is None else after(here, fact)
            yield here.value, then.value, command.value


_THEN: Final[Mapping[state.Move, state.RuntimeState]] = {
    state.Move.ATTACH: state.RuntimeState.ATTACHED,
    state.Move.BEGIN_RUN: state.RuntimeState.RUNNING,
    state.Move.RETIRE: state.RuntimeState.RETIRED,
    state.Move.RESET: state.RuntimeState.IDLE,
    state.Move.STOP: state.RuntimeState.STOPPED,
    state.Move.DESTROY: state.RuntimeState.DESTROYED,
}
"""Where a move leads, if it leads anywhere."""


def runtime_edges() -> Iterable[Edge]:
    """What may happen to a session's runtime."""
    for move, places in state.FROM.items():
        for here in sorted(places):
            if move in _THEN and _THEN[move] is not here:
                yield here.value, _THEN[move].value, move.value


def turn_edges() -> Iterable[Edge]:
    """What happens in a run."""
    for phase, row in turns.TABLE.items():
        for event, then in row.items():
            yield phase.value, then.value, event.value


def operation_edges() -> Iterable[Edge]:
    """What may happen to background work."""
    for move, row in STEPS.items():
        for here, then in row.items():
            if here is not then:
                yield here.value, then.value, move.value


def plain_edges(table: Mapping[StateT, Iterable[StateT]]) -> Iterable[Edge]:
    """A table that says only what may follow what."""
    for here, row in table.items():
        for then in sorted(row):
            yield here.value, then.value, ""


def drawn(title: str, about: str, first: str, edges: Iterable[Edge]) -> str:
    """One section: its title, its sentence, and the picture; arrows between two states as one."""
    labels: dict[tuple[str, str], list[str]] = {}
    for here, then, label in edges:
        labels.setdefault((here, then), []).append(label)
    lines = [f"    [*] --> {first}"]
    for (here, then), told in labels.items():
        text = ", ".join(label for label in told if label)
        lines.append(f"    {here} --> {then}" + (f" : {text}" if text else ""))
    leaving = {here for here, then in labels if here != then}
    ends = {then for _, then in labels} - leaving
    lines += [f"    {end} --> [*]" for end in sorted(ends)]
    picture = "\n".join(("stateDiagram-v2", *lines))
    return f"## {title}\n\n{about}\n\n```mermaid\n{picture}\n```\n"


def page() -> str:
    """The whole page."""
    sections = (
        drawn(
            "A session's run",
            "Who may run: `TABLE` in `sessions/admission.py`. A start at any other time is busy.",
            admission.Phase.IDLE.value,
            admission_edges(),
        ),
        drawn(
            "The turns of a run",
            "What happens in a run: `TABLE` in `agent/turns.py`. Each phase has one method in\n"
            "`agent/run.py`, which does what the phase is for.",
            turns.Phase.READY.value,
            turn_edges(),
        ),
        drawn(
            "A session's runtime",
            "What may happen in each state: `FROM` in `runtime/state.py`. Idle, attached and\n"
            "running take input; a retired one works off what it has. A run leads back to where\n"
            "it began.",
            state.RuntimeState.IDLE.value,
            runtime_edges(),
        ),
        drawn(
            "An input",
            "What becomes of an accepted input: `LEGAL` in `runtime/inbox.py`. It ends once.",
            inbox.InputPhase.QUEUED.value,
            plain_edges(inbox.LEGAL),
        ),
        drawn(
            "A background operation",
            "What may happen to it: `STEPS` in `runtime/operations/model.py`.",
            OperationStatus.ABSENT.value,
            operation_edges(),
        ),
        drawn(
            "A mob",
            "What it takes in each state: `ALLOWED` and `after` in `mob/state.py`.",
            MobState.CREATING.value,
            mob_edges(),
        ),
    )
    return "\n".join((INTRO, *sections))


def main(arguments: list[str]) -> int:
    """Writes the page, or compares it."""
    if arguments == ["--check"]:
        fresh = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page()
        print("up to date" if fresh else f"{PAGE.name} is older than a table: write it again")
        return 0 if fresh else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
