"""What a definition asks of its surroundings, and what of that is not there.

A flag of a profile that is not offered is announced, and the member runs without that tool. A
capability that a pack's manifest *requires* and is not offered refuses the pack before anything
starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from meerkat_mob.errors import CapabilityUnavailable
from meerkat_mob.mob.definition.diagnostics import Diagnostic, warning
from meerkat_mob.mob.definition.manifest import Manifest
from meerkat_mob.mob.definition.model import MobDefinition, Profile

FLAGS: Final[Mapping[str, str]] = {
    "builtins": "there are no built-in tools",
    "shell": "there is no shell tool",
    "comms": "members cannot write to each other",
    "memory": "what was said before cannot be searched",
    "mob": "members cannot manage the mob",
    "mob_tasks": "there is no task board",
    "schedule": "there is no scheduler",
}
"""The switches of ``ToolConfig``, and the reason when one is not offered."""

LISTS: Final[Mapping[str, str]] = {
    "mcp": "MCP servers are connected where it is allowed: open_realm(mcp=…), or run --mcp",
    "rust_bundles": "no tool bundle of that name is registered",
}
"""The lists of ``ToolConfig``. ``mcp`` offers all of its names, ``mcp.NAME`` a single one."""


def missing_flags(profile: Profile, available: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """What a profile asks for and ``available`` does not hold: flag and reason, in a fixed order.

    A flag is a switch of ``tools``, ``mcp.NAME`` for an entry of a list, or ``output_schema``.
    """
    return tuple((flag, reason) for _, flag, reason in _missing(profile, available))


def capability_warnings(
    definition: MobDefinition, available: frozenset[str]
) -> tuple[Diagnostic, ...]:
    """The same for all profiles written out in a definition, as findings."""
    return tuple(
        warning(
            "capability_missing",
            f"profiles.{name}.{place}",
            f"members of {name!r} run without {flag!r}: {reason}",
        )
        for name, profile in definition.profiles.items()
        for place, flag, reason in _missing(profile, available)
    )


def require_capabilities(manifest: Manifest, available: frozenset[str]) -> None:
    """Refuses a pack that requires what is not there, naming all of it.

    ``available`` holds words of ``CAPABILITIES``. Raises ``CapabilityUnavailable``.
    """
    required = [*manifest.requires.capabilities]
    if manifest.adaptive is not None:
        required.append("adaptive_flow")
    missing = [word for word in dict.fromkeys(required) if word not in available]
    if missing:
        raise CapabilityUnavailable(
            capability=", ".join(missing),
            why=f"the pack {manifest.mobpack.name!r} requires it and it is not offered here",
            instead="run the pack where it is offered, or take it out of requires.capabilities "
            "and let members run without it",
        )


def _missing(profile: Profile, available: frozenset[str]) -> Iterator[tuple[str, str, str]]:
    """Place inside the profile, flag and reason."""
    tools = profile.tools
    for flag, reason in FLAGS.items():
        if getattr(tools, flag) and flag not in available:
            yield f"tools.{flag}", flag, reason
    for key, names in (("mcp", tools.mcp), ("rust_bundles", tools.rust_bundles)):
        for i, name in enumerate(names):
            if available.isdisjoint({key, f"{key}.{name}"}):
                yield f"tools.{key}[{i}]", f"{key}.{name}", LISTS[key]
    if profile.output_schema is not None and "output_schema" not in available:
        yield "output_schema", "output_schema", "answers are not made to fit a schema"
