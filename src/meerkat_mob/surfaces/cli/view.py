"""What a person sees of a run: its log, and in a terminal, below it, what happens now.

A view only looks: it is given the mob's events and never holds the run up. It writes to standard
error, so that standard output holds the answer and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Final

import msgspec
from rich.console import Console
from rich.live import Live
from rich.text import Text

from meerkat_mob._target import now_ms
from meerkat_mob.mob import AnyEvent, RosterEntry
from meerkat_mob.surfaces.cli.board import FRAMES_PER_S, Floor
from meerkat_mob.surfaces.cli.palette import QUIET, Palette, laid, signs_for
from meerkat_mob.surfaces.cli.story import Broke, Entry, Said, Story
from meerkat_mob.surfaces.cli.words import clean


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What is known before the first event: the team, who was asked what, who answers for it."""

    mob_id: str
    members: Sequence[RosterEntry]
    lead: str
    task: str
    by: str


class View:
    """The log of a run, one entry after the other; plain lines where there is no terminal.

    How the run ended is shown after the log by somebody else (the answer if ``shows_answer``), so
    what may be the end is held back as long as nothing else happens. Use it with ``async with``.
    """

    def __init__(self, console: Console, *, shows_answer: bool) -> None:
        self.console: Final = console
        self.story: Final = Story()
        self.palette: Final = Palette(signs_for(console))
        self._shows_answer = shows_answer
        self._began_ms, self._lead = now_ms(), ""
        self._held: Entry | None = None
        self._live: Live | None = None
        self._ticker: asyncio.Task[None] | None = None

    # -- life ----------------------------------------------------------------------------------

    async def __aenter__(self) -> View:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release()
        if self._ticker is not None:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
        if self._live is not None:
            self._live.stop()

    def open(self, scene: Scene) -> None:
        """Shows the team and its task; from now on also what happens now."""
        self._began_ms, self._lead = now_ms(), scene.lead
        ordered = sorted(scene.members, key=lambda entry: entry.member != scene.lead)
        for entry in ordered:
            self.palette.colour(entry.member)
        about = f"  {len(ordered)} members, {scene.by}"
        self._print(Text.assemble((clean(scene.mob_id), "bold"), (about, QUIET)))
        told: set[frozenset[str]] = set()
        for entry in ordered:
            pairs = {peer: frozenset({entry.member, peer}) for peer in sorted(entry.wired_to)}
            self._wiring(entry.member, [p for p, pair in pairs.items() if pair not in told])
            told |= set(pairs.values())
        self._print(Text())
        to = Text.assemble(("you", "bold"), (f" {self.palette.signs.to} ", QUIET))
        self._print(to + Text.assemble(self.palette.name(scene.lead), f": {clean(scene.task)}"))
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self._start()

    def _wiring(self, member: str, peers: Sequence[str]) -> None:
        if peers:
            names = Text(", ").join(Text(*self.palette.name(peer)) for peer in peers)
            sign = (f" {self.palette.signs.between} ", QUIET)
            self._print(Text.assemble(self.palette.name(member), sign, names))

    def _start(self) -> None:
        floor = Floor(self.story, self.palette, self.console)
        self._live = Live(
            get_renderable=lambda: floor.draw(now_ms(), self._began_ms),
            console=self.console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()
        self._ticker = asyncio.create_task(self._tick(self._live))

    @staticmethod
    async def _tick(live: Live) -> None:
        while True:
            live.refresh()
            await asyncio.sleep(1 / FRAMES_PER_S)

    # -- the log -------------------------------------------------------------------------------

    def see(self, event: AnyEvent) -> None:
        """Takes in what happened."""
        for entry in self.story.apply(event):
            self._release()
            if self._may_be_the_end(entry):
                self._held = entry
            else:
                self._print(self.palette.entry(entry))

    def recall(self, events: Iterable[AnyEvent]) -> None:
        """Takes in what happened before anybody looked, and shows nothing of it."""
        for event in events:
            self.story.apply(event)

    def settle(self, end: str) -> None:
        """Says what the answer or the error is, so that it is not shown twice."""
        match self._held:
            case Said(text=text) if text == self.story.plain(end.strip()):
                self._held = None
            case Broke(error=error) if error == end:
                self._held = None
            case _:
                pass

    def _may_be_the_end(self, entry: Entry) -> bool:
        """Whether this may be what the run ends with: of the lead, when nobody else is at work."""
        ends = isinstance(entry, Broke) or (isinstance(entry, Said) and self._shows_answer)
        others = (seat for seat in self.story.seats.values() if seat.member != self._lead)
        return ends and entry.member == self._lead and all(s.doing == "idle" for s in others)

    def _release(self) -> None:
        """Shows what was held back: something else has happened, so it was not the end."""
        if self._held is not None:
            held, self._held = self._held, None
            self._print(self.palette.entry(held))

    def _print(self, line: Text) -> None:
        self.console.print(laid(line, self.console), soft_wrap=True)
