"""A model that says what a script tells it: for tests, strictly.

A call it has no line for ends with an error, and a line that was never spoken is a complaint at
the end: nothing goes by unnoticed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, TypeAlias, TypeGuard, cast

from meerkat_mob.core.messages import text_of_message
from meerkat_mob.errors import ScriptError
from meerkat_mob.llm.client import LlmEvent, LlmRequest
from meerkat_mob.llm.reply import Reply, Voice, say

Line: TypeAlias = Reply | str
Answer: TypeAlias = Callable[[LlmRequest], Line]
Lines: TypeAlias = Sequence[Line] | Answer
Script: TypeAlias = Lines | Mapping[str, Lines]

_SHOWN: Final = 80


class ScriptedLlm:
    """Speaks lines in order, or asks a function for each answer.

    A mapping gives them to who speaks: by full name ``mob/profile/member``, by member, by profile,
    or under ``""`` for everybody else. A member whose lines are spent goes on with its profile's.
    As a context manager it ends with ``assert_spent``.
    """

    def __init__(self, script: Script) -> None:
        self.provider: Final = "scripted"
        self.requests: list[LlmRequest] = []
        """Every request so far. Messages are views: they show the transcript as it was."""
        self._answers: dict[str, Answer] = {}
        self._lines: dict[str, deque[Line]] = {}
        for key, lines in _by_speaker(script).items():
            if _is_answer(lines):
                self._answers[key] = lines
            else:
                self._lines[key] = deque(cast("Sequence[Line]", lines))
        self._unexpected: list[str] = []
        self._voice = Voice()

    def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        """See ``LlmClient.stream``."""
        return self._voice.speak(request, self._next)

    def _next(self, request: LlmRequest) -> Reply:
        self.requests.append(request)
        for key in _keys(request.speaker):
            if key in self._answers:
                return _reply(self._answers[key](request))
            if self._lines.get(key):
                return _reply(self._lines[key].popleft())
        who = request.speaker or "the agent"
        asked = text_of_message(request.messages[-1]) if request.messages else ""
        self._unexpected.append(f"{who} was asked {_cut(asked)!r}")
        raise ScriptError(
            detail=f"the script has no line left for {who}, who was asked {_cut(asked)!r}",
            hint="add a line, or see why it was called once more",
        )

    def assert_spent(self) -> None:
        """Raises ``ScriptError`` when a line was never spoken, or a call found none."""
        left = [
            f"{key or 'the script'}: {_told(line)}"
            for key, lines in self._lines.items()
            for line in lines
        ]
        if left:
            raise ScriptError(
                detail="lines never spoken: " + "; ".join(left),
                hint="take them out, or see why they were not asked for",
            )
        if self._unexpected:
            raise ScriptError(
                detail="calls without a line: " + "; ".join(self._unexpected),
                hint="add lines, or see why they were made",
            )

    async def aclose(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> ScriptedLlm:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.assert_spent()


def _by_speaker(script: Script) -> Mapping[str, Lines]:
    return script if _is_mapping(script) else {"": cast("Lines", script)}


def _is_mapping(script: Script) -> TypeGuard[Mapping[str, Lines]]:
    return isinstance(script, Mapping)


def _is_answer(lines: Lines) -> TypeGuard[Answer]:
    return callable(lines)


def _keys(speaker: str) -> tuple[str, ...]:
    *_, profile, member = ("", "", *speaker.split("/"))
    return (speaker, member, profile, "")


def _reply(line: Line) -> Reply:
    return say(line) if isinstance(line, str) else line


def _told(line: Line) -> str:
    reply = _reply(line)
    calls = "".join(f" {c.tool}({bytes(c.args).decode()})" for c in reply.calls)
    what = " an error" if reply.error else " silence" if reply.hangs else ""
    return _cut(f"{reply.text!r}{calls}{what}")


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
