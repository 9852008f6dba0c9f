"""Between documents and structs: every form 0.5 and 0.8 write, and one form we write.

Decoding reports all faults at once, at the places where the author wrote them, and changes
nothing in silence. ``decode(encode(x)) == x``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from meerkat_mob.core import strict
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.strict import Fault, is_table
from meerkat_mob.errors import DefinitionInvalid
from meerkat_mob.mob.definition.diagnostics import Diagnostic, errors_of, from_fault
from meerkat_mob.mob.definition.dialect import DIALECTS, Compat, Syntax
from meerkat_mob.mob.definition.model import InlineSkill, MobDefinition, RealmRef
from meerkat_mob.mob.definition.syntax import guess_syntax, read_tables, read_text

_MOB_KEYS: Final = ("id", "orchestrator")
_SECTIONS: Final = frozenset(MobDefinition.__struct_fields__) - {"id", "realm_profiles"}


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """What a document says and what is wrong with it.

    The definition is None when too much is wrong to build one. It can exist beside errors: an
    unknown key was left out, and still has to be corrected.
    """

    definition: MobDefinition | None
    diagnostics: tuple[Diagnostic, ...] = ()


def parse_definition(
    source: str | bytes | Mapping[str, object],
    *,
    syntax: Syntax | None = None,
    compat: Compat = "0.8",
) -> MobDefinition:
    """A definition from text, bytes or tables in memory. Skill files are not looked for.

    Raises ``DefinitionInvalid`` with every fault. The rules of ``validate`` are not applied: a
    definition that breaks them can be looked at, and no mob is created from it.
    """
    decoded = decode_source(source, syntax=syntax, compat=compat)
    if decoded.definition is None or errors_of(decoded.diagnostics):
        raise DefinitionInvalid(diagnostics=decoded.diagnostics)
    return decoded.definition


def restore_definition(stored: bytes) -> MobDefinition:
    """A definition that was kept, by this version or another: unknown keys are left out.

    Raises ``DefinitionInvalid`` when what is left is no definition.
    """
    decoded = decode_source(stored, syntax="json")
    if decoded.definition is None:
        raise DefinitionInvalid(diagnostics=decoded.diagnostics)
    return decoded.definition


def decode_source(
    source: str | bytes | Mapping[str, object],
    *,
    syntax: Syntax | None = None,
    compat: Compat = "0.8",
) -> Decoded:
    """The same without raising; ``syntax`` None looks at the first character."""
    text = read_text(source) if isinstance(source, bytes) else source
    if isinstance(text, Diagnostic):
        return Decoded(definition=None, diagnostics=(text,))
    if not isinstance(text, str):
        return decode_definition(text, syntax=syntax or "json", compat=compat)
    syntax = syntax or guess_syntax(text)
    tables = read_tables(text, syntax)
    if isinstance(tables, Diagnostic):
        return Decoded(definition=None, diagnostics=(tables,))
    return decode_definition(tables, syntax=syntax, compat=compat)


def decode_definition(
    document: object, *, syntax: Syntax = "json", compat: Compat = "0.8"
) -> Decoded:
    """A definition from the tables of a document."""
    reading = _Reading(syntax)
    flat = reading.flattened(document)
    if compat == "0.5":
        flat = _with_json_output(flat)
    realm_profiles, flat = reading.split_profiles(flat)
    definition, faults = strict.decode(MobDefinition, flat, dialect=DIALECTS[syntax])
    if definition is not None:
        definition = replace(definition, realm_profiles=realm_profiles)
    everything = [*reading.faults, *map(reading.as_written, faults)]
    if any(f.kind in strict.BLOCKING for f in everything):
        definition = None
    return Decoded(definition=definition, diagnostics=tuple(map(from_fault, everything)))


def encode_definition(definition: MobDefinition) -> bytes:
    """The document of a definition as compact JSON, in the form that 0.5 and 0.8 read too.

    Only what they do not know (skills that are folders) is beyond them.
    """
    plain = replace(
        definition,
        realm_profiles={},
        skills={
            name: skill if isinstance(skill, InlineSkill) else replace(skill, tried=UNSET)
            for name, skill in definition.skills.items()
        },
    )
    document: dict[str, object] = msgspec.to_builtins(plain)
    del document["realm_profiles"]
    document["profiles"] = definition.bindings
    if definition.owner_session_id is None:
        del document["owner_session_id"]
    if definition.session_cleanup_policy == "manual":
        del document["session_cleanup_policy"]
    return msgspec.json.encode(document)


def definition_json(definition: MobDefinition) -> dict[str, Json]:
    """The same as tables."""
    return msgspec.json.decode(encode_definition(definition), type=dict[str, Json])


class _Reading:
    """The forms of a document that no table can say: [mob], realm references, host_mode."""

    def __init__(self, syntax: Syntax) -> None:
        self.faults: list[Fault] = []
        self._in_mob = syntax == "toml"

    def fault(self, kind: strict.FaultKind, path: str, message: str) -> None:
        self.faults.append(Fault(kind=kind, path=path, message=message))

    def as_written(self, fault: Fault) -> Fault:
        """The fault at the place where a TOML author writes these keys."""
        if self._in_mob and fault.path.partition(".")[0] in _MOB_KEYS:
            return replace(fault, path=f"mob.{fault.path}")
        return fault

    def flattened(self, document: object) -> object:
        """The keys of [mob] beside the other sections."""
        if not is_table(document):
            return document
        mob = document.get("mob")
        flat = {k: v for k, v in document.items() if k != "mob"}
        if mob is None:
            return flat
        if not is_table(mob):
            self.fault("invalid_value", "mob", f"expected a table, found {strict.found(mob)}")
            return flat
        self._in_mob = True
        for key, item in mob.items():
            place = strict.join("mob", str(key))
            if key not in _MOB_KEYS:
                self.fault("unknown_field", place, _misplaced(str(key)))
            elif key in flat:
                self.fault("invalid_value", place, f"{key!r} is said twice: keep it in [mob]")
            else:
                flat[key] = item
        return flat

    def split_profiles(self, document: object) -> tuple[dict[str, RealmRef], object]:
        """The profiles that are references apart from those that are written out."""
        profiles = document.get("profiles") if is_table(document) else None
        if not is_table(document) or not is_table(profiles):
            return {}, document
        references: dict[str, RealmRef] = {}
        inline: dict[object, object] = {}
        for name, body in profiles.items():
            place = f"profiles.{name}"
            if not is_table(body):
                inline[name] = body
            elif body.get("realm_profile") is None:
                inline[name] = self.without_host_mode(body, place)
            else:
                reference, faults = strict.decode(RealmRef, body, path=place)
                self.faults += faults
                if reference is not None:
                    references[str(name)] = reference
        return references, {**document, "profiles": inline}

    def without_host_mode(
        self, profile: Mapping[object, object], place: str
    ) -> Mapping[object, object]:
        """``host_mode`` of the time before 0.5, in the words of today."""
        mode = profile.get("host_mode")
        rest = {k: v for k, v in profile.items() if k not in ("host_mode", "realm_profile")}
        if mode is None:
            return rest
        path = strict.join(place, "host_mode")
        if not isinstance(mode, bool):
            wanted = f"expected true or false, found {strict.found(mode)}"
            self.fault("invalid_value", path, wanted)
            return rest
        if rest.get("runtime_mode") is not None:
            self.fault("invalid_value", path, "runtime_mode says it too: keep runtime_mode")
            return rest
        return {**rest, "runtime_mode": "autonomous_host" if mode else "turn_driven"}


def _misplaced(key: str) -> str:
    """What to do about a key that [mob] does not have."""
    if key in _SECTIONS or key == "mcp":
        return f"{key!r} is no key of [mob]: write it before the first table, or as its own table"
    near = strict.nearest(key, _MOB_KEYS)
    return f"unknown key {key!r}; " + (
        f"did you mean {near!r}?" if near else f"known here: {', '.join(_MOB_KEYS)}"
    )


def _with_json_output(document: object) -> object:
    """The rule of 0.5: a step answers in JSON unless it says otherwise."""
    flows = document.get("flows") if is_table(document) else None
    if not is_table(document) or not is_table(flows):
        return document
    return {**document, "flows": {name: _json_flow(flow) for name, flow in flows.items()}}


def _json_flow(flow: object) -> object:
    steps = flow.get("steps") if is_table(flow) else None
    if not is_table(flow) or not is_table(steps):
        return flow
    return {**flow, "steps": {step_id: _json_step(step) for step_id, step in steps.items()}}


def _json_step(step: object) -> object:
    if not is_table(step) or step.get("output_format") is not None:
        return step
    return {**step, "output_format": "json"}
