"""Loading: a team file, a pack folder, or files in memory become one checked definition.

One way for all three; only ``Files`` differs. All findings are collected first; those that keep
the document from being a definition are raised together.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from meerkat_mob.errors import DefinitionInvalid, DefinitionUnreadable
from meerkat_mob.mob.definition.assets import with_assets
from meerkat_mob.mob.definition.defaults import DEFAULTS, check_defaults
from meerkat_mob.mob.definition.diagnostics import (
    Diagnostic,
    error,
    errors_of,
    inside_file,
    warning,
    warnings_of,
)
from meerkat_mob.mob.definition.dialect import Compat, Syntax
from meerkat_mob.mob.definition.files import Files, Folder, InMemory
from meerkat_mob.mob.definition.manifest import (
    MANIFEST,
    Manifest,
    decode_manifest,
    with_manifest,
)
from meerkat_mob.mob.definition.model import MobDefinition
from meerkat_mob.mob.definition.syntax import read_tables, read_text
from meerkat_mob.mob.definition.validate import validate
from meerkat_mob.mob.definition.wire import decode_source

DEFINITIONS: Final = ("definition.json", "definition.toml")
PERFORMANCE: Final = "performance.toml"


class Pack(msgspec.Struct, frozen=True, kw_only=True):
    """A definition with all that was found beside it.

    ``diagnostics`` holds the warnings of loading and every finding of ``validate``: a definition
    with errors of the second kind can be looked at, and no mob is created from it. ``source`` is
    the place of the definition, ``folder`` where its files lie (None for files in memory),
    ``performance`` the text of the pack's offline script.
    """

    definition: MobDefinition
    source: str
    folder: str | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    manifest: Manifest | None = None
    performance: str | None = None


def load_definition(path: str | os.PathLike[str], *, compat: Compat = "0.8") -> MobDefinition:
    """The definition in a ``.toml`` or ``.json`` file, or in a pack folder.

    Raises ``DefinitionUnreadable`` naming the path tried, and ``DefinitionInvalid`` with every
    finding when the document cannot be read as a definition.
    """
    return load_pack(path, compat=compat).definition


def load_pack(path: str | os.PathLike[str], *, compat: Compat = "0.8") -> Pack:
    """The same, with everything found beside the definition. Raises as ``load_definition``."""
    place = Path(path)
    if place.name in {*DEFINITIONS, MANIFEST} and (place.parent / MANIFEST).is_file():
        place = place.parent
    if place.is_dir():
        return _load_pack(Folder(root=place, confined=True), compat, str(place))
    if place.suffix not in {".toml", ".json"}:
        why = "a team file ends in .toml or .json" if place.exists() else "there is no such file"
        raise DefinitionUnreadable(path=str(place), why=why)
    beside = Folder(root=place.parent, confined=False)
    return _load(beside, place.name, compat, str(place.parent), is_pack=False)


def read_pack_files(files: Mapping[str, bytes], *, compat: Compat = "0.8") -> Pack:
    """A pack from files in memory, by their paths inside it. Raises as ``load_definition``."""
    return _load_pack(InMemory(files=files), compat, None)


def read_team_file(name: str, content: bytes, *, compat: Compat = "0.8") -> Pack:
    """A team file in memory, without anything beside it. Raises as ``load_definition``."""
    if not name.endswith((".toml", ".json")):
        raise DefinitionUnreadable(path=name, why="a team file ends in .toml or .json")
    return _load(InMemory(files={name: content}), name, compat, None, is_pack=False)


def _load_pack(files: Files, compat: Compat, folder: str | None) -> Pack:
    for name in DEFINITIONS:
        if _read(files, name) is not None:
            return _load(files, name, compat, folder, is_pack=True)
    why = f"it has neither {' nor '.join(DEFINITIONS)}"
    raise DefinitionUnreadable(path=folder or "the pack", why=why)


def _load(files: Files, name: str, compat: Compat, folder: str | None, *, is_pack: bool) -> Pack:
    """The one way. Findings in the order: definition, manifest and defaults, files, rules."""
    source = files.shown(name)
    text = _definition_text(files, name)
    syntax: Syntax = "json" if name.endswith(".json") else "toml"
    decoded = decode_source(text, syntax=syntax, compat=compat)
    definition, found = decoded.definition, [*decoded.diagnostics]
    manifest: Manifest | None = None
    performance: str | None = None
    if is_pack:
        manifest, more = _read_manifest(files)
        found += [*more, *_check_defaults(files)]
        performance, more = _optional_text(files, PERFORMANCE)
        found += more
    if definition is not None and is_pack:
        found += _check_portable(definition, files)
    if definition is not None and manifest is not None:
        definition, more = with_manifest(definition, manifest)
        found += more
    if definition is not None:
        definition, more = with_assets(definition, files)
        found += more
    broken = errors_of(found)
    found += validate(definition) if definition is not None else ()
    if definition is None or broken:
        raise DefinitionInvalid(diagnostics=(*errors_of(found), *warnings_of(found)), source=source)
    return Pack(
        definition=definition,
        source=source,
        folder=folder,
        diagnostics=tuple(found),
        manifest=manifest,
        performance=performance,
    )


def _definition_text(files: Files, name: str) -> str:
    """The text of the definition. Raises ``DefinitionUnreadable``."""
    source = files.shown(name)
    barred = files.barred(name)
    if barred is not None:
        raise DefinitionUnreadable(path=source, why=barred)
    try:
        text = read_text(files.read(name))
    except OSError as fault:
        raise DefinitionUnreadable(path=source, why=fault.strerror or str(fault)) from fault
    if isinstance(text, Diagnostic):
        raise DefinitionUnreadable(path=source, why=text.message)
    return text


def _read(files: Files, path: str) -> bytes | None:
    """The bytes of a file that need not be there."""
    try:
        return None if files.barred(path) is not None else files.read(path)
    except OSError:
        return None


def _optional_text(files: Files, path: str) -> tuple[str | None, list[Diagnostic]]:
    raw = _read(files, path)
    text = read_text(raw) if raw is not None else None
    if isinstance(text, Diagnostic):
        return None, inside_file(path, [text])
    return text, []


def _optional_tables(files: Files, path: str) -> tuple[object, list[Diagnostic]]:
    text, found = _optional_text(files, path)
    tables = read_tables(text, "toml") if text is not None else None
    if isinstance(tables, Diagnostic):
        return None, inside_file(path, [tables])
    return tables, found


def _read_manifest(files: Files) -> tuple[Manifest | None, list[Diagnostic]]:
    tables, found = _optional_tables(files, MANIFEST)
    if tables is not None:
        return decode_manifest(tables)
    if not found:
        message = "the folder has no manifest: name and version of the pack are unknown"
        found.append(warning("missing_manifest", MANIFEST, message))
    return None, found


def _check_defaults(files: Files) -> list[Diagnostic]:
    tables, found = _optional_tables(files, DEFAULTS)
    return [*found, *inside_file(DEFAULTS, check_defaults(tables))]


def _check_portable(definition: MobDefinition, files: Files) -> Iterator[Diagnostic]:
    """What a pack cannot have, and what it has without effect."""
    for name in definition.realm_profiles:
        message = "a pack brings its profiles along: write the profile out"
        yield error("realm_profile_in_pack", f"profiles.{name}.realm_profile", message)
    for flow_id in definition.flows:
        schema = f"schemas/{flow_id}-input.json"
        if _read(files, schema) is not None:
            message = f"the parameters of the flow {flow_id!r} are not checked against it"
            yield warning("unsupported_field", schema, message)
