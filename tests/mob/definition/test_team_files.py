"""Team files that people wrote for other versions, where they lie beside the repository.

They are not part of it. Where they are absent this one test has nothing to look at; the forms
they use are rebuilt in the other files of this folder.
"""

from pathlib import Path

from meerkat_mob.mob.definition import (
    InlineSkill,
    encode_definition,
    load_pack,
    parse_definition,
)

EXPECTED: dict[str, tuple[list[tuple[str, str]], list[str]]] = {
    "incident-war-room": ([], []),
    "coding-swarm.toml": ([], []),
    "release-triage": ([], ["unknown_default"]),
    "pipeline.toml": ([], ["missing_schema_file"]),
    "triage-flow.json": ([], ["missing_skill_ref"]),
    "code-review.toml": ([], ["missing_skill_file"]),
    "browser-smoke.json": ([("empty_profiles", "profiles")], []),
    "warn-join-without-branch.toml": ([], ["branch_join_without_branch"]),
    "error-unknown-role.toml": ([("flow_unknown_role", "flows.demo.steps.start.role")], []),
    "error-external-backend.toml": ([("missing_external_backend_config", "backend.external")], []),
}
"""Errors with their places, and the codes of warnings."""


def files() -> list[Path]:
    above = Path(__file__).resolve().parents
    folders = [p / "shared" / "inputs" for p in above if (p / "shared" / "inputs").is_dir()]
    return sorted(folders[0].iterdir()) if folders else []


def test_each_team_file_beside_the_repository_behaves_as_it_should() -> None:
    for path in files():
        if path.name not in EXPECTED:
            continue
        errors, warnings = EXPECTED[path.name]
        found = load_pack(path)
        told = [(d.code, d.location) for d in found.diagnostics if d.severity == "error"]
        assert told == errors, path
        codes = {d.code for d in found.diagnostics if d.severity == "warning"}
        assert codes == set(warnings), path
        if path.is_dir():
            skills = found.definition.skills.values()
            assert all(isinstance(s, InlineSkill) for s in skills), path
        assert parse_definition(encode_definition(found.definition)) is not None
