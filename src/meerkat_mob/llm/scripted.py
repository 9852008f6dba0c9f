"""A model that says what a script tells it: for tests, strictly.

A call it has no line for ends with an error, and a line that was never spoken is a complaint at
the end: nothing goes by unnoticed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Final, TypeAlias, TypeGuard, cast

import msgspec

from meerkat_mob.errors import LlmFailed, ScriptError
from meerkat_mob.llm.client import LlmEvent, LlmRequest
from meerkat_mob.llm.lines import (
    Answer,
    Entry,
    Lines,
    Script,
    When,
    asked,
    cut,
    fits,
    reply_of,
    told_line,
    told_lines,
    told_request,
)
from meerkat_mob.llm.reply import Reply
from meerkat_mob.llm.strictness import Strict
from meerkat_mob.llm.voice import Voice

_Left: TypeAlias = deque[tuple[int, Entry]]
"""The lines that were not spoken yet, with their places."""


class ScriptedLlm(Strict):
    """Speaks lines in order, or asks a function for each answer.

    A mapping gives them to who speaks: by full name ``mob/profile/member``, by member, by profile,
    by model, or under ``""`` for everybody else. Of the lines of the first of these that has one
    for the request, the first that fits is spoken. As a context manager it ends with
    ``assert_spent``.
    """

    def __init__(self, script: Script) -> None:
        self.provider: Final = "scripted"
        self._answers: dict[str, Answer] = {}
        self._left: dict[str, _Left] = {}
        for key, lines in _by_key(script).items():
            if isinstance(lines, (str, Reply, When)):
                self._left[key] = deque([(0, lines)])
            elif callable(lines):
                self._answers[key] = lines
            else:
                self._left[key] = deque(enumerate(lines))
        self._seen: list[LlmRequest] = []
        self._whole: list[LlmRequest] = []
        self._faults: list[str] = []
        self._voice = Voice()

    @property
    def requests(self) -> list[LlmRequest]:
        """Every request so far, each with its messages as they were: alike ones are equal."""
        for seen in self._seen[len(self._whole) :]:
            messages = tuple(seen.messages)  # copied when somebody looks: a call must not cost it
            self._whole.append(msgspec.structs.replace(seen, messages=messages, written=None))
        return list(self._whole)

    def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        """See ``LlmClient.stream``. A call without a line ends with ``ScriptError``."""
        return self._voice.speak(request, self._next)

    def _next(self, request: LlmRequest) -> Reply:
        self._seen.append(request)
        try:
            line = self._line(request)
            if line is not None:
                return reply_of(line, request)
        except LlmFailed:
            raise  # a function may fail on purpose
        except Exception as fault:
            what = f"a function of the script broke for {_who(request)}: {fault!r}"
            self._faults.append(what)
            raise ScriptError(detail=what, hint="correct the function") from fault
        what = f"no line for {_who(request)}, who was asked {cut(repr(asked(request)))}"
        self._faults.append(what)
        raise ScriptError(
            detail=f"the script has {what}; last messages: {told_request(request)}; "
            f"lines left: {told_lines(list(self._told())) or 'none'}",
            hint="add a line that fits, or see why it was called once more",
        )

    def _line(self, request: LlmRequest) -> Entry | None:
        """The line for a request, which is spent with it; None when there is none."""
        for key in _keys(request):
            if key in self._answers:
                return self._answers[key]
            left = self._left.get(key, ())
            for index, (_, line) in enumerate(left):
                if fits(line, request):
                    del self._left[key][index]
                    return line
        return None

    def _told(self) -> Iterator[str]:
        """The lines that are left, each with its key and place."""
        for key, left in self._left.items():
            yield from (f"{key or 'script'}[{place}] {told_line(line)}" for place, line in left)

    async def aclose(self) -> None:
        """Nothing is held."""

    def assert_spent(self) -> None:
        """Raises ``ScriptError`` when a line was never spoken, or a call was not answered."""
        wrong = list(self._faults)
        left = "; ".join(self._told())
        if left:
            wrong.append(f"lines never spoken: {left}")
        if wrong:
            raise ScriptError(
                detail="; ".join(wrong), hint="give each call its line, and each line its call"
            )


def _by_key(script: Script) -> Mapping[str, Lines]:
    return script if _is_mapping(script) else {"": cast("Lines", script)}


def _is_mapping(script: Script) -> TypeGuard[Mapping[str, Lines]]:
    return isinstance(script, Mapping)


def _keys(request: LlmRequest) -> Sequence[str]:
    """Where lines for a request may stand, the nearest first."""
    *_, profile, member = ("", "", *request.speaker.split("/"))
    near = (request.speaker, member, profile, request.model)
    return [*(key for key in near if key), ""]


def _who(request: LlmRequest) -> str:
    return f"{request.speaker or 'the agent'} (model {request.model})"
