"""What every surface that plays a team needs: what is offered here, which model, at what pace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from meerkat_mob.errors import CapabilityUnavailable, DefinitionInvalid, InvalidParams
from meerkat_mob.llm import LlmClient
from meerkat_mob.llm.client import LlmEvent, LlmRequest, LlmTextDelta
from meerkat_mob.mob.definition import MobDefinition, Pack, errors_of, require_capabilities

PROVIDED: Final = frozenset({"core", "sessions", "streaming", "builtins", "comms", "skills"})
"""What a pack may require here, in the words of manifests."""

PAUSE_WORDS: Final = 12
"""Before it begins to speak, a scripted member takes the time of so many words."""


def ensure_playable(pack: Pack) -> None:
    """Refuses what no mob can be made from, before anything exists.

    Raises ``DefinitionInvalid`` with every finding, and ``CapabilityUnavailable``.
    """
    if errors_of(pack.diagnostics):
        raise DefinitionInvalid(diagnostics=pack.diagnostics, source=pack.source)
    if pack.manifest is not None:
        require_capabilities(pack.manifest, PROVIDED)
    if roles := ", ".join(map(repr, pack.definition.realm_profiles)):
        raise CapabilityUnavailable(
            capability=f"the realm's profiles for {roles}",
            why="a team that is played from a file has a realm without profiles",
            instead="write them out in the file, or play it from a program that keeps them",
        )


def with_model(definition: MobDefinition, model: str | None) -> MobDefinition:
    """The definition with one model in all its profiles; None leaves them as they are."""
    if model is None:
        return definition
    profiles = {
        name: replace(
            profile,
            model=model,
            provider=UNSET,
            self_hosted_server_id=UNSET,
            base_url=UNSET,
            fallbacks=UNSET,
        )
        for name, profile in definition.profiles.items()
    }
    return replace(definition, profiles=profiles)


def with_id(definition: MobDefinition, mob_id: str) -> MobDefinition:
    """The definition of a mob with another id. Raises ``InvalidParams`` for a blank one."""
    if not mob_id.strip() or "/" in mob_id:
        raise InvalidParams(
            what=f"{mob_id!r} cannot be a mob's id", path="--id", hint="use a name without slashes"
        )
    return replace(definition, id=mob_id)


class Paced:
    """A client that speaks no faster than somebody can read. ``pace_ms`` is between two words."""

    def __init__(self, client: LlmClient, pace_ms: int) -> None:
        self._client, self._pace_s = client, pace_ms / 1000

    @property
    def provider(self) -> str:
        """See ``LlmClient``."""
        return self._client.provider

    async def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        """See ``LlmClient``."""
        await asyncio.sleep(self._pace_s * PAUSE_WORDS)
        async with aclosing(self._client.stream(request)) as events:
            async for event in events:
                yield event
                if isinstance(event, LlmTextDelta):
                    await asyncio.sleep(self._pace_s)

    async def aclose(self) -> None:
        """See ``LlmClient``."""
        await self._client.aclose()
