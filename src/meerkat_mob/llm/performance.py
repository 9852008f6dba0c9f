"""A team's offline performance: who says what to which incoming text (docs/performances.md).

People write these files, so every fault is told at once and with its place, and a line that could
never be spoken is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.llm.template import faults_of
from meerkat_mob.llm.toml_file import FileFault, parse_toml, text_of

FILE_NAME: Final = "performance.toml"

PATTERN_FLAGS: Final = re.MULTILINE
"""``^`` and ``$`` are the ends of a line: a message's text follows a line that names its sender."""


class CallLine(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call; texts inside ``args`` may hold places to fill in."""

    tool: Annotated[str, msgspec.Meta(min_length=1)]
    args: dict[str, Json] = {}


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One model call: a text, calls, or both. The next step plays after the tools' results."""

    say: str = ""
    call: tuple[CallLine, ...] = ()


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered to an incoming text, by whom and when.

    ``when`` is searched in the incoming text; each of ``needs`` must have come in by now. It is
    spoken once by each member it fits, or any number of times with ``repeat``. ``then`` is the
    text after the results of the last calls.
    """

    member: str | None = None
    profile: str | None = None
    when: str = ""
    needs: tuple[str, ...] = ()
    repeat: bool = False
    say: str = ""
    call: tuple[CallLine, ...] = ()
    step: tuple[Step, ...] = ()
    then: str = ""

    @property
    def steps(self) -> tuple[Step, ...]:
        """Its steps; what stands in the line itself is the only one."""
        return self.step or (Step(say=self.say, call=self.call),)


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """A whole file; ``pace_ms`` is the time after each word."""

    line: tuple[Line, ...]
    pace_ms: Annotated[int, msgspec.Meta(ge=0)] = 0


def load_performance(path: Path | str) -> Performance:
    """The performance in a file.

    Raises ``DefinitionUnreadable`` when it cannot be read, and what ``parse_performance`` raises.
    """
    return parse_performance(text_of(path), source=str(path))


def parse_performance(text: str, *, source: str = FILE_NAME) -> Performance:
    """The performance that a text describes. Raises ``DefinitionInvalid`` with every fault."""
    return parse_toml(Performance, text, source=source, look=_faults)


def _faults(performance: Performance) -> Iterator[FileFault]:
    if not performance.line:
        yield FileFault(
            code="invalid_value", message="nobody says anything: add a [[line]]", location="line"
        )
    for index, line in enumerate(performance.line):
        at = f"line[{index}]"
        yield from _bad_patterns(line, at)
        yield from _bad_steps(line, at)
        yield from _bad_places(line, at)


def _bad_patterns(line: Line, at: str) -> Iterator[FileFault]:
    patterns = [(f"{at}.when", line.when)]
    patterns += [(f"{at}.needs[{i}]", text) for i, text in enumerate(line.needs)]
    for where, text in patterns:
        try:
            re.compile(text, PATTERN_FLAGS)
        except re.error as fault:
            yield FileFault(
                code="invalid_pattern",
                message=f"{text!r} is no regular expression: {fault}",
                location=where,
            )


def _bad_steps(line: Line, at: str) -> Iterator[FileFault]:
    def wrong(where: str, message: str) -> FileFault:
        return FileFault(code="invalid_value", message=message, location=where)

    if line.step and (line.say or line.call):
        yield wrong(at, "has steps and a say or call of its own: put those into the first step")
    steps = line.steps
    for index, step in enumerate(steps):
        where = f"{at}.step[{index}]" if line.step else at
        if not step.say and not step.call:
            yield wrong(where, "says nothing and calls nothing: give it say, call or both")
        elif not step.call and index + 1 < len(steps):
            yield wrong(where, "calls nothing, which ends the run: the next step is never played")
    if line.then and not steps[-1].call:
        yield wrong(
            f"{at}.then", "has no effect: it follows the results of calls, of which there are none"
        )


def _bad_places(line: Line, at: str) -> Iterator[FileFault]:
    try:
        groups = frozenset(re.compile(line.when, PATTERN_FLAGS).groupindex)
    except re.error:
        return  # told already
    earlier: list[str] = []
    for index, step in enumerate((*line.steps, Step(say=line.then))):
        where = at if index == 0 and not line.step else f"{at}.step[{index}]"
        if index == len(line.steps):
            where = f"{at}.then"
        filled: list[Json] = [step.say, *(spec.args for spec in step.call)]
        for message in faults_of(filled, groups, earlier):
            yield FileFault(code="invalid_template", message=message, location=where)
        earlier += [spec.tool for spec in step.call]
