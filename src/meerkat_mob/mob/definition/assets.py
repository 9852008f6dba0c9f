"""The files a definition names: skills and schemas, read once, so that nothing reads them later.

A file that is not there, or is no text, stays a name and gives a warning: who needs it is refused
later, before any model is asked. A path that leaves a pack is an error.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from msgspec.structs import replace

from meerkat_mob.core.skills import SKILL_FILE
from meerkat_mob.mob.definition.diagnostics import Diagnostic, error, warning
from meerkat_mob.mob.definition.files import Files
from meerkat_mob.mob.definition.flow import FlowSpec, FlowStepSpec
from meerkat_mob.mob.definition.model import (
    DirectorySkill,
    InlineSkill,
    MobDefinition,
    PathSkill,
    SkillSource,
)
from meerkat_mob.mob.definition.syntax import read_tables, read_text

_NEEDS_SKILL: Final = "members whose profile names it cannot be spawned"
_NEEDS_SCHEMA: Final = "the flow cannot be run"

MOST_FILES: Final = 200
MOST_CHARACTERS: Final = 2**20
"""How much a skill's folder may hold, ``SKILL.md`` and all: each document carries it along."""


def is_inline_schema(reference: str) -> bool:
    """Whether an ``expected_schema_ref`` is a JSON schema itself, and not the name of a file."""
    return isinstance(read_tables(reference, "json"), (dict, bool))


def with_assets(definition: MobDefinition, files: Files) -> tuple[MobDefinition, list[Diagnostic]]:
    """The definition with every skill and schema that could be read in place of its file's name."""
    reading = _Reading(files)
    skills = {name: reading.skill(name, skill) for name, skill in definition.skills.items()}
    flows = {flow_id: reading.flow(flow_id, flow) for flow_id, flow in definition.flows.items()}
    return replace(definition, skills=skills, flows=flows), reading.found


class _Unread(Exception):
    """Why a file gave no text."""


class _Reading:
    """Reads what is named; ``found`` collects what is wrong."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.found: list[Diagnostic] = []

    def text(self, path: str, files: Files | None = None) -> str:
        """The text of a file. Raises ``_Unread``."""
        files = files or self._files
        try:
            text = read_text(files.read(path))
        except (OSError, ValueError) as fault:  # ValueError: a null character in the path
            why = getattr(fault, "strerror", None) or str(fault)
            raise _Unread(f"{files.shown(path)}: {why}") from fault
        if isinstance(text, Diagnostic):
            raise _Unread(f"{files.shown(path)}: {text.message}")
        return text

    def barred(self, path: str, place: str, files: Files | None = None) -> bool:
        """Whether a path must not be read, said as a finding."""
        why = (files or self._files).barred(path)
        if why is not None:
            self.found.append(error("unsafe_path", place, why))
        return why is not None

    def skill(self, name: str, skill: SkillSource) -> SkillSource:
        """The skill with its text, or as it was with the place tried."""
        place = f"skills.{name}.path"
        if isinstance(skill, InlineSkill) or self.barred(skill.path, place):
            return skill
        try:
            if isinstance(skill, PathSkill):
                return InlineSkill(content=self.text(skill.path))
            return skill if skill.files else replace(skill, files=self.folder(name, skill, place))
        except _Unread as fault:
            folder = isinstance(skill, PathSkill) and self.is_folder(skill.path)
            hint = 'a folder is read with source = "directory"; ' if folder else ""
            message = f"cannot read the skill {name!r} from {fault}; {hint}{_NEEDS_SKILL}"
            self.found.append(warning("missing_skill_file", place, message))
            return replace(skill, tried=self._files.shown(skill.path))

    def is_folder(self, path: str) -> bool:
        """Whether a skill's folder lies there."""
        try:
            self.text(SKILL_FILE, self._files.inside(path))
        except _Unread:
            return False
        return True

    def folder(self, name: str, skill: DirectorySkill, place: str) -> dict[str, str]:
        """The texts of a skill's folder, ``SKILL.md`` first. Raises ``_Unread`` without that."""
        files = self._files.inside(skill.path)
        if self.barred(SKILL_FILE, place, files):
            return {}
        texts, unread = {SKILL_FILE: self.text(SKILL_FILE, files)}, list[str]()
        for path in islice(files.names(), MOST_FILES + 1):
            if path == SKILL_FILE or self.barred(path, place, files):
                continue
            try:
                if not path.isprintable():  # it could not be asked for, nor always be stored
                    raise _Unread
                texts[path] = self.text(path, files)
            except _Unread:
                unread.append(path)
        length = sum(map(len, texts.values()))
        if len(texts) + len(unread) > MOST_FILES or length > MOST_CHARACTERS:
            most = f"{MOST_FILES} files and {MOST_CHARACTERS} characters"
            message = f"the folder of the skill {name!r} holds too much: the most is {most}"
            self.found.append(error("invalid_skill", place, message))
        if unread:
            more = f" and {len(unread) - 5} more" if len(unread) > 5 else ""
            listed = ", ".join(map(repr, unread[:5])) + more
            message = f"members cannot read {listed} of the skill {name!r}: that is no text"
            self.found.append(warning("unread_skill_file", place, message))
        return texts

    def flow(self, flow_id: str, flow: FlowSpec) -> FlowSpec:
        """The flow with the schemas of its steps."""
        steps = {
            step_id: self.step(f"flows.{flow_id}.steps.{step_id}.expected_schema_ref", step)
            for step_id, step in flow.steps.items()
        }
        return replace(flow, steps=steps)

    def step(self, place: str, step: FlowStepSpec) -> FlowStepSpec:
        """The step with the text of its schema, or as it was."""
        name = step.expected_schema_ref
        if name is None or is_inline_schema(name) or self.barred(name, place):
            return step
        try:
            schema = self.text(name)
        except _Unread as fault:
            message = f"neither a JSON schema nor a file that can be read: {fault}; {_NEEDS_SCHEMA}"
            self.found.append(warning("missing_schema_file", place, message))
            return step
        if is_inline_schema(schema):
            return replace(step, expected_schema_ref=schema)
        message = f"{self._files.shown(name)} is not a JSON schema; {_NEEDS_SCHEMA}"
        self.found.append(warning("invalid_schema_file", place, message))
        return step
