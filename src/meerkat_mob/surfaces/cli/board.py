"""The lower part of the live view: the task board, and a fixed place for every member.

Each member keeps its lines for as long as the run goes, so nothing on the screen jumps. The
height is a good half of the terminal at most; what has no room is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from rich.console import Console, Group
from rich.text import Text

from meerkat_mob.mob.facts import TaskStatus
from meerkat_mob.surfaces.cli.palette import BAD, GOOD, MOST_COLUMNS, QUIET, WARN, Palette
from meerkat_mob.surfaces.cli.story import Card, Seat, Story
from meerkat_mob.surfaces.cli.words import clean

TAILS: Final = ((2, 0), (3, 5))
"""Lines for each member, and how many the board may need beside them."""
MOST_NAME: Final = 18
WORTH_TELLING_MS: Final = 3_000
FRAMES_PER_S: Final = 12
"""How fast the spinner turns."""


class Plan(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How many lines each part gets. ``listed``: the board shows its tasks, not only counts."""

    seats: int
    tail: int
    listed: bool


def plan(*, height: int, seats: int, cards: int) -> Plan:
    """Divides a good half of a terminal's height.

    First every member has a line, then a second one; then the tasks are listed; then members have a
    third line. Members' lines do not depend on the number of tasks, so they stay where they are.
    """
    room = max(height * 11 // 20, 5)
    shown = min(seats, room - 3)
    left = room - 3
    tail = max((n for n, more in TAILS if n * shown + more <= left), default=1)
    return Plan(seats=shown, tail=tail, listed=cards <= left - tail * shown)


class Floor:
    """Draws the present state of a story."""

    def __init__(self, story: Story, palette: Palette, console: Console) -> None:
        self._story, self._palette, self._console = story, palette, console

    def draw(self, now_ms: int, began_ms: int) -> Group:
        """The whole lower part, as wide as the console; times in ms."""
        width = min(self._console.width, MOST_COLUMNS)
        seats, cards = list(self._story.seats.values()), list(self._story.board.values())
        lines = plan(height=self._console.height, seats=len(seats), cards=len(cards))
        drawn = [Text(), *(self._board(cards, width, listed=lines.listed) if cards else ())]
        elapsed = Text(f"{max(now_ms - began_ms, 0) // 1000} s", QUIET)
        hidden = len(seats) - lines.seats
        title = f"team, {hidden} more not shown" if hidden else "team"
        drawn.append(self._rule(title, elapsed, width))
        for seat in self._chosen(seats, lines.seats):
            drawn += self._seat(seat, lines.tail, width, now_ms)
        for line in drawn:
            line.no_wrap, line.overflow = True, "crop"
        return Group(*drawn)

    def _rule(self, left: str, right: Text, width: int) -> Text:
        line = self._palette.signs.line
        fill = max(width - len(left) - right.cell_len - 6, 0)
        return Text.assemble(
            (f"{line} ", QUIET),
            (left, "bold"),
            (f" {line * fill} ", QUIET),
            right,
            (f" {line}", QUIET),
        )

    # -- the board -----------------------------------------------------------------------------

    def _board(self, cards: Sequence[Card], width: int, *, listed: bool) -> Iterator[Text]:
        marks = self._marks()
        counts = Text("   ").join(
            Text.assemble((sign, style), f" {number}")
            for status, (sign, style) in marks.items()
            if (number := sum(card.status == status for card in cards))
        )
        yield self._rule("board", counts, width)
        if listed:
            owners = max(len(card.owner) for card in cards)
            room = min(max(len(card.title) for card in cards), width - owners - 8)
            yield from (self._card(card, *marks[card.status], max(room, 8)) for card in cards)

    def _marks(self) -> dict[TaskStatus, tuple[str, str]]:
        signs = self._palette.signs
        return {
            "open": (signs.open, ""),
            "in_progress": (signs.begun, WARN),
            "completed": (signs.good, GOOD),
            "cancelled": (signs.bad, BAD),
        }

    def _card(self, card: Card, sign: str, style: str, room: int) -> Text:
        ended = card.status in {"completed", "cancelled"}
        title = Text(clean(card.title), QUIET if ended else "")
        title.truncate(room, overflow="ellipsis", pad=True)
        owner = Text(*self._palette.name(card.owner)) if card.owner else Text()
        return Text.assemble("  ", (sign, style), " ", title, "  ", owner)

    # -- the members ---------------------------------------------------------------------------

    @staticmethod
    def _chosen(seats: Sequence[Seat], room: int) -> list[Seat]:
        """Those with a place: all, or else first who is at work, in their old order."""
        if len(seats) <= room:
            return list(seats)
        first = sorted(seats, key=lambda seat: seat.doing == "idle")[:room]
        return [seat for seat in seats if seat in first]

    def _seat(self, seat: Seat, tail: int, width: int, now_ms: int) -> list[Text]:
        names = min(max(len(s.member) for s in self._story.seats.values()), MOST_NAME)
        name = Text(clean(seat.member), self._palette.name(seat.member)[1])
        name.truncate(names, overflow="ellipsis", pad=True)
        busy = seat.doing != "idle"
        frames = self._palette.signs.spin
        frame = frames[now_ms * FRAMES_PER_S // 1000 % len(frames)]
        sign, style = (frame, name.style) if busy else (self._palette.signs.dot, QUIET)
        room = width - names - 6
        told = self._doing(seat, tail, room, now_ms)
        told += [Text()] * (tail - len(told))
        first = Text.assemble("  ", (sign, style), " ", name, "  ", told[0])
        return [first, *(Text.assemble(" " * (names + 6), line) for line in told[1:])]

    def _doing(self, seat: Seat, tail: int, room: int, now_ms: int) -> list[Text]:
        if seat.doing in {"speaking", "reasoning"}:
            style = "" if seat.doing == "speaking" else "dim italic"
            return self._tail(self._story.plain(seat.text), tail, room, style)
        calls = ", ".join(dict.fromkeys(call.name for call in seat.calls.values()))
        words = f"calls {calls}" if seat.doing == "calling" and calls else seat.doing
        waits_ms = now_ms - seat.since_ms
        if seat.doing != "idle" and waits_ms >= WORTH_TELLING_MS:
            words += f" {waits_ms // 1000} s"
        line = Text(words, QUIET)
        line.truncate(room, overflow="ellipsis")
        return [line]

    def _tail(self, text: str, tail: int, room: int, style: str) -> list[Text]:
        """The last lines of a text that grows: wrapped from a fixed place, so they stand still."""
        window = room * (tail + 2)
        start = max(len(text) // window - 1, 0) * window
        lines = Text(clean(text[start:]).strip(), style).wrap(self._console, room)
        return list(lines)[-tail:] or [Text()]
