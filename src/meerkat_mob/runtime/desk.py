"""Between one run and the inbox its inputs came from: what is kept, what joins, what was cut off.

The rule: it only notes. What becomes of the inputs, the run loop decides when the run has ended.
"""

from __future__ import annotations

from collections.abc import Callable

from meerkat_mob.core.inputs import Receipt
from meerkat_mob.core.run_context import News
from meerkat_mob.runtime.executor import message_of
from meerkat_mob.runtime.inbox import Inbox
from meerkat_mob.runtime.operations import JobNews
from meerkat_mob.sessions import Steered


class RunDesk:
    """What the session tells us of one run, in the step in which it is kept: see ``RunInbox``."""

    def __init__(
        self,
        inbox: Inbox,
        run_id: str,
        keep: Callable[[Receipt], None],
        jobs: Callable[[], JobNews | None],
    ) -> None:
        self._inbox, self._run_id, self._keep = inbox, run_id, keep
        self._jobs = jobs
        self.told = 0
        """Up to which end of background work the run told its model."""
        self._asked: tuple[str, ...] = ()
        self.joined: list[str] = []
        self.is_noted = self.is_closed = self.is_cut_off = self.is_left = False

    def steered(self) -> Steered | None:
        """See ``RunInbox.steered``."""
        records = self._inbox.take_steering(self._run_id)
        self._asked = tuple(r.item.header.id for r in records)
        messages = tuple(m for r in records if (m := message_of(r.item)) is not None)
        return Steered(input_ids=self._asked, messages=messages) if records else None

    def news(self) -> News | None:
        """See ``RunInbox.news``."""
        news = self._jobs()
        if news is None:
            return None
        self.told = news.through
        return News(notice=news.notice, jobs=news.announced)

    def applied(self, steered: Steered, receipt: Receipt) -> None:
        """See ``RunInbox.applied``."""
        self._asked = ()
        self.joined += steered.input_ids
        self._keep(receipt)

    def noted(self) -> None:
        """See ``RunInbox.noted``."""
        self.is_noted = True

    def closed(self, receipt: Receipt | None) -> None:
        """See ``RunInbox.closed``."""
        self.is_closed = True
        if receipt is not None:
            self._keep(receipt)

    def left(self) -> tuple[str, ...]:
        """What was to join and did not."""
        return self._asked
