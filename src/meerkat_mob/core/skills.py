"""Agent Skills: knowledge in a folder, with a ``SKILL.md`` that says what it is for.

The head of that file has a name and a description, which a model always sees; the text below is
for whoever asks for it. A skill is a plain value: its files were read before it was made, so it is
the same on a host and in a browser, and nothing it names can be read through it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from meerkat_mob.core.frontmatter import Entry, TextFault, read_frontmatter
from meerkat_mob.core.strict import nearest

SKILL_FILE: Final = "SKILL.md"

_NAME: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LONGEST: Final = {"name": 64, "description": 1024, "compatibility": 500}
_KEYS: Final = ("name", "description", "license", "compatibility", "metadata", "allowed-tools")


class Skill(msgspec.Struct, frozen=True, kw_only=True):
    """A skill with all it brings.

    ``body`` is the text of ``SKILL.md`` below its head; ``files`` are the other texts of its
    folder, by their paths inside it. ``allowed_tools`` is what its author says it uses: it is not
    enforced. ``metadata`` is the author's own.
    """

    name: str
    description: str
    body: str
    license: str | None = None
    compatibility: str | None = None
    metadata: Mapping[str, str] = {}
    allowed_tools: str | None = None
    files: Mapping[str, str] = {}


def parse_skill(
    text: str, *, folder: str, files: Mapping[str, str] | None = None
) -> tuple[Skill | None, tuple[TextFault, ...]]:
    """The skill that the text of a ``SKILL.md`` describes, or every fault of it. Never raises.

    ``folder`` is the name of the folder it lies in, which must be the skill's own; ``files`` are
    the other texts of that folder. The skill is None exactly when there are faults.
    """
    head = read_frontmatter(text)
    checking = _Checking(head.entries)
    if head.entries or not head.faults:
        checking.check(folder)
    faults = sorted((*head.faults, *checking.faults), key=lambda f: (f.line, f.column))
    if faults:
        return None, tuple(faults)
    said = checking.text
    skill = Skill(
        name=said("name") or "",
        description=said("description") or "",
        body=head.body,
        license=said("license"),
        compatibility=said("compatibility"),
        metadata=checking.metadata(),
        allowed_tools=said("allowed-tools"),
        files=files or {},
    )
    return skill, ()


class _Checking:
    """The rules for the six keys; ``faults`` collects where they are broken."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries
        self.faults: list[TextFault] = []

    def text(self, key: str) -> str | None:
        """The text at a key."""
        entry = self._entries.get(key)
        return entry.value.strip() if entry and isinstance(entry.value, str) else None

    def metadata(self) -> dict[str, str]:
        """The author's own entries."""
        entry = self._entries.get("metadata")
        if entry is None or entry.value is None or isinstance(entry.value, str):
            return {}
        return {key: e.value for key, e in entry.value.items() if isinstance(e.value, str)}

    def check(self, folder: str) -> None:
        """Every rule, so that no fault hides another."""
        for key in ("name", "description"):
            if key not in self._entries:
                self._fault(None, f"{key!r} is missing: add a line '{key}: …' below this one")
        for key, entry in self._entries.items():
            if key not in _KEYS:
                near = nearest(key, _KEYS)
                hint = f"did you mean {near!r}?" if near else "put what is your own in 'metadata'"
                self._fault(entry, f"unknown key {key!r}; {hint}")
            elif key == "metadata":
                if entry.value and isinstance(entry.value, str):
                    self._fault(entry, "'metadata' has entries of its own, indented below it")
            elif isinstance(entry.value, str):
                self._check_text(key, entry, entry.value.strip())
            elif entry.value is not None:
                self._fault(entry, f"{key!r} is one text: begin one of several lines with '>'")
        self._check_name(folder)

    def _check_text(self, key: str, entry: Entry, text: str) -> None:
        longest = _LONGEST.get(key)
        if not text:
            self._fault(entry, f"{key!r} is empty: say something or leave it out")
        elif longest is not None and len(text) > longest:
            self._fault(entry, f"{key!r} has {len(text)} characters: {longest} are allowed")

    def _check_name(self, folder: str) -> None:
        entry, name = self._entries.get("name"), self.text("name")
        if not entry or not name:
            return
        if not _NAME.fullmatch(name):
            message = "a name is lowercase letters and digits, with single hyphens between them"
            self._fault(entry, f"{name[:64]!r} is no name: {message}")
        elif name != folder:
            message = f"the skill {name[:64]!r} lies in a folder named {folder!r}: rename one"
            self._fault(entry, message)

    def _fault(self, entry: Entry | None, message: str) -> None:
        line, column = (entry.line, entry.column) if entry else (1, 1)
        self.faults.append(TextFault(line=line, column=column, message=message))
