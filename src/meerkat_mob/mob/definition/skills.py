"""Skills that are folders: what their files say, and the rules for them in a definition.

The rules are checked on the files a definition carries, so that a definition from a folder, from
a pack in a browser and from a stored document are checked alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from meerkat_mob.core.frontmatter import TextFault
from meerkat_mob.core.skills import SKILL_FILE, Skill, parse_skill
from meerkat_mob.mob.definition.diagnostics import Diagnostic, error, inside_file
from meerkat_mob.mob.definition.model import DirectorySkill, MobDefinition


def read_skill(source: DirectorySkill) -> tuple[Skill | None, tuple[TextFault, ...]]:
    """The skill that a source's files describe, or every fault of its ``SKILL.md``.

    The skill is also None, without a fault, when there is no such file.
    """
    text = source.files.get(SKILL_FILE)
    if text is None:
        return None, ()
    others = {path: content for path, content in source.files.items() if path != SKILL_FILE}
    return parse_skill(text, folder=_folder(source).name, files=others)


def check_skills(definition: MobDefinition) -> Iterator[Diagnostic]:
    """Each ``SKILL.md`` is right, and no two skills have one name.

    A skill whose folder was not found has its finding from the loader.
    """
    known: dict[str, str] = {}
    for key, source in definition.skills.items():
        if not isinstance(source, DirectorySkill) or not source.files:
            continue
        if SKILL_FILE not in source.files:
            message = f"the files of the skill {key!r} have no {SKILL_FILE}: add it"
            yield error("invalid_skill", f"skills.{key}.files", message)
        skill, faults = read_skill(source)
        found = [error("invalid_skill", fault.place, fault.message) for fault in faults]
        yield from inside_file(str(_folder(source) / SKILL_FILE), found)
        if skill is None:
            continue
        if skill.name in known:
            message = f"{known[skill.name]!r} is a skill named {skill.name!r} too: rename one"
            yield error("duplicate_skill", f"skills.{key}.path", message)
        known.setdefault(skill.name, key)


def _folder(source: DirectorySkill) -> PurePosixPath:
    return PurePosixPath(source.path.replace("\\", "/"))
