"""What a run shows its model beside the messages: tools, notes, images. Asked for at boundaries.

None of it enters the transcript. A session without filters, notes and images pays nothing for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from meerkat_mob.agent.scope import Catalogue
from meerkat_mob.agent.tools import ToolSet
from meerkat_mob.core.blobs import NO_BLOBS, Blob
from meerkat_mob.core.events import Emit, ToolConfigChanged
from meerkat_mob.core.messages import SystemNotice
from meerkat_mob.core.output_schema import OutputSchema
from meerkat_mob.core.run_context import RunContext
from meerkat_mob.core.system_context import render_prompt
from meerkat_mob.core.transcript import Transcript

NO_TOOLS: Final = ToolSet()


class Surroundings:
    """Those of one run; ``refresh`` them before each turn."""

    __slots__ = (
        "_announced",
        "_catalogue",
        "_context",
        "_emit",
        "_fetched",
        "_jobs",
        "_scope",
        "_told",
        "_transcript",
        "blobs",
        "notes",
        "output",
    )

    def __init__(
        self,
        context: RunContext,
        transcript: Transcript,
        catalogue: Catalogue,
        emit: Emit,
        *,
        skills: str = "",
    ) -> None:
        self._context, self._transcript, self._catalogue = context, transcript, catalogue
        self._emit, self._announced = emit, set[str]()
        self._fetched: dict[str, Blob] = {}
        self._told = False
        self._jobs: SystemNotice | None = None
        self._scope: SystemNotice | None = None
        self.output: OutputSchema | None = None
        """The form that this turn's answer is to have; then it has no tools."""
        self.notes = skills
        """The skills that this run was referred to, and the system context that waited for it; for
        each of its calls (SES-23a)."""
        self.blobs: Mapping[str, Blob] = NO_BLOBS
        """The images that the messages name, those that are there (BLB-4)."""

    @property
    def tools(self) -> ToolSet:
        """What the model sees, and all that it can call in this turn (INV-8)."""
        return self._catalogue.now.shown if self.output is None else NO_TOOLS

    @property
    def notices(self) -> tuple[SystemNotice, ...]:
        """What stands behind the messages: news of its jobs (W18), and of its tools."""
        pending = self._catalogue.now.pending
        found = [notice for notice in (self._jobs, self._scope) if notice is not None]
        if pending:
            body = f"Still connecting: {', '.join(pending)}. Their tools may come later."
            found.append(SystemNotice(kind="mcp_pending", body=body))
        return tuple(found)

    async def refresh(self, turn: int) -> None:
        """Asks again. The notes are taken once, when nothing can stop the first call any more.

        Raises ``StoreError`` when images cannot be read; then no note is taken.
        """
        self._look_at_tools(turn)
        if self._transcript.blob_ids:
            self.blobs = await self._images()
        if not self._told:
            self._told = True
            if waiting := self._context.take_system_context():
                self.notes = render_prompt(self.notes, waiting)
        self._listen()

    def _look_at_tools(self, turn: int) -> None:
        """The notice of a change stays until the next one, or the end of the run."""
        answers = self._transcript.answer_count + self._context.compacted().answers
        news = self._catalogue.look(turn, is_first=not answers)
        if news is None:
            return
        for change in news.changes:
            self._emit(ToolConfigChanged(payload=change))
        if news.body:
            self._scope = SystemNotice(kind="tool_scope", body=news.body)

    def _listen(self) -> None:
        """Each job is announced once, and in the notice until the run has ended."""
        news = self._context.news()
        if news is None:
            return
        self._jobs = news.notice
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
