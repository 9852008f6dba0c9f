"""What a session must remember of itself to be resumed (spec sessions 1.3).

These are values under reserved keys of the session's metadata; ``core.reserved`` reads and writes
them. Absent optional fields are not encoded, ``comms_name`` always is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.provider_names import Provider, infer_provider

ToolCategory: TypeAlias = Literal["inherit", "enable", "disable"]
"""Whether a category of tools is on: said by whoever created the session, or inherited."""


class PeerMeta(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What peers are told of a member. Labels are kept sorted; an empty one encodes as ``{}``."""

    description: str | UnsetType = UNSET
    labels: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "labels", dict(sorted(self.labels.items())))


class SessionTooling(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which tool categories the session was created with."""

    builtins: ToolCategory = "inherit"
    shell: ToolCategory = "inherit"
    comms: ToolCategory = "inherit"
    mob: ToolCategory = "inherit"
    memory: ToolCategory = "inherit"
    active_skills: tuple[str, ...] | UnsetType = UNSET


class SessionLlmIdentity(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which model answers, and through whom."""

    model: str
    provider: Provider
    self_hosted_server_id: str | UnsetType = UNSET
    provider_params: Json | UnsetType = UNSET


class SessionMetadata(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The identity of a session; without it an agent cannot be rebuilt."""

    model: str
    max_tokens: int
    structured_output_retries: int = 2
    provider: Provider
    self_hosted_server_id: str | UnsetType = UNSET
    provider_params: Json | UnsetType = UNSET
    tooling: SessionTooling = SessionTooling()
    keep_alive: bool = False
    comms_name: str | None = None
    peer_meta: PeerMeta | UnsetType = UNSET
    realm_id: str | UnsetType = UNSET
    instance_id: str | UnsetType = UNSET
    backend: str | UnsetType = UNSET
    config_generation: int | UnsetType = UNSET


def by_name(model: str) -> SessionLlmIdentity:
    """The identity that a model's name tells."""
    return SessionLlmIdentity(model=model, provider=infer_provider(model))


def identity_of(metadata: SessionMetadata) -> SessionLlmIdentity:
    """The four fields that say which model answers."""
    return SessionLlmIdentity(
        model=metadata.model,
        provider=metadata.provider,
        self_hosted_server_id=metadata.self_hosted_server_id,
        provider_params=metadata.provider_params,
    )


def with_identity(metadata: SessionMetadata, identity: SessionLlmIdentity) -> SessionMetadata:
    """A hot swap: exactly the four fields of the identity change, also to absent."""
    return msgspec.structs.replace(
        metadata,
        model=identity.model,
        provider=identity.provider,
        self_hosted_server_id=identity.self_hosted_server_id,
        provider_params=identity.provider_params,
    )
