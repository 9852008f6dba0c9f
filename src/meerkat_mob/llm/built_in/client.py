"""The browser's own model as a client: no server, no key, and nothing leaves the device.

Each call says the whole conversation anew: the API can go on with one, but not from where another
answer began, as a fork or a shortened conversation does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, TypeAlias

from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm.built_in.answering import Answering, Speaking
from meerkat_mob.llm.built_in.asking import Asked, asked
from meerkat_mob.llm.client import LlmDone, LlmEvent, LlmRequest, LlmUsage

Speak: TypeAlias = Callable[[Asked], AsyncGenerator[str | Usage, None]]
"""Asks the model: its words, and behind them what they took, where that is known."""


class BuiltInLlm:
    """The model of the browser around us, or of ``speak``."""

    def __init__(self, speak: Speak | None = None) -> None:
        self.provider: Final = "other"
        self._speak = speak or _in_browser

    async def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        """See ``LlmClient.stream``. ``max_tokens`` and ``temperature`` are the browser's affair."""
        answer = Answering(salt=str(len(request.messages))) if request.tools else Speaking()
        try:
            async with aclosing(self._speak(asked(request))) as said:
                async for piece in said:
                    if isinstance(piece, Usage):
                        yield LlmUsage(usage=piece)
                        continue
                    for event in answer.feed(piece):
                        yield event
        except LlmFailed as error:
            yield LlmDone(error=error)
            return
        for event in answer.finish():
            yield event

    async def aclose(self) -> None:
        """Nothing is held between two calls."""


async def _in_browser(question: Asked) -> AsyncGenerator[str | Usage, None]:
    from meerkat_mob.llm.built_in.browser import speak  # noqa: PLC0415 (only browsers have it)

    async with aclosing(speak(question)) as said:
        async for piece in said:
            yield piece
