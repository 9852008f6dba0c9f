"""A member's background jobs, as its inbox knows them: when one ends, a member at rest is woken."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

from meerkat_mob.errors import MeerkatError
from meerkat_mob.runtime import RuntimeSessionAdapter
from meerkat_mob.runtime.operations import OperationRegistry, OperationSpec

SHOWN = 80
"""Characters of a command by which its member knows it."""


class MemberJobs:
    """The board of one member's shell (see ``JobBoard``)."""

    def __init__(self, runtime: RuntimeSessionAdapter, session_id: str) -> None:
        self._runtime, self._session_id = runtime, session_id

    @property
    def _registry(self) -> OperationRegistry:
        return self._runtime.prepare_bindings(self._session_id).operations

    async def began(self, job_id: str, name: str) -> None:
        """Registers it. Raises ``TooManyOperations`` and others, and then it must not begin."""
        spec = OperationSpec(
            id=job_id,
            kind="background_tool_op",
            owner_session_id=self._session_id,
            display_name=name if len(name) <= SHOWN else f"{name[:SHOWN]}…",
            source_label="shell",
        )
        registry = self._registry
        await registry.register_operation(spec)
        try:
            await registry.provisioning_succeeded(job_id)
        except BaseException:
            with suppress(MeerkatError):
                await registry.abort_provisioning(job_id, "it was stopped before it began")
            raise

    async def ended(
        self,
        job_id: str,
        status: Literal["running", "completed", "failed", "timed_out", "cancelled"],
        detail: str,
    ) -> None:
        """Says so. A session that ended first has said it of all its jobs.

        An end that cannot be kept is not told; ``shell_job_status`` knows it all the same.
        """
        with suppress(MeerkatError):
            if status == "completed":
                await self._registry.complete(job_id, detail)
            elif status == "cancelled":
                await self._registry.cancel(job_id, detail)
            else:
                await self._registry.fail(job_id, detail)
