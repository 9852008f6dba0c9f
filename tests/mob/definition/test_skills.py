"""Skills that are folders: read with the definition, checked with it, carried by it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from meerkat_mob.errors import DefinitionInvalid
from meerkat_mob.mob.definition import (
    DirectorySkill,
    MobDefinition,
    Pack,
    encode_definition,
    load_pack,
    parse_definition,
    read_pack_files,
    read_skill,
    validate,
)
from meerkat_mob.mob.definition.assets import MOST_CHARACTERS, MOST_FILES

TEAM = b"""
[mob]
id = "harbour"
[profiles.pilot]
model = "x"
skills = ["tides"]
[skills.tides]
source = "directory"
path = "skills/tides"
"""
HEAD = "---\nname: tides\ndescription: When to sail\n---\n"
TIDES = {"skills/tides/SKILL.md": f"{HEAD}Wait.".encode(), "skills/tides/a/table.md": b"high"}
MANIFEST = {"manifest.toml": b'[mobpack]\nname = "harbour"\nversion = "1"\n'}
READ = DirectorySkill(path="skills/tides", files={"SKILL.md": f"{HEAD}Wait.", "a/table.md": "high"})


def on_disk(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return folder


def in_memory(files: Mapping[str, bytes], team: bytes = TEAM) -> Pack:
    return read_pack_files({**MANIFEST, "definition.toml": team, **files})


def findings(found: Pack | MobDefinition) -> list[tuple[str, str | None]]:
    diagnostics = found.diagnostics if isinstance(found, Pack) else validate(found)
    return [(d.code, d.location) for d in diagnostics]


def a_definition(**skills: DirectorySkill) -> MobDefinition:
    text = b'{"id": "m", "profiles": {"a": {"model": "x"}}}'
    return msgspec.structs.replace(parse_definition(text), skills=skills)


def a_skill(text: str, path: str = "skills/tides") -> DirectorySkill:
    return DirectorySkill(path=path, files={"SKILL.md": text})


def test_a_skill_s_folder_is_read_from_memory_from_a_pack_and_beside_a_team_file(
    tmp_path: Path,
) -> None:
    pack = on_disk(tmp_path / "pack", {**MANIFEST, "definition.toml": TEAM, **TIDES})
    beside = on_disk(tmp_path / "beside", {"team.toml": TEAM, **TIDES})
    for found in (in_memory(TIDES), load_pack(pack), load_pack(beside / "team.toml")):
        assert found.definition.skills == {"tides": READ}
        assert found.diagnostics == ()


def test_a_skill_s_folder_can_be_said_in_the_document_itself() -> None:
    text = """{"id": "m", "profiles": {"a": {"model": "x", "skills": ["s"]}}, "skills": {"s":
      {"source": "directory", "path": "tides",
       "files": {"SKILL.md": "---\\nname: tides\\ndescription: d\\n---\\nWait."}}}}"""
    found = read_pack_files({**MANIFEST, "definition.json": text.encode()})
    assert found.diagnostics == ()
    source = found.definition.skills["s"]
    assert isinstance(source, DirectorySkill)
    skill, faults = read_skill(source)
    assert skill is not None
    assert (skill.body, faults) == ("Wait.", ())


def test_a_definition_carries_the_files_of_its_skills() -> None:
    definition = in_memory(TIDES).definition
    assert parse_definition(encode_definition(definition)) == definition


def test_the_files_beside_skill_md_are_the_skill_s_own() -> None:
    skill, _ = read_skill(READ)
    assert skill is not None
    assert skill.files == {"a/table.md": "high"}


@pytest.mark.parametrize("files", [{}, {"skills/tides/readme.md": b"x"}, {"skills/tides": b"x"}])
def test_an_absent_skill_folder_is_a_warning_and_keeps_the_place_tried(
    tmp_path: Path, files: Mapping[str, bytes]
) -> None:
    folder = on_disk(tmp_path, {**MANIFEST, "definition.toml": TEAM, **files})
    for found, tried in (
        (in_memory(files), "skills/tides"),
        (load_pack(folder), str(tmp_path / "skills/tides")),
    ):
        assert findings(found) == [("missing_skill_file", "skills.tides.path")]
        assert f"{tried}/SKILL.md: " in found.diagnostics[0].message
        assert found.definition.skills["tides"] == DirectorySkill(path="skills/tides", tried=tried)


def test_a_path_source_that_names_a_skill_s_folder_is_told_of_the_other_source(
    tmp_path: Path,
) -> None:
    team = TEAM.replace(b"directory", b"path")
    folder = on_disk(tmp_path, {**MANIFEST, "definition.toml": team, **TIDES})
    for found in (in_memory(TIDES, team), load_pack(folder)):
        assert findings(found) == [("missing_skill_file", "skills.tides.path")]
        assert 'source = "directory"' in found.diagnostics[0].message


def test_a_faulty_skill_file_has_a_finding_for_each_fault_with_file_line_and_column() -> None:
    text = "---\nname: Tides\ndescription: a: b\ncolour: blue\n---\n"
    found = in_memory({"skills/tides/SKILL.md": text.encode()})
    assert findings(found) == [
        ("invalid_skill", "skills/tides/SKILL.md:line 2, column 7"),
        ("invalid_skill", "skills/tides/SKILL.md:line 3, column 15"),
        ("invalid_skill", "skills/tides/SKILL.md:line 4, column 9"),
    ]
    assert {d.severity for d in found.diagnostics} == {"error"}


def test_a_skill_is_named_as_its_folder() -> None:
    for path in ("skills/tides", "./skills/tides/", "..\\skills\\tides", "tides"):
        assert findings(a_definition(s=a_skill(HEAD, path))) == []
    for path in ("skills/winds", "skills/tides/SKILL.md", ".", ""):
        (found,) = validate(a_definition(s=a_skill(HEAD, path)))
        assert found.code == "invalid_skill"
        assert "lies in a folder named" in found.message


def test_two_skills_of_one_name_are_an_error_at_the_second() -> None:
    twice = a_definition(one=a_skill(HEAD), two=a_skill(HEAD, "others/tides"))
    assert findings(twice) == [("duplicate_skill", "skills.two.path")]
    assert "'one' is a skill named 'tides' too" in validate(twice)[0].message


def test_files_without_a_skill_file_are_an_error() -> None:
    files = DirectorySkill(path="tides", files={"skill.md": HEAD})
    assert findings(a_definition(s=files)) == [("invalid_skill", "skills.s.files")]


def test_what_is_no_text_and_what_is_hidden_is_left_out() -> None:
    more = {"skills/tides/logo.png": b"\xff\xd8", "skills/tides/.git/config": b"x"}
    found = in_memory({**TIDES, **more})
    assert found.definition.skills == {"tides": READ}
    assert findings(found) == [("unread_skill_file", "skills.tides.path")]
    assert "'logo.png'" in found.diagnostics[0].message


@pytest.mark.parametrize(
    "more",
    [
        {f"skills/tides/{number}.md": b"x" for number in range(MOST_FILES + 1)},
        {f"skills/tides/{number}.bin": b"\xff" for number in range(MOST_FILES)},
        {"skills/tides/b.md": b"x" * MOST_CHARACTERS},
    ],
)
def test_a_folder_that_holds_too_much_is_refused(more: Mapping[str, bytes]) -> None:
    with pytest.raises(DefinitionInvalid) as caught:
        in_memory({**TIDES, **more})
    first, *others = caught.value.diagnostics
    assert (first.code, first.location) == ("invalid_skill", "skills.tides.path")
    assert [d.code for d in others if d.code != "unread_skill_file"] == []
    assert [d for d in others if " and 195 more of the skill" not in d.message] == []


@pytest.mark.parametrize("path", ["../tides", "/skills/tides", "skills/../../tides"])
def test_a_skill_s_folder_lies_inside_its_pack(path: str) -> None:
    with pytest.raises(DefinitionInvalid) as caught:
        in_memory(TIDES, TEAM.replace(b"skills/tides", path.encode()))
    assert [(d.code, d.location) for d in caught.value.diagnostics] == [
        ("unsafe_path", "skills.tides.path")
    ]


@pytest.mark.parametrize("link", ["key.md", "keys", "SKILL.md"])
def test_a_link_out_of_a_skill_s_folder_is_refused_beside_a_team_file_too(
    tmp_path: Path, link: str
) -> None:
    on_disk(tmp_path, {"team/team.toml": TEAM, "keys/key.md": b"secret"})
    on_disk(tmp_path / "team", {path: c for path, c in TIDES.items() if not path.endswith(link)})
    target = tmp_path / ("keys" if link == "keys" else "keys/key.md")
    (tmp_path / "team/skills/tides" / link).symlink_to(target)
    with pytest.raises(DefinitionInvalid) as caught:
        load_pack(tmp_path / "team/team.toml")
    (found,) = caught.value.diagnostics
    assert (found.code, found.location) == ("unsafe_path", "skills.tides.path")
    assert f"{link!r} is a link that leads out of its folder" in found.message


def test_links_in_a_circle_are_refused_or_lead_nowhere(tmp_path: Path) -> None:
    on_disk(tmp_path, {"team.toml": TEAM, **TIDES})
    (tmp_path / "skills/tides/b.md").symlink_to("c.md")
    (tmp_path / "skills/tides/c.md").symlink_to("b.md")
    try:
        codes: set[str] = {d.code for d in load_pack(tmp_path / "team.toml").diagnostics}
    except DefinitionInvalid as fault:  # an older Python tells it when it looks where they lead
        codes = {d.code for d in fault.diagnostics}
    assert codes in ({"unsafe_path"}, {"unread_skill_file"})


def test_a_folder_s_name_that_is_no_path_is_a_finding(tmp_path: Path) -> None:
    team = on_disk(tmp_path, {"team.toml": TEAM.replace(b"s/tides", b"\\u0000s")}) / "team.toml"
    with pytest.raises(DefinitionInvalid) as caught:
        load_pack(team)
    assert [d.code for d in caught.value.diagnostics] == ["unsafe_path"]


def test_a_link_inside_a_skill_s_folder_is_followed(tmp_path: Path) -> None:
    on_disk(tmp_path, {"team.toml": TEAM, **TIDES})
    (tmp_path / "skills/tides/b.md").symlink_to("a/table.md")
    source = load_pack(tmp_path / "team.toml").definition.skills["tides"]
    assert isinstance(source, DirectorySkill)
    assert source.files["b.md"] == "high"


def test_the_place_tried_is_no_part_of_a_document() -> None:
    with pytest.raises(DefinitionInvalid, match="tried"):
        parse_definition(
            '{"id": "m", "skills": {"s": {"source": "directory", "path": "x", "tried": "y"}}}'
        )
