"""What the model is told of background work, and when it is woken for it (LP-4, W18).

The rule: the model learns of every end of a tool's job exactly in the order of the feed, and one
continuation serves all that have come. The end of a mob's child never wakes: who runs the mob
learns of it elsewhere.

The news is no message of the transcript: it belongs to the request of the run that tells it. So
that a transcript which waits for nothing does not make that run a no-op, news that is to be told
counts as something pending.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, Protocol

import msgspec

from meerkat_mob.core.events import BackgroundJobCompleted
from meerkat_mob.core.inputs import ContinuationInput, InputHeader, SystemSource
from meerkat_mob.core.messages import SystemNotice
from meerkat_mob.runtime.operations.feed import FeedEntry, FeedSlice
from meerkat_mob.runtime.operations.model import WAKES, detail_of, status_of

REASON: Final = "background_job"
"""The reason of a continuation that was injected for news; it says so to whoever runs it."""

DETAILED: Final = 32
"""Jobs of which the notice says what they came to; of those before them it says how many."""
_DETAIL: Final = 2_000
_NAME: Final = 80


class Feed(Protocol):
    """What is asked of the feed here."""

    @property
    def watermark(self) -> int:
        """The number of the last end."""
        ...

    def list_since(self, seq: int) -> FeedSlice:
        """The ends with a greater number."""
        ...


class OperationCursors(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How far the feed was read, by whom.

    ``agent_applied`` is what a request has told the model; only that is kept, since a continuation
    is derived: a restart that finds news untold injects another. ``runtime_observed`` is how far
    the runtime has decided, ``runtime_last_injected`` the last end for which it woke the session.
    """

    agent_applied: int = 0
    runtime_observed: int = 0
    runtime_last_injected: int = 0


class JobNews(msgspec.Struct, frozen=True, kw_only=True):
    """Ends of jobs that the model has not been told of, up to the number ``through``."""

    through: int
    jobs: tuple[FeedEntry, ...]
    missed: int = 0

    @property
    def notice(self) -> SystemNotice:
        """What the next request says of them."""
        return SystemNotice(kind="background_job", body="\n".join(self._lines()))

    @property
    def announced(self) -> tuple[BackgroundJobCompleted, ...]:
        """The same as events, one for each job."""
        return tuple(
            BackgroundJobCompleted(
                job_id=entry.operation_id,
                display_name=entry.display_name,
                status=status_of(entry.outcome).value,
                detail=detail_of(entry.outcome),
            )
            for entry in self.jobs
        )

    def _lines(self) -> list[str]:
        older, told = self.jobs[:-DETAILED], self.jobs[-DETAILED:]
        lines = [_line(entry) for entry in told]
        if older:
            counts = Counter(status_of(entry.outcome).value for entry in older)
            kinds = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
            lines.insert(0, f"{len(older)} background jobs ended before these: {kinds}.")
        if self.missed:
            lines.insert(0, f"{self.missed} earlier ends are no longer known.")
        return lines


def _line(entry: FeedEntry) -> str:
    name, detail = _short(entry.display_name, _NAME), _short(detail_of(entry.outcome), _DETAIL)
    said = f'Background job "{name}" ({entry.operation_id}) {status_of(entry.outcome).value}'
    return f"{said}: {detail}" if detail else f"{said}."


def _short(text: str, most: int) -> str:
    cut = len(text) - most
    return text if cut <= 0 else f"{text[:most]} [{cut} more characters]"


def news_since(feed: Feed, seq: int) -> JobNews | None:
    """What there is to tell of the ends after a number; None when that is nothing."""
    found = feed.list_since(seq)
    jobs = tuple(entry for entry in found.entries if WAKES[entry.kind])
    if not jobs and not found.missed:
        return None
    return JobNews(through=feed.watermark, jobs=jobs, missed=found.missed)


class Wake(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided: where the cursors stand now, and the news to wake for, if any."""

    cursors: OperationCursors
    news: JobNews | None = None


def decide_wake(feed: Feed, cursors: OperationCursors, *, quiescent: bool) -> Wake:
    """Whether to inject a continuation now.

    While something is queued or running nothing is decided and no cursor moves, so the question
    comes again; what that run tells needs no other. Ends that wake nobody are passed over. News
    of which the run failed does not wake again by itself: it goes with the next run, or the next
    end.
    """
    seen = max(cursors.agent_applied, cursors.runtime_observed)
    if not quiescent or feed.watermark <= seen:
        return Wake(cursors=cursors)
    observed = msgspec.structs.replace(cursors, runtime_observed=feed.watermark)
    if news_since(feed, seen) is None:
        return Wake(cursors=observed)
    return Wake(
        cursors=msgspec.structs.replace(observed, runtime_last_injected=feed.watermark),
        news=news_since(feed, cursors.agent_applied),
    )


def continuation_for(news: JobNews, *, epoch_id: str, input_id: str, at: int) -> ContinuationInput:
    """The one input that wakes a session for its news.

    It is derived, so it is not kept: the feed is. Its key makes a second one for the same news
    the same input.
    """
    header = InputHeader(
        id=input_id,
        timestamp=at,
        source=SystemSource(),
        durability="derived",
        idempotency_key=f"{REASON}:{epoch_id}:{news.through}",
    )
    return ContinuationInput(header=header, reason=REASON, handling_mode="steer")
