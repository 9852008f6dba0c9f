"""Skills as an agent has them: a line each in its prompt, the rest when it asks.

The text of a skill enters a transcript only as the result of ``load_skill``, once for each call.
Nothing is read from a disk here: what a skill brings is all that can be asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from meerkat_mob.core import strict
from meerkat_mob.core.skills import Skill
from meerkat_mob.core.tools import (
    Tool,
    ToolCall,
    ToolDef,
    ToolOutcome,
    ToolProvenance,
    tool_error,
)
from meerkat_mob.core.typed_tools import arguments_of, schema_of

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
        input_schema=schema_of(LoadSkill),
        provenance=ToolProvenance(kind="builtin", source_id="skills"),
    )
    return Tool(definition=definition, execute=execute)


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
