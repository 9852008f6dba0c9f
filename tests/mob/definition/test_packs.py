"""Loading: team files, pack folders and packs in memory, and what is missing beside them."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from meerkat_mob.errors import CapabilityUnavailable, DefinitionInvalid, DefinitionUnreadable
from meerkat_mob.mob.definition import (
    InlineSkill,
    MobDefinition,
    Pack,
    PathSkill,
    Profile,
    is_inline_schema,
    load_definition,
    load_pack,
    read_pack_files,
    require_capabilities,
)

MANIFEST = b'[mobpack]\nname = "pond"\nversion = "1.0.0"\n'
DEFINITION = b"""{
  "id": "pond",
  "orchestrator": {"profile": "heron"},
  "profiles": {
    "heron": {"model": "x", "skills": ["calm"]},
    "frog": {"model": "y", "skills": ["leap"]}
  },
  "skills": {
    "calm": {"source": "path", "path": "skills/calm.md"},
    "leap": {"source": "inline", "content": "Leap."}
  }
}"""
ONE_STEP = b"""
[mob]
id = "m"
[profiles.a]
model = "x"
[flows.f.steps.s]
role = "a"
message = "x"
"""
POND = {"manifest.toml": MANIFEST, "definition.json": DEFINITION, "skills/calm.md": b"Stay calm."}


def pack(files: Mapping[str, bytes]) -> Pack:
    return read_pack_files({**POND, **files})


def codes(found: Pack | DefinitionInvalid) -> list[tuple[str, str | None]]:
    return [(d.code, d.location) for d in found.diagnostics]


def refused(files: Mapping[str, bytes]) -> list[tuple[str, str | None]]:
    with pytest.raises(DefinitionInvalid) as caught:
        pack(files)
    return codes(caught.value)


def on_disk(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return folder


def test_a_pack_in_memory_and_the_same_on_disk_say_the_same(tmp_path: Path) -> None:
    in_memory = read_pack_files(POND)
    folder = load_pack(on_disk(tmp_path, POND))
    assert in_memory.definition == folder.definition
    assert in_memory.manifest == folder.manifest
    assert codes(in_memory) == codes(folder) == []
    assert (in_memory.source, in_memory.folder) == ("definition.json", None)
    assert folder.folder == str(tmp_path)
    assert folder.source == str(tmp_path / "definition.json")


def test_a_skill_file_takes_the_place_of_its_name() -> None:
    assert read_pack_files(POND).definition.skills["calm"] == InlineSkill(content="Stay calm.")


@pytest.mark.parametrize("name", ["", "definition.json", "manifest.toml"])
def test_any_file_of_a_pack_stands_for_the_pack(tmp_path: Path, name: str) -> None:
    found = load_pack(on_disk(tmp_path, POND) / name)
    assert found.manifest is not None
    assert found.manifest.mobpack.name == "pond"


def test_a_definition_in_toml_is_a_pack_too() -> None:
    files = {"manifest.toml": MANIFEST, "definition.toml": b'[mob]\nid = "m"'}
    assert read_pack_files(files).definition == MobDefinition(id="m")


def test_a_folder_without_a_manifest_is_a_pack_with_a_warning() -> None:
    found = read_pack_files({"definition.json": DEFINITION, "skills/calm.md": b"x"})
    assert codes(found) == [("missing_manifest", "manifest.toml")]
    assert found.manifest is None


def test_a_performance_comes_along_as_text() -> None:
    assert read_pack_files(POND).performance is None
    assert pack({"performance.toml": "[heron]\nsay = 'Ä'".encode()}).performance is not None
    assert refused({"performance.toml": b"\xff"}) == [("invalid_syntax", "performance.toml:byte 0")]


def test_an_absent_skill_file_is_a_warning_and_keeps_the_place_tried(tmp_path: Path) -> None:
    files = {k: v for k, v in POND.items() if not k.startswith("skills/")}
    found = load_pack(on_disk(tmp_path, files))
    tried = str(tmp_path / "skills/calm.md")
    assert codes(found) == [("missing_skill_file", "skills.calm.path")]
    assert tried in found.diagnostics[0].message
    assert found.definition.skills["calm"] == PathSkill(path="skills/calm.md", tried=tried)


def test_a_skill_file_that_is_no_text_is_a_warning() -> None:
    found = pack({"skills/calm.md": b"\xff\xfe"})
    assert codes(found) == [("missing_skill_file", "skills.calm.path")]
    assert "not UTF-8" in found.diagnostics[0].message


@pytest.mark.parametrize(
    "path",
    [
        "../secret.md",
        "skills/../../secret.md",
        "/etc/passwd",
        "C:/x",
        "x\\u0000",
        "\\\\\\\\host\\\\x",
    ],
)
def test_a_pack_never_leaves_its_folder(tmp_path: Path, path: str) -> None:
    definition = DEFINITION.replace(b"skills/calm.md", path.encode())
    assert refused({"definition.json": definition}) == [("unsafe_path", "skills.calm.path")]
    on_disk(tmp_path, {"secret.md": b"secret"})
    with pytest.raises(DefinitionInvalid) as caught:
        load_pack(on_disk(tmp_path / "pond", {**POND, "definition.json": definition}))
    assert codes(caught.value) == [("unsafe_path", "skills.calm.path")]


def test_a_pack_never_follows_a_link_out_of_its_folder(tmp_path: Path) -> None:
    on_disk(tmp_path, {"secret.md": b"secret"})
    folder = on_disk(tmp_path / "pond", {k: v for k, v in POND.items() if "calm" not in k})
    (folder / "skills").mkdir()
    (folder / "skills/calm.md").symlink_to(tmp_path / "secret.md")
    with pytest.raises(DefinitionInvalid) as caught:
        load_pack(folder)
    assert codes(caught.value) == [("unsafe_path", "skills.calm.path")]


def test_a_backslash_is_a_slash() -> None:
    definition = DEFINITION.replace(b"skills/calm.md", b".\\\\skills\\\\calm.md")
    found = pack({"definition.json": definition})
    assert found.definition.skills["calm"] == InlineSkill(content="Stay calm.")


def test_a_team_file_reads_its_skills_from_its_folder(tmp_path: Path) -> None:
    text = (
        b'[mob]\nid = "m"\n[profiles.a]\nmodel = "x"\nskills = ["s"]\n'
        b'[skills.s]\nsource = "path"\npath = "../s.md"'
    )
    on_disk(tmp_path, {"teams/team.toml": text, "s.md": b"Know this."})
    definition = load_definition(str(tmp_path / "teams/team.toml"))
    assert definition.skills == {"s": InlineSkill(content="Know this.")}


@pytest.mark.parametrize("name", ["absent.toml", "absent.json", "absent", "notes.txt", ""])
def test_what_cannot_be_read_names_the_path_tried(tmp_path: Path, name: str) -> None:
    on_disk(tmp_path, {"notes.txt": b"x"})
    with pytest.raises(DefinitionUnreadable) as caught:
        load_definition(tmp_path / name)
    assert str(tmp_path) in caught.value.path
    assert caught.value.path in str(caught.value)


def test_a_folder_under_the_name_of_a_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "definition.json").mkdir()
    with pytest.raises(DefinitionUnreadable):
        load_definition(tmp_path)


def test_a_definition_that_is_no_text_cannot_be_read(tmp_path: Path) -> None:
    on_disk(tmp_path, {"team.toml": b"\xff"})
    with pytest.raises(DefinitionUnreadable, match="UTF-8"):
        load_definition(tmp_path / "team.toml")


def test_what_keeps_a_document_from_being_a_definition_is_raised_with_everything_else() -> None:
    skills = b'{"s": {"source": "path", "path": "s.md"}}'
    definition = b'{"id": "m", "colour": 1, "orchestrator": "a", "skills": ' + skills + b"}"
    assert refused({"definition.json": definition}) == [
        ("unknown_field", "colour"),
        ("empty_profiles", "profiles"),
        ("missing_orchestrator_profile", "mob.orchestrator"),
        ("missing_skill_file", "skills.s.path"),
    ]


def test_a_definition_that_breaks_the_rules_can_be_looked_at() -> None:
    found = pack({"definition.json": b'{"id": "m"}'})
    assert found.definition == MobDefinition(id="m")
    assert codes(found) == [("empty_profiles", "profiles")]


def test_a_realm_reference_is_not_portable() -> None:
    definition = b'{"id": "m", "profiles": {"a": {"realm_profile": "r"}}}'
    expected = [("realm_profile_in_pack", "profiles.a.realm_profile")]
    assert refused({"definition.json": definition}) == expected


def test_the_older_rule_of_output_is_asked_for_when_loading() -> None:
    files = {"manifest.toml": MANIFEST, "definition.toml": ONE_STEP}
    newer, older = read_pack_files(files), read_pack_files(files, compat="0.5")
    assert newer.definition.flows["f"].steps["s"].output_format == "text"
    assert older.definition.flows["f"].steps["s"].output_format == "json"


# -- schemas -----------------------------------------------------------------------------------


def with_schema(reference: str) -> bytes:
    return (
        '[mob]\nid = "m"\n[profiles.a]\nmodel = "x"\n'
        f"[flows.f.steps.s]\nrole = 'a'\nmessage = 'x'\nexpected_schema_ref = '{reference}'"
    ).encode()


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ('{"type": "object"}', None),
        ("schemas/good.json", None),
        ("schemas/absent.json", "missing_schema_file"),
        ("", "missing_schema_file"),
        ('{"type": ', "missing_schema_file"),
        ("schemas/bad.json", "invalid_schema_file"),
    ],
)
def test_a_schema_is_found_before_any_run(tmp_path: Path, reference: str, code: str | None) -> None:
    files = {"schemas/good.json": b'{"type": "array"}', "schemas/bad.json": b"[1]"}
    found = load_pack(
        on_disk(tmp_path, {**files, "team.toml": with_schema(reference)}) / "team.toml"
    )
    step = found.definition.flows["f"].steps["s"]
    place = "flows.f.steps.s.expected_schema_ref"
    assert codes(found) == ([(code, place)] if code else [])
    assert is_inline_schema(step.expected_schema_ref or "") is (code is None)
    assert step.output_format == "json"


def test_a_schema_outside_its_pack_is_refused() -> None:
    files = {"definition.toml": with_schema("../s.json"), "manifest.toml": MANIFEST}
    with pytest.raises(DefinitionInvalid) as caught:
        read_pack_files(files)
    assert codes(caught.value) == [("unsafe_path", "flows.f.steps.s.expected_schema_ref")]


def test_a_schema_for_the_parameters_of_a_flow_is_told_to_have_no_effect() -> None:
    files = {"definition.toml": with_schema("true"), "schemas/f-input.json": b"{}"}
    found = read_pack_files({**files, "manifest.toml": MANIFEST})
    assert codes(found) == [("unsupported_field", "schemas/f-input.json")]


# -- manifests ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("manifest", "found"),
    [
        ('surfaces = ["cli", "web"]', []),
        ('[requires]\ncapabilities = ["comms", "shell", "mcp_stdio"]', []),
        ('[models]\ndefault = "x"', []),
        ("[adaptive]\nobjective_class = 'x'", []),
        ("colour = 1", [("unknown_manifest_field", "manifest.toml:colour")]),
        ("[extra]\nx = 1", [("unknown_manifest_field", "manifest.toml:extra")]),
        (
            "[requires]\ncapabilitys = []",
            [("unknown_manifest_field", "manifest.toml:requires.capabilitys")],
        ),
    ],
)
def test_a_manifest_may_say_more_than_is_known(manifest: str, found: list[tuple[str, str]]) -> None:
    top, _, _ = manifest.partition("[") if not manifest.startswith("[") else ("", "", "")
    text = manifest.encode() + b"\n" + MANIFEST if top else MANIFEST + manifest.encode()
    assert codes(pack({"manifest.toml": text})) == found


@pytest.mark.parametrize(
    ("manifest", "found"),
    [
        ('[mobpack]\nname = "x"', ("missing_field", "manifest.toml:mobpack.version")),
        ("", ("missing_field", "manifest.toml:mobpack")),
        (
            '[mobpack]\nname = ""\nversion = "1"',
            ("invalid_value", "manifest.toml:mobpack.name"),
        ),
        ('[mobpack]\nname = "x', ("invalid_syntax", "manifest.toml:line 2, column 10")),
        (
            MANIFEST.decode() + "[trust]\npolicy = 'permissive'",
            ("trust_section_forbidden", "manifest.toml:trust"),
        ),
        (
            'surfaces = ["cli", "moon"]\n' + MANIFEST.decode(),
            ("invalid_value", "manifest.toml:surfaces[1]"),
        ),
        (
            MANIFEST.decode() + '[requires]\ncapabilities = ["comms", "telepathy"]',
            ("unknown_capability", "manifest.toml:requires.capabilities[1]"),
        ),
        (
            MANIFEST.decode() + '[profiles.newt]\nmodel = "x"',
            ("unknown_manifest_profile", "manifest.toml:profiles.newt"),
        ),
    ],
)
def test_a_manifest_that_must_not_be_so_is_refused(manifest: str, found: tuple[str, str]) -> None:
    assert refused({"manifest.toml": manifest.encode()}) == [found]


def test_an_unknown_capability_lists_the_known_ones() -> None:
    manifest = MANIFEST + b'[requires]\ncapabilities = ["shel"]'
    with pytest.raises(DefinitionInvalid) as caught:
        pack({"manifest.toml": manifest})
    message = caught.value.diagnostics[0].message
    assert "did you mean 'shell'?" in message
    assert "known: core, sessions" in message


@pytest.mark.parametrize("table", ["mobpack", "models"])
def test_surfaces_below_a_table_are_told_where_they_belong(table: str) -> None:
    manifest = MANIFEST + b'surfaces = ["cli"]'
    if table == "models":
        manifest = MANIFEST + b'[models]\nsurfaces = ["cli"]'
    found = pack({"manifest.toml": manifest})
    assert codes(found) == [("misplaced_surfaces", f"manifest.toml:{table}.surfaces")]
    assert "above the first table" in found.diagnostics[0].message


def test_a_manifest_gives_profiles_models_and_skill_files() -> None:
    manifest = MANIFEST + (
        b'[models]\nstrong = "z"\n'
        b'[profiles.heron]\nmodel = "strong"\nskills = ["skills/calm.md", "skills/wide.md"]\n'
        b'[profiles.frog]\nmodel = "named-itself"\n'
    )
    definition = pack({"manifest.toml": manifest, "skills/wide.md": b"Stay wide."}).definition
    assert definition.profiles["heron"] == Profile(model="z", skills=("calm", "skills/wide.md"))
    assert definition.skills["skills/wide.md"] == InlineSkill(content="Stay wide.")
    assert definition.profiles["frog"].model == "named-itself"


def test_what_a_manifest_requires_must_be_there() -> None:
    text = MANIFEST + b'[requires]\ncapabilities = ["shell", "comms", "mcp_stdio"]\n[adaptive]\n'
    manifest = pack({"manifest.toml": text}).manifest
    assert manifest is not None
    with pytest.raises(CapabilityUnavailable) as caught:
        require_capabilities(manifest, frozenset({"comms"}))
    assert caught.value.capability == "shell, mcp_stdio, adaptive_flow"
    everything = frozenset({"comms", "shell", "mcp_stdio", "adaptive_flow"})
    require_capabilities(manifest, everything)


# -- defaults ----------------------------------------------------------------------------------


def test_defaults_are_told_to_have_no_effect_key_by_key() -> None:
    defaults = b"""
max_tokens = 5

[agent]
model = "x"
retries = 2

[budget]
max_tokens = 8
warning_threshold = 0.8
"""
    assert codes(pack({"config/defaults.toml": defaults})) == [
        ("unsupported_field", "config/defaults.toml:max_tokens"),
        ("unknown_default", "config/defaults.toml:agent"),
        ("unsupported_field", "config/defaults.toml:budget.max_tokens"),
        ("unknown_default", "config/defaults.toml:budget.warning_threshold"),
    ]


def test_defaults_that_are_no_toml_are_refused() -> None:
    expected = [("invalid_syntax", "config/defaults.toml:line 1, column 4")]
    assert refused({"config/defaults.toml": b"x ="}) == expected
