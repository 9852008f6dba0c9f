"""Who answers in a page without a server: the team's own script, and the plain rule beyond it.

A visitor may say what no script foresaw. Then the plain rule answers, and its texts say so
themselves: they begin with ``[scripted]``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from meerkat_mob.errors import ScriptError
from meerkat_mob.llm import LlmClient, PerformanceLlm, PlainLlm, parse_performance
from meerkat_mob.llm.client import LlmDone, LlmEvent, LlmRequest
from meerkat_mob.mob.definition import Pack
from meerkat_mob.surfaces.playing import Paced


class OfflineLlm:
    """A performance, and the plain rule for members to whom it gives no line."""

    def __init__(self, performance: PerformanceLlm) -> None:
        self.provider: Final = performance.provider
        self._performance, self._plain = performance, PlainLlm()

    async def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        """See ``LlmClient``."""
        async with aclosing(self._performance.stream(request)) as events:
            async for event in events:
                if isinstance(event, LlmDone) and isinstance(event.error, ScriptError):
                    break
                yield event
            else:
                return
        async with aclosing(self._plain.stream(request)) as events:
            async for event in events:
                yield event

    async def aclose(self) -> None:
        """See ``LlmClient``."""


def offline_client(pack: Pack, *, pace_ms: int) -> LlmClient:
    """The client of a team that plays offline, no faster than ``pace_ms`` between two words."""
    client: LlmClient = PlainLlm()
    if pack.performance is not None:
        script = parse_performance(pack.performance)
        client = OfflineLlm(PerformanceLlm(script, pace_ms=0))
    return Paced(client, pace_ms) if pace_ms else client
