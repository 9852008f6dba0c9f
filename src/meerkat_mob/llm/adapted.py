"""A client as one model of the catalogue is asked: what is known of the model is heeded."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from msgspec import UNSET
from msgspec.structs import replace

from meerkat_mob.llm.catalogue import ModelFacts
from meerkat_mob.llm.client import LlmClient, LlmEvent, LlmRequest


class Adapted:
    """Asks for a model by the name its server knows; without a form where it has none for it.

    It holds nothing: who opened the client closes it.
    """

    def __init__(self, client: LlmClient, facts: ModelFacts) -> None:
        self._client, self._facts = client, facts

    @property
    def provider(self) -> str:
        """See ``LlmClient.provider``."""
        return self._client.provider

    def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        """See ``LlmClient.stream``."""
        facts = self._facts
        if facts.name is not UNSET:
            request = replace(request, model=facts.name)
        if facts.structured_output is False:  # the agent has said the form in words
            request = replace(request, output=None)
        return self._client.stream(request)

    async def aclose(self) -> None:
        """Nothing is open here."""


def adapted(client: LlmClient, facts: ModelFacts) -> LlmClient:
    """The client itself where there is nothing to heed."""
    heeds = facts.name is not UNSET or facts.structured_output is False
    return Adapted(client, facts) if heeds else client
