"""A member's past becomes another's: the same messages, another name. Pure."""

from __future__ import annotations

from meerkat_mob.core.messages import SystemMessage, ToolResults
from meerkat_mob.core.repair import OUTCOME_UNKNOWN, close_open_calls
from meerkat_mob.core.session import Session
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.mob.request import ForkContext, LastMessages


def forked(
    source: Session, session_id: str, *, context: ForkContext, prompt: str, now: int
) -> Session:
    """A session that remembers what ``source`` said and heard, under a prompt of its own.

    Of the last messages only whole turns are taken: no result without its call. A call that is
    still open in the source gets the result that nobody knows how it ended.
    """
    history = source.history.fork()
    if isinstance(context, LastMessages):
        history = _last(history, context.count)
    history.set_system_prompt(prompt)
    close_open_calls(history, otherwise=OUTCOME_UNKNOWN)
    return Session(id=session_id, history=history, created_at=now, updated_at=now)


def _last(history: Transcript, count: int) -> Transcript:
    said = [m for m in history.view() if not isinstance(m, SystemMessage)]
    kept = said[-count:]
    while kept and isinstance(kept[0], ToolResults):
        kept = kept[1:]
    last = Transcript()
    last.push_batch(kept)
    return last
