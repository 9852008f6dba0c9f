"""The manifest of a pack: its name, what it requires, whom it changes (spec surfaces 2.2).

Unknown keys are warnings. What a manifest must not say (trust in itself, a capability nobody
knows) is an error, so that nothing is downgraded in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from meerkat_mob.core import strict
from meerkat_mob.core.jsonvalue import JsonObject
from meerkat_mob.core.strict import Fault, is_table
from meerkat_mob.mob.definition.diagnostics import (
    Diagnostic,
    error,
    from_fault,
    inside_file,
    warning,
)
from meerkat_mob.mob.definition.model import MobDefinition, NonEmpty, PathSkill

MANIFEST: Final = "manifest.toml"

Surface: TypeAlias = Literal["cli", "rpc", "rest", "mcp", "web"]

CAPABILITIES: Final = (
    "core",
    "sessions",
    "streaming",
    "structured_output",
    "hooks",
    "builtins",
    "shell",
    "comms",
    "memory_store",
    "schedule",
    "work_graph",
    "session_store",
    "session_compaction",
    "skills",
    "mcp",
    "mcp_live",
    "mcp_stdio",
    "process_spawn",
    "rpc",
    "adaptive_flow",
)
"""Every word that ``requires.capabilities`` may hold."""


class PackInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the pack is called."""

    name: NonEmpty
    version: NonEmpty
    description: str | None = None


class Requires(msgspec.Struct, frozen=True, kw_only=True):
    """What must be there, or the pack does not run at all."""

    capabilities: tuple[str, ...] = ()


class PackProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What a pack changes in a profile: a model (or its alias), and skill files to add."""

    model: NonEmpty | None = None
    skills: tuple[str, ...] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """``manifest.toml``. ``adaptive`` is kept as it is: such packs are not run."""

    mobpack: PackInfo
    requires: Requires = Requires()
    models: Mapping[str, NonEmpty] = {}
    profiles: Mapping[str, PackProfile] = {}
    surfaces: tuple[Surface, ...] = ()
    adaptive: JsonObject | None = None


def decode_manifest(document: object) -> tuple[Manifest | None, list[Diagnostic]]:
    """A manifest from its tables, and every finding; None when it cannot be read at all."""
    special: list[Diagnostic] = []
    if is_table(document):
        special += _check_trust(document)
        special += _check_surfaces(document)
        document = _without_special(document)
    manifest, faults = strict.decode(Manifest, document)
    found = [*special, *map(_from_fault, faults)]
    if manifest is not None:
        found += _check_capabilities(manifest)
    return manifest, inside_file(MANIFEST, found)


def with_manifest(
    definition: MobDefinition, manifest: Manifest
) -> tuple[MobDefinition, list[Diagnostic]]:
    """The definition with the models and skill files that its manifest gives to profiles."""
    found: list[Diagnostic] = []
    profiles, skills = dict(definition.profiles), dict(definition.skills)
    for name, change in manifest.profiles.items():
        profile = profiles.get(name)
        if profile is None:
            message = f"the definition has no profile {name!r}"
            found.append(error("unknown_manifest_profile", f"profiles.{name}", message))
            continue
        model = manifest.models.get(change.model or "", change.model or profile.model)
        has = {s.path for n in profile.skills if isinstance(s := skills.get(n), PathSkill)}
        added = [path for path in dict.fromkeys(change.skills) if path not in has]
        skills.update({path: PathSkill(path=path) for path in added})
        profiles[name] = replace(profile, model=model, skills=(*profile.skills, *added))
    changed = replace(definition, profiles=profiles, skills=skills)
    return changed, inside_file(MANIFEST, found)


def _from_fault(fault: Fault) -> Diagnostic:
    if fault.kind == "unknown_field":
        return warning("unknown_manifest_field", fault.path, fault.message)
    return from_fault(fault)


def _check_trust(document: Mapping[object, object]) -> Iterator[Diagnostic]:
    if "trust" in document:
        message = "a pack cannot declare itself trusted: take [trust] out"
        yield error("trust_section_forbidden", "trust", message)


def _check_surfaces(document: Mapping[object, object]) -> Iterator[Diagnostic]:
    for name, table in document.items():
        if is_table(table) and "surfaces" in table:
            message = f"it belongs to [{name}] where it stands: write it above the first table"
            yield warning("misplaced_surfaces", f"{name}.surfaces", message)


def _without_special(document: Mapping[object, object]) -> dict[object, object]:
    """The document without what has its own finding."""
    return {
        name: {k: v for k, v in table.items() if k != "surfaces"} if is_table(table) else table
        for name, table in document.items()
        if name != "trust"
    }


def _check_capabilities(manifest: Manifest) -> Iterator[Diagnostic]:
    for i, word in enumerate(manifest.requires.capabilities):
        if word not in CAPABILITIES:
            near = strict.nearest(word, CAPABILITIES)
            hint = f"did you mean {near!r}? " if near else ""
            message = (
                f"nobody knows the capability {word!r}; {hint}known: {', '.join(CAPABILITIES)}"
            )
            yield error("unknown_capability", f"requires.capabilities[{i}]", message)
