"""How the log of a run looks: a colour for each member, signs, and entries as styled text.

Colours are middle tones, readable on dark and on light grounds. What colour says is also said by
words, so nothing is lost without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from rich.console import Console
from rich.text import Text

from meerkat_mob.surfaces.cli.story import Again, Broke, Entry, Moved, Noted, Said, Sent, Used, Verb
from meerkat_mob.surfaces.cli.words import clean, shortened

COLOURS: Final = (
    "color(32)",  # blue
    "color(166)",  # orange
    "color(64)",  # green
    "color(133)",  # violet
    "color(30)",  # teal
    "color(161)",  # rose
    "color(136)",  # ochre
    "color(99)",  # purple
)
BAD: Final = "bold color(160)"
WARN: Final = "color(172)"
GOOD: Final = "color(64)"
QUIET: Final = "dim"
LONGEST_ARGS: Final = 160
INDENT: Final = 2
MOST_COLUMNS: Final = 104
"""Longer lines are hard to read, however wide the terminal is."""


class Signs(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The few signs beside words."""

    to: str = "→"
    between: str = "↔"
    good: str = "✓"
    bad: str = "✗"
    open: str = "○"
    begun: str = "◐"
    new: str = "+"
    again: str = "↻"
    dot: str = "·"
    more: str = "…"
    line: str = "─"
    spin: str = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


ASCII: Final = Signs(
    to="->",
    between="<->",
    good="ok",
    bad="failed",
    open="o",
    begun="*",
    again="again",
    dot="-",
    more="...",
    line="-",
    spin="|/-\\",
)


def signs_for(console: Console) -> Signs:
    """Signs that the console's encoding has."""
    return Signs() if console.encoding.lower().replace("-", "").startswith("utf") else ASCII


class Palette:
    """Who has which colour. Members get theirs when first seen, in order."""

    def __init__(self, signs: Signs) -> None:
        self.signs: Final = signs
        self._colours: dict[str, str] = {}

    def colour(self, member: str) -> str:
        """The colour of a member."""
        return self._colours.setdefault(member, COLOURS[len(self._colours) % len(COLOURS)])

    def name(self, member: str) -> tuple[str, str]:
        """A member's name, to be put into a text."""
        return clean(member), f"bold {self.colour(member)}"

    # -- entries -------------------------------------------------------------------------------

    def entry(self, entry: Entry) -> Text:
        """An entry of the log as one styled text."""
        return Text.assemble(*self._parts(entry))

    def _parts(self, entry: Entry) -> Iterator[tuple[str, str]]:
        if entry.member:
            yield self.name(entry.member)
        match entry:
            case Said(text=text):
                yield f": {clean(text)}", ""
            case Sent(to=to, body=body, problem=problem):
                yield f" {self.signs.to} ", QUIET
                yield self.name(to)
                yield f": {clean(body)}", ""
                yield from self._problem(problem)
            case Moved():
                yield from self._moved(entry)
            case Used():
                yield from self._used(entry)
            case Broke(error=error):
                yield f" {self.signs.bad} {clean(error)}", BAD
            case Again(attempt=attempt, most=most, delay_ms=delay, error=error):
                told = f"tries again in {delay / 1000:g} s ({attempt} of {most}): {clean(error)}"
                yield f" {self.signs.again} {told}", WARN
            case Noted(text=text):
                yield f"{' ' if entry.member else ''}{clean(text)}", WARN

    def _moved(self, entry: Moved) -> Iterator[tuple[str, str]]:
        signs: dict[Verb, tuple[str, str]] = {
            "adds": (self.signs.new, "bold"),
            "takes": (self.signs.begun, WARN),
            "gives": (self.signs.begun, WARN),
            "completes": (self.signs.good, GOOD),
            "cancels": (self.signs.bad, BAD),
            "reopens": (self.signs.open, WARN),
        }
        sign, style = signs[entry.verb]
        yield f" {sign} ", style
        yield f"{entry.verb} {clean(entry.task)}", "italic"
        if entry.to:
            yield " to ", QUIET
            yield self.name(entry.to)

    def _used(self, entry: Used) -> Iterator[tuple[str, str]]:
        good = not entry.problem
        yield f" {self.signs.good if good else self.signs.bad} ", GOOD if good else BAD
        yield entry.tool, ""
        if entry.args:
            yield f" {self._cut(entry.args)}", QUIET
        if good and entry.result:
            yield f" {self.signs.to} {self._cut(entry.result)}", QUIET
        yield from self._problem(entry.problem)

    def _problem(self, problem: str) -> Iterator[tuple[str, str]]:
        if problem:
            yield f" {self.signs.bad} {clean(problem)}", BAD

    def _cut(self, text: str) -> str:
        return shortened(text, self.signs.more, most=LONGEST_ARGS)


def hanging(text: Text, console: Console, *, indent: int = INDENT) -> Text:
    """The text wrapped for the console, with every line but the first moved in."""
    lines = text.wrap(console, min(console.width, MOST_COLUMNS) - indent) or [Text()]
    for line in lines:
        line.rstrip()
    first, *rest = lines
    margin = Text(" " * indent)
    return Text("\n").join([first, *(margin + line if line else line for line in rest)])


def laid(text: Text, console: Console, *, indent: int = INDENT) -> Text:
    """A terminal gets the text wrapped; a pipe its own lines, those after the first moved in."""
    if console.is_terminal:
        return hanging(text, console, indent=indent)
    first, *rest = text.plain.split("\n")
    return Text("\n".join([first, *(f"{' ' * indent}{more}".rstrip() for more in rest)]))
