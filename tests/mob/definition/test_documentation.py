"""What the page about team files shows can be loaded, and it leaves no key out."""

import re
from pathlib import Path

import msgspec
import pytest

from meerkat_mob.mob.definition import (
    BackendConfig,
    DirectorySkill,
    EventRouter,
    FlowSpec,
    FlowStepSpec,
    FrameSpec,
    Limits,
    LoopNode,
    McpServer,
    MobDefinition,
    PackInfo,
    PackProfile,
    Profile,
    RealmRef,
    Requires,
    StepNode,
    Supervisor,
    ToolConfig,
    Topology,
    TopologyRule,
    Wiring,
    decode_source,
    parse_definition,
    read_pack_files,
    validate,
)

PAGE = Path(__file__).resolve().parents[3] / "docs" / "definitions.md"
BLOCKS = re.findall(r"```(toml|json)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
TEAMS = [text for _, text in BLOCKS if "[mobpack]" not in text]
MANIFESTS = [text for _, text in BLOCKS if "[mobpack]" in text]
SKILLS = re.findall(r"```markdown\n(---\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
HIDDEN = {"realm_profiles", "tried"}
SHOWN: tuple[type[msgspec.Struct], ...] = (
    BackendConfig,
    DirectorySkill,
    EventRouter,
    FlowSpec,
    FlowStepSpec,
    FrameSpec,
    Limits,
    LoopNode,
    McpServer,
    MobDefinition,
    PackInfo,
    PackProfile,
    Profile,
    RealmRef,
    Requires,
    StepNode,
    Supervisor,
    ToolConfig,
    Topology,
    TopologyRule,
    Wiring,
)


@pytest.mark.parametrize("text", TEAMS)
def test_every_team_on_the_page_is_valid(text: str) -> None:
    assert decode_source(text).diagnostics == ()
    assert validate(parse_definition(text)) == []


def test_the_same_team_in_toml_and_json_is_the_same() -> None:
    in_toml, in_json = (parse_definition(text) for text in TEAMS[:2])
    assert in_toml.profiles == in_json.profiles
    assert (in_toml.wiring, in_toml.orchestrator) == (in_json.wiring, in_json.orchestrator)


@pytest.mark.parametrize("text", MANIFESTS)
def test_every_manifest_on_the_page_fits_its_team(text: str) -> None:
    files = {"manifest.toml": text, "definition.json": TEAMS[1], "skills/weather.md": "Fog."}
    found = read_pack_files({name: content.encode() for name, content in files.items()})
    assert found.diagnostics == ()
    assert found.definition.profiles["master"].model == "claude-opus-4-6"


def test_the_skill_s_folder_on_the_page_fits_its_team() -> None:
    (team,) = (text for text in TEAMS if 'source = "directory"' in text)
    files = {"manifest.toml": MANIFESTS[0].partition("[profiles")[0], "definition.toml": team}
    files |= {"skills/tides/SKILL.md": SKILLS[0], "skills/tides/references/tables.md": "…"}
    assert read_pack_files({path: text.encode() for path, text in files.items()}).diagnostics == ()


@pytest.mark.parametrize("shape", SHOWN)
def test_the_page_names_every_key(shape: type[msgspec.Struct]) -> None:
    words = set(re.findall(r"\w+", PAGE.read_text(encoding="utf-8")))
    assert set(shape.__struct_fields__) - HIDDEN <= words
