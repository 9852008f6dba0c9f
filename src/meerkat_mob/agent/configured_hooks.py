"""Hooks from what is configured. Nothing is started here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from msgspec import UNSET

from meerkat_mob.agent.command_hook import command_hook
from meerkat_mob.agent.hooks import in_order
from meerkat_mob.agent.http_hook import http_hook
from meerkat_mob.core.hook_config import Command, HookEntry, HooksConfig, Http, InProcess
from meerkat_mob.core.hooks import Hook, HookAnswer, HookCall, HookOptions
from meerkat_mob.core.strict import nearest
from meerkat_mob.errors import InvalidParams

HookFunction: TypeAlias = Callable[[HookCall], Awaitable[HookAnswer]]
NO_FUNCTIONS: Final[Mapping[str, HookFunction]] = MappingProxyType({})


def hooks_of(
    config: HooksConfig, in_process: Mapping[str, HookFunction] = NO_FUNCTIONS
) -> tuple[Hook, ...]:
    """The enabled hooks of a configuration, for ``SessionBuildOptions.hooks`` (HK-6).

    Raises ``InvalidParams``, with the place, for a function that is not in ``in_process`` and for
    a hook that could never do what it says; ``CapabilityUnavailable`` for what is not here.
    """
    hooks = [_hook(entry, config, in_process) for entry in config.entries if entry.enabled]
    in_order(hooks)  # refuses now what would be refused when an agent is built
    return tuple(hooks)


def _hook(entry: HookEntry, config: HooksConfig, in_process: Mapping[str, HookFunction]) -> Hook:
    options = _options(entry, config)
    match entry.runtime:
        case InProcess(config=given):
            if given.name not in in_process:
                near = nearest(given.name, in_process)
                known = ", ".join(in_process) or "none"
                raise InvalidParams(
                    what=f"no function {given.name!r} is given",
                    path=f"hooks.{entry.id}.runtime.config.name",
                    hint=f"did you mean {near!r}?" if near else f"given are: {known}",
                )
            return Hook(id=entry.id, point=entry.point, run=in_process[given.name], **options)
        case Command(config=given):
            return command_hook(
                id=entry.id,
                point=entry.point,
                command=(given.command, *given.args),
                env=given.env,
                payload_max_bytes=config.payload_max_bytes,
                **options,
            )
        case Http(config=given):
            return http_hook(
                id=entry.id,
                point=entry.point,
                url=given.url,
                method=given.method,
                headers=given.headers,
                payload_max_bytes=config.payload_max_bytes,
                **options,
            )


def _options(entry: HookEntry, config: HooksConfig) -> HookOptions:
    timeout_ms = entry.timeout_ms
    return HookOptions(
        capability=entry.capability,
        mode=entry.mode,
        priority=entry.priority,
        failure_policy=entry.failure_policy,
        timeout_ms=config.default_timeout_ms if timeout_ms is UNSET else timeout_ms,
        background_limit=config.background_max_concurrency,
    )
