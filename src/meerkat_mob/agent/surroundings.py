"""What a run shows its model beside the messages: tools, notes, images. Asked for at boundaries.

None of it enters the transcript. A session without filters, notes and images pays nothing for them.
"""

from __future__ import annotations

from collections.abc import Mapping

from meerkat_mob.agent.tools import ToolSet
from meerkat_mob.core.blobs import NO_BLOBS, Blob
from meerkat_mob.core.events import Emit
from meerkat_mob.core.messages import SystemNotice
from meerkat_mob.core.run_context import RunContext
from meerkat_mob.core.system_context import render_prompt
from meerkat_mob.core.transcript import Transcript


class Surroundings:
    """Those of one run; ``refresh`` them before each turn."""

    __slots__ = (
        "_all",
        "_announced",
        "_context",
        "_emit",
        "_fetched",
        "_told",
        "_transcript",
        "blobs",
        "notes",
        "notice",
        "tools",
    )

    def __init__(
        self, context: RunContext, transcript: Transcript, tools: ToolSet, emit: Emit
    ) -> None:
        self._context, self._transcript, self._all = context, transcript, tools
        self._emit, self._announced = emit, set[str]()
        self._fetched: dict[str, Blob] = {}
        self._told = False
        self.tools = tools
        """What the model sees, and all that it can call in this turn (INV-8)."""
        self.notes = ""
        """The system context that waited for this run, for each of its calls (SES-23a)."""
        self.notice: SystemNotice | None = None
        """The background jobs that the model has not been told of, behind the messages (W18)."""
        self.blobs: Mapping[str, Blob] = NO_BLOBS
        """The images that the messages name, those that are there (BLB-4)."""

    async def refresh(self) -> None:
        """Asks again. The notes are taken once, when nothing can stop the first call any more.

        Raises ``StoreError`` when images cannot be read; then no note is taken.
        """
        self.tools = self._all.permitted(self._context.tool_filters())
        if self._transcript.blob_ids:
            self.blobs = await self._images()
        if not self._told:
            self._told = True
            if waiting := self._context.take_system_context():
                self.notes = render_prompt("", waiting)

        self._listen()

    def _listen(self) -> None:
        """Each job is announced once, and in the notice until the run has ended."""
        news = self._context.news()
        if news is None:
            return
        self.notice = news.notice
        for job in news.jobs:
            if job.job_id not in self._announced:
                self._announced.add(job.job_id)
                self._emit(job)

    async def _images(self) -> Mapping[str, Blob]:
        """An image is fetched once in a run, whatever the number of its calls."""
        wanted, held = dict.fromkeys(self._transcript.blob_ids), self._transcript.blobs
        absent = [name for name in wanted if name not in held and name not in self._fetched]
        if absent:
            self._fetched.update(await self._context.blobs(absent))
        found = ((name, held.get(name) or self._fetched.get(name)) for name in wanted)
        return {name: blob for name, blob in found if blob is not None}
