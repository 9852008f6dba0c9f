"""Hooks as data: what a file or a request says of them, and how layers of it make one (HK-6).

Where the files are is the matter of who reads them. ``agent.hooks_of`` makes the hooks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.hooks import (
    BACKGROUND_LIMIT,
    PAYLOAD_MAX_BYTES,
    TIMEOUT_MS,
    Capability,
    FailurePolicy,
    HookMode,
    HookPoint,
)
from meerkat_mob.core.strict import insist, nearest
from meerkat_mob.errors import InvalidParams

Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class InProcessConfig(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The name under which the program gives the function."""

    name: Name


class InProcess(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="in_process"):
    """A coroutine function of this program."""

    config: InProcessConfig


class CommandConfig(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A program and its arguments; no shell reads them. ``env`` is added to its environment."""

    command: Name
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = {}


class Command(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="command"):
    """A program that is started for each call. On the host only."""

    config: CommandConfig


class HttpConfig(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A server; ``headers`` are added to each request."""

    url: Name
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    headers: Mapping[str, str] = {}


class Http(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="http"):
    """A server that is sent each call. On the host only."""

    config: HttpConfig


HookRuntime: TypeAlias = InProcess | Command | Http


class HookEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One hook; what is not said is as in ``Hook``, or as its layers say."""

    id: Name
    point: HookPoint
    runtime: HookRuntime
    enabled: bool = True
    mode: HookMode = "foreground"
    capability: Capability = "observe"
    priority: int = 100
    failure_policy: FailurePolicy | UnsetType = UNSET
    timeout_ms: Count | UnsetType = UNSET


class HooksLayer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one place says: the user's file, or the project's."""

    default_timeout_ms: Count | UnsetType = UNSET
    payload_max_bytes: Count | UnsetType = UNSET
    background_max_concurrency: Count | UnsetType = UNSET
    entries: tuple[HookEntry, ...] = ()


class HookOverrides(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a request says for its runs: hooks that go, by their ids, and hooks that come behind."""

    entries: tuple[HookEntry, ...] = ()
    disable: tuple[Name, ...] = ()


class HooksConfig(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What holds."""

    default_timeout_ms: int = TIMEOUT_MS
    payload_max_bytes: int = PAYLOAD_MAX_BYTES
    background_max_concurrency: int = BACKGROUND_LIMIT
    entries: tuple[HookEntry, ...] = ()


NO_OVERRIDES: Final = HookOverrides()


def read_hooks(data: object, *, path: str = "hooks") -> HooksLayer:
    """One layer from JSON or TOML. Raises ``InvalidParams`` with every fault and its place."""
    return insist(HooksLayer, data, path=path)


def read_hook_overrides(data: object, *, path: str = "hooks_override") -> HookOverrides:
    """Overrides from JSON. Raises ``InvalidParams`` with every fault and its place."""
    return insist(HookOverrides, data, path=path)


def layered(*layers: HooksLayer, overrides: HookOverrides = NO_OVERRIDES) -> HooksConfig:
    """One configuration from layers, the most general first (HK-6).

    What a later layer says holds; its entry takes the place of an earlier one with its id. Then
    the overrides' disabled hooks go, and their entries come behind the others.

    Raises ``InvalidParams`` for an id that is twice in a layer, that is disabled and not there,
    or that comes and is there already.
    """
    config, entries = HooksConfig(), dict[str, HookEntry]()
    for layer in layers:
        entries |= _by_id(layer.entries, "hooks.entries")
        config = msgspec.structs.replace(config, **_said(layer))
    for name in overrides.disable:
        if entries.pop(name, None) is None:
            near = nearest(name, entries)
            raise InvalidParams(
                what=f"no hook has the id {name!r}",
                path="hooks_override.disable",
                hint=f"did you mean {near!r}?" if near else f"there are: {', '.join(entries)}",
            )
    for name, entry in _by_id(overrides.entries, "hooks_override.entries").items():
        if name in entries:
            raise InvalidParams(
                what=f"a hook has the id {name!r} already",
                path="hooks_override.entries",
                hint="rename this one, or disable the other",
            )
        entries[name] = entry
    return msgspec.structs.replace(config, entries=tuple(entries.values()))


def _by_id(entries: Iterable[HookEntry], path: str) -> dict[str, HookEntry]:
    found: dict[str, HookEntry] = {}
    for entry in entries:
        if entry.id in found:
            raise InvalidParams(
                what=f"two hooks have the id {entry.id!r}", path=path, hint="rename one of them"
            )
        found[entry.id] = entry
    return found


def _said(layer: HooksLayer) -> dict[str, int]:
    """The layer's numbers, those that it says."""
    said = {
        "default_timeout_ms": layer.default_timeout_ms,
        "payload_max_bytes": layer.payload_max_bytes,
        "background_max_concurrency": layer.background_max_concurrency,
    }
    return {name: value for name, value in said.items() if value is not UNSET}
