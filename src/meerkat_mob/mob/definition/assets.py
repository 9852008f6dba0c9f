"""The files a definition names: skills and schemas, read once, so that nothing reads them later.

A file that is not there, or is no text, stays a name and gives a warning: who needs it is refused
later, before any model is asked. A path that leaves a pack is an error.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from meerkat_mob.mob.definition.diagnostics import Diagnostic, error, warning
from meerkat_mob.mob.definition.files import Files
from meerkat_mob.mob.definition.flow import FlowSpec, FlowStepSpec
from meerkat_mob.mob.definition.model import InlineSkill, MobDefinition, PathSkill, SkillSource
from meerkat_mob.mob.definition.syntax import read_tables, read_text

_NEEDS_SKILL: Final = "members whose profile names it cannot be spawned"
_NEEDS_SCHEMA: Final = "the flow cannot be run"


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

    def text(self, path: str) -> str:
        """The text of a file. Raises ``_Unread``."""
        try:
            text = read_text(self._files.read(path))
        except (OSError, ValueError) as fault:  # ValueError: a null character in the path
            why = getattr(fault, "strerror", None) or str(fault)
            raise _Unread(f"{self._files.shown(path)}: {why}") from fault
        if isinstance(text, Diagnostic):
            raise _Unread(f"{self._files.shown(path)}: {text.message}")
        return text

    def barred(self, path: str, place: str) -> bool:
        """Whether a path must not be read, said as a finding."""
        why = self._files.barred(path)
        if why is not None:
            self.found.append(error("unsafe_path", place, why))
        return why is not None

    def skill(self, name: str, skill: SkillSource) -> SkillSource:
        """The skill with its text, or as it was with the place tried."""
        if isinstance(skill, InlineSkill):
            return skill
        place = f"skills.{name}.path"
        if self.barred(skill.path, place):
            return skill
        try:
            return InlineSkill(content=self.text(skill.path))
        except _Unread as fault:
            message = f"cannot read the skill {name!r} from {fault}; {_NEEDS_SKILL}"
            self.found.append(warning("missing_skill_file", place, message))
            return PathSkill(path=skill.path, tried=self._files.shown(skill.path))

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
