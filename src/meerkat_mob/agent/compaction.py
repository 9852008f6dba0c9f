"""The older part of a history gives way to a summary, before it outgrows its model.

The rule: a history is cut between turns only, so a call is never parted from its result (INV-3);
and when anything goes wrong, it stays as it is and the run goes on (CMP-5). What the policy keeps
is kept whole (CMP-7), also when it is too large by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from meerkat_mob.agent.asking import Model
from meerkat_mob.agent.budget import Budget
from meerkat_mob.agent.surroundings import Surroundings
from meerkat_mob.core.compaction import SUMMARY, Compacted, CompactionPolicy, is_summary
from meerkat_mob.core.content import Content, TextBlock, VideoBlock, has_media
from meerkat_mob.core.events import (
    CompactionCompleted,
    CompactionFailed,
    CompactionStarted,
    Emit,
)
from meerkat_mob.core.messages import (
    AssistantFlat,
    AssistantMessage,
    Message,
    SystemMessage,
    ToolResults,
    UserMessage,
    tool_uses,
)
from meerkat_mob.core.run_context import RunContext
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.errors import LlmFailed

INSTRUCTION: Final = """\
Write a summary of this conversation so far. It will take the conversation's place, so whoever goes
on from it has nothing else: keep the task and what was agreed, what was found out and decided, with
names, numbers and paths as they are, what was done, and what is still open. Leave out greetings and
detours. Answer with the summary alone."""
LONGEST_PAUSE: Final = 48
"""Boundaries after a failed attempt until the next one, at most."""
FEWEST: Final = 2
"""Messages that are worth a summary."""


class Compaction:
    """The compactions of one agent. Asked before each model call (LOOP-4)."""

    def __init__(
        self,
        policy: CompactionPolicy,
        *,
        model: Model,
        transcript: Transcript,
        context: RunContext,
        emit: Emit,
    ) -> None:
        self._policy, self._model, self._context = policy, model, context
        self._transcript, self._emit = transcript, emit
        self._failures, self._not_before = 0, 0

    async def check(self, around: Surroundings, budget: Budget) -> None:
        """Compacts when the next request would be too large, and it is time again."""
        policy, done = self._policy, self._context.compacted()
        here = self._boundary(done)
        if not policy.enabled or here == 0 or here < self._not_before:
            return  # CMP-1: never at a session's first call
        if done.at is not UNSET and here - done.at < policy.min_boundaries:
            return
        if self._model.request_size(around) < policy.threshold(self._model.window):
            return
        if not await self.compact(around, budget):  # nobody looks through the history each time
            self._not_before = max(self._not_before, here + policy.min_boundaries)

    async def compact(self, around: Surroundings, budget: Budget) -> bool:
        """Compacts now, if there is anything to sum up. Returns whether the history is shorter.

        Raises ``StoreError`` when the shorter history could not be kept.
        """
        if not self._policy.enabled:
            return False
        messages = self._transcript.view()
        start, stop = _older_part(messages, self._policy.keep_turns)
        if stop - start < FEWEST:
            return False
        size = self._model.request_size(around)
        room = budget.tokens_for(size, self._policy.summary_tokens)
        if room is None:
            return False
        self._emit(
            CompactionStarted(
                input_tokens=size,
                estimated_history_tokens=self._model.history_size(),
                message_count=len(messages),
            )
        )
        asked = (*map(without_media, messages[:stop]), UserMessage(content=INSTRUCTION))
        try:
            told, tokens = await self._model.summarise(
                asked, budget, max_tokens=room, timeout_ms=self._policy.timeout_ms
            )
        except LlmFailed as failure:
            self._failed(str(failure))
            return False
        if not told.strip():
            self._failed("the summary is empty")
            return False
        before = len(messages)
        await self._context.checkpoint()  # what goes was said: that is kept first
        self._shorten(start, stop, told.strip())
        self._emit(
            CompactionCompleted(
                summary_tokens=tokens,
                messages_before=before,
                messages_after=len(self._transcript),
            )
        )
        await self._context.checkpoint()
        return True

    def _boundary(self, done: Compacted) -> int:
        return done.answers + self._transcript.answer_count

    def _shorten(self, start: int, stop: int, summary: str) -> None:
        done, transcript = self._context.compacted(), self._transcript
        here, calls = self._boundary(done), transcript.tool_call_count
        gone = [message for message in transcript.view()[start:stop] if not is_summary(message)]
        answered = _answered(transcript.view())
        if answered > stop:  # what the model has not seen yet, it must see whole
            kept = transcript.view()[stop:answered]
            if any(without_media(message) is not message for message in kept):
                transcript.rewrite(stop, answered, map(without_media, kept))
        transcript.rewrite(start, stop, (UserMessage(content=SUMMARY + summary),))
        self._failures = 0
        self._context.note_compaction(
            Compacted(
                answers=here - transcript.answer_count,
                tool_calls=done.tool_calls + calls - transcript.tool_call_count,
                at=here,
            ),
            gone,
        )

    def _failed(self, error: str) -> None:
        """The next attempt comes twice as late as the one before."""
        here = self._boundary(self._context.compacted())
        pause = self._policy.min_boundaries * 2**self._failures
        self._failures += 1
        self._not_before = here + min(pause, LONGEST_PAUSE)
        self._emit(CompactionFailed(error=error))


def _older_part(messages: Sequence[Message], keep_turns: int) -> tuple[int, int]:
    """From where to where a history can be summed up: all but the System message and some turns.

    A turn is a message of somebody else with all that followed it (CMP-7).
    """
    start = 1 if messages and isinstance(messages[0], SystemMessage) else 0
    stop, left = len(messages), keep_turns
    while left and stop > start:
        stop -= 1
        left -= isinstance(messages[stop], UserMessage)
    cuts_a_call = stop > start and tool_uses(messages[stop - 1])
    return (start, start) if left or cuts_a_call else (start, stop)


def _answered(messages: Sequence[Message]) -> int:
    """Where what the model has not answered yet begins."""
    for place in range(len(messages) - 1, -1, -1):
        if isinstance(messages[place], AssistantMessage | AssistantFlat):
            return place
    return 0


def without_media(message: Message) -> Message:
    """The message with a word in the place of each image and video; itself when it has none."""
    if isinstance(message, UserMessage) and has_media(message.content):
        return msgspec.structs.replace(message, content=_words(message.content))
    if isinstance(message, ToolResults) and any(has_media(r.content) for r in message.results):
        results = [msgspec.structs.replace(r, content=_words(r.content)) for r in message.results]
        return msgspec.structs.replace(message, results=tuple(results))
    return message


def _words(content: Content) -> Content:
    if isinstance(content, str):
        return content
    return tuple(
        block
        if isinstance(block, TextBlock)
        else TextBlock(text="[video]" if isinstance(block, VideoBlock) else "[image]")
        for block in content
    )
