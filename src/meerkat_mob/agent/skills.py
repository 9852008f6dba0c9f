"""Skills as an agent has them: a line each in its prompt, the rest when it asks.

The text of a skill enters a transcript only as the result of ``load_skill``, once for each call.
A run that is referred to skills has their texts before its model, and the transcript never does.
Nothing is read from a disk here: what a skill brings is all that can be asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from meerkat_mob.core import strict
from meerkat_mob.core.events import Emit, SkillResolutionFailed, SkillsResolved
from meerkat_mob.core.skills import Skill
from meerkat_mob.core.tools import (
    Tool,
    ToolCall,
    ToolDef,
    ToolOutcome,
    ToolProvenance,
    tool_error,
)
from meerkat_mob.core.typed_tools import arguments_of, shared_schema_of
from meerkat_mob.errors import InvalidParams, SkillNotFound

LOAD_SKILL: Final = "load_skill"

_INTRODUCTION: Final = f"""\
# Skills

Instructions for special work. Before you do what one of them is for, read it with {LOAD_SKILL}."""


class LoadSkill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of ``load_skill``."""

    name: Annotated[str, Meta(description="The skill, by its name.")]
    file: Annotated[
        str | None, Meta(description="A file of the skill, as its text or its list names it.")
    ] = None


def skill_catalogue(skills: Iterable[Skill]) -> str:
    """What a prompt says of skills that can be loaded: name and description, a line each."""
    lines = (f"- {skill.name}: {' '.join(skill.description.split())}" for skill in skills)
    return "\n".join((_INTRODUCTION, "", *lines))


def load_skill_tool(skills: Sequence[Skill]) -> Tool:
    """The tool that gives the text of a skill, or of one of its files.

    Skills have different names. A name that is not among them is answered with an error that has
    the nearest one.
    """
    by_name = {skill.name: skill for skill in skills}

    async def execute(call: ToolCall) -> ToolOutcome:
        given = arguments_of(LoadSkill, call)
        skill = by_name.get(given.name)
        if skill is None:
            return _absent("skill", given.name, by_name)
        if given.file is None:
            return ToolOutcome(content=_with_its_files(skill))
        text = skill.files.get(given.file.removeprefix("./"))
        if text is None:
            return _absent("file", given.file, skill.files)
        return ToolOutcome(content=text)

    definition = ToolDef(
        name=LOAD_SKILL,
        description="Read the instructions of a skill, or one of the files that belong to it.",
        input_schema=shared_schema_of(LoadSkill),
        provenance=ToolProvenance(kind="builtin", source_id="skills"),
    )
    return Tool(definition=definition, execute=execute)


class Skills:
    """The skills of one agent. ``referred`` is what the run at hand shows its model of them."""

    def __init__(self, skills: Sequence[Skill], emit: Emit) -> None:
        """Raises ``InvalidParams`` when two of them have one name."""
        self._skills, self._emit = {skill.name: skill for skill in skills}, emit
        self.tools: Final = (load_skill_tool(skills),) if skills else ()
        self.referred = ""
        twice = [name for name, n in Counter(skill.name for skill in skills).items() if n > 1]
        if twice:
            raise InvalidParams(
                what=f"two skills are named {twice[0]!r}", path="skills", hint="rename one of them"
            )

    def refer(self, names: Iterable[str]) -> None:
        """The run that begins is referred to these. Raises ``SkillNotFound`` for one of no name."""
        wanted = tuple(dict.fromkeys(names))
        for name in wanted:
            if name not in self._skills:
                fault = SkillNotFound(skill=name, known=tuple(self._skills))
                self._emit(SkillResolutionFailed(reference=name, error=str(fault)))
                raise fault
        texts = [f"# Skill {name}\n\n{_with_its_files(self._skills[name])}" for name in wanted]
        self.referred = "\n\n".join(texts)
        if wanted:
            size = len(self.referred.encode())
            self._emit(SkillsResolved(skills=wanted, injection_bytes=size))


def _with_its_files(skill: Skill) -> str:
    if not skill.files:
        return skill.body
    listed = "\n".join(f"- {path}" for path in skill.files)
    told = f"Files of this skill, to be read with {LOAD_SKILL} and 'file':"
    return f"{skill.body}\n\n{told}\n{listed}"


def _absent(what: str, name: str, known: Iterable[str]) -> ToolOutcome:
    near = strict.nearest(name, known)
    hint = f"did you mean {near!r}? " if near else ""
    there_are = ", ".join(known) or "none"
    return tool_error("invalid_arguments", f"no {what} {name!r}; {hint}there are: {there_are}")
