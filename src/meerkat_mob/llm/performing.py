"""Plays a performance: each member's next answer, from the file and its own transcript.

The first line that fits is spoken. Where a run stands is read from its messages; only which lines
are spent, and which one a run is playing, is kept here.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from typing import Final

import msgspec

from meerkat_mob.core.arguments import encode_arguments
from meerkat_mob.core.messages import Message
from meerkat_mob.errors import ScriptError
from meerkat_mob.llm.client import LlmEvent, LlmRequest
from meerkat_mob.llm.performance import FILE_NAME, PATTERN_FLAGS, Line, Performance, Step
from meerkat_mob.llm.progress import Progress, progress_of, texts_in
from meerkat_mob.llm.reply import Call, Reply, Text
from meerkat_mob.llm.template import Values, filled, filled_text
from meerkat_mob.llm.voice import Voice

_SHOWN: Final = 300


class _Playing(msgspec.Struct, frozen=True, kw_only=True):
    """The line a member is in: since which message, and what its pattern caught."""

    start: int
    asked: Message | None
    index: int
    groups: Mapping[str, str]


class PerformanceLlm:
    """Every member of a team, by its performance. ``pace_ms`` replaces the file's."""

    def __init__(
        self, performance: Performance, *, pace_ms: int | None = None, source: str = FILE_NAME
    ) -> None:
        self.provider: Final = "scripted"
        self._source = source
        self._lines = tuple(_Fitting(line) for line in performance.line)
        self._pace_s = (performance.pace_ms if pace_ms is None else pace_ms) / 1000
        self._spent: set[tuple[int, str]] = set()
        self._playing: dict[str, _Playing] = {}
        self._voice = Voice()

    def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        """See ``LlmClient.stream``. A member without a line ends with ``ScriptError``."""
        return self._voice.speak(request, self._next)

    async def aclose(self) -> None:
        """Nothing is held."""

    def _next(self, request: LlmRequest) -> Reply:
        progress = progress_of(request.messages)
        playing = self._line_of(request, progress)
        line = self._lines[playing.index].line
        over = progress.steps >= len(line.steps)
        step = Step(say=line.then) if over else line.steps[progress.steps]
        values = Values(groups=playing.groups, called=progress.called)
        try:
            said = Text(text=filled_text(step.say, values), pace=self._pace_s)
            calls = [
                Call(
                    tool=spec.tool,
                    args=encode_arguments({k: filled(v, values) for k, v in spec.args.items()}),
                )
                for spec in step.call
            ]
            return Reply(parts=(said, *calls))
        except LookupError as fault:
            raise ScriptError(
                detail=f"{self._source}: line[{playing.index}]: {fault.args[0]}",
                hint="correct the place, or the call before it",
            ) from fault

    def _line_of(self, request: LlmRequest, progress: Progress) -> _Playing:
        """The line a run is in already, also when its call is made again; else the first to fit."""
        asked = request.messages[progress.start - 1] if progress.start else None
        playing = self._playing.get(request.speaker)
        if playing is None or playing.start != progress.start or playing.asked != asked:
            playing = self._choose(request, progress, asked)
            self._playing[request.speaker] = playing
            if not self._lines[playing.index].line.repeat:
                self._spent.add((playing.index, request.speaker))
        return playing

    def _choose(self, request: LlmRequest, progress: Progress, asked: Message | None) -> _Playing:
        incoming = "\n\n".join(progress.incoming)
        spent: list[int] = []
        for index, fitting in enumerate(self._lines):
            caught = fitting.caught(request, progress.start, incoming)
            if caught is None:
                continue
            if (index, request.speaker) not in self._spent:
                groups = caught.groupdict(default="")
                return _Playing(start=progress.start, asked=asked, index=index, groups=groups)
            spent.append(index)
        shown = incoming if len(incoming) <= _SHOWN else f"{incoming[: _SHOWN - 3]}..."
        why = f" (line[{spent[0]}] fits, and is spent)" if spent else ""
        raise ScriptError(
            detail=f"{self._source} has no line for {request.speaker or 'the agent'}, "
            f"who was given {shown!r}{why}",
            hint="add a [[line]] that fits, or give one repeat = true",
        )


class _Fitting:
    """A line with its patterns compiled."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self._when = re.compile(line.when, PATTERN_FLAGS)
        self._needs = [re.compile(text, PATTERN_FLAGS) for text in line.needs]

    def caught(self, request: LlmRequest, start: int, incoming: str) -> re.Match[str] | None:
        """What ``when`` caught, if the whole line fits who is asked, with what, after what."""
        *_, profile, member = ("", "", *request.speaker.split("/"))
        if self.line.member not in {None, member} or self.line.profile not in {None, profile}:
            return None
        found = self._when.search(incoming)
        if found is None or not self._needs:
            return found
        read = list(texts_in(request.messages, 0, start))
        return found if all(any(map(p.search, read)) for p in self._needs) else None
