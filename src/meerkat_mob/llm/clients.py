"""The clients of one program: which of them answers for a model, each opened once."""

from __future__ import annotations

from collections.abc import Mapping

from meerkat_mob.core.metadata import SessionLlmIdentity
from meerkat_mob.llm.adapted import adapted
from meerkat_mob.llm.catalogue import Catalogue, known
from meerkat_mob.llm.client import LlmClient
from meerkat_mob.llm.providers import ClientChoice, choose, open_client


class Clients:
    """Who answers for which model. Clients are opened when first asked for, and closed once.

    ``llm`` answers for every model; else what is given and ``env`` decide (``choose``), with what
    ``models`` knows of models and servers.
    """

    def __init__(
        self,
        *,
        llm: LlmClient | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        env: Mapping[str, str],
        models: Catalogue | None = None,
    ) -> None:
        self._llm, self._base_url, self._api_key, self._env = llm, base_url, api_key, env
        self.models = models or known()
        self._open: dict[ClientChoice, LlmClient] = {}

    def __call__(self, asked: SessionLlmIdentity) -> LlmClient:
        """The client for a model. Raises ``CapabilityUnavailable`` and as ``choice`` does."""
        if self._llm is not None:
            return self._llm
        choice = self.choice(asked)
        if choice not in self._open:
            self._open[choice] = open_client(choice)
        return adapted(self._open[choice], self.models.facts(asked.model))

    def choice(self, asked: SessionLlmIdentity) -> ClientChoice:
        """Who would be asked. Raises ``LlmFailed`` and ``InvalidParams`` as ``choose`` does."""
        return choose(
            asked.model,
            provider=asked.provider,
            server=asked.self_hosted_server_id or None,
            base_url=self._base_url,
            api_key=self._api_key,
            env=self._env,
            models=self.models,
        )

    async def aclose(self) -> None:
        """Closes what was opened here; a client that was given stays its owner's."""
        while self._open:
            await self._open.popitem()[1].aclose()
