"""`meerkat-mob validate`: every finding with code, place and severity; 1 when one is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.surfaces.cli.kit import INCIDENT_ROOM, PAIR, ROOT, a_team, called

OUTLINE = ("valid", "5: commander (orchestrator), sre", "everyone - commander", "6: leading")


def test_a_sound_team_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    ended = called(capsys, "validate", INCIDENT_ROOM)
    assert ended.code == 0
    assert [part for part in OUTLINE if part not in ended.out] == []
    assert ended.err == ""


def test_all_errors_are_shown_with_code_place_and_severity(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = PAIR.replace('orchestrator = "lead"', 'orchestrator = "boss"').replace(
        "auto_wire_orchestrator = true", 'role_wiring = [{ a = "lead", b = "nobody" }]'
    )
    ended = called(capsys, "validate", a_team(tmp_path, text))
    assert ended.code == 1
    assert "error   missing_orchestrator_profile at mob.orchestrator" in ended.out
    assert "error   invalid_wiring_profile at wiring.role_wiring[0].b" in ended.out
    assert "not valid (2 errors, 0 warnings)" in ended.out


def test_a_misspelt_key_is_shown_with_the_nearest_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ended = called(capsys, "validate", a_team(tmp_path, PAIR.replace("[wiring]", "[wirring]")))
    assert ended.code == 1
    assert "wirring" in ended.out
    assert "wiring" in ended.out.replace("wirring", "")


def test_a_broken_line_is_shown_with_its_place(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ended = called(capsys, "validate", a_team(tmp_path, PAIR + "\nid = = 1\n"))
    assert ended.code == 1
    assert "invalid_syntax" in ended.out
    assert " at line 17, " in ended.out


def test_warnings_alone_leave_the_code_at_zero(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = PAIR.replace("comms = true, mob_tasks", "comms = true, shell = true, mob_tasks")
    ended = called(capsys, "validate", a_team(tmp_path, text))
    assert ended.code == 0
    assert ended.out.count("warning capability_missing at profiles.") == 2


def test_a_fault_in_the_pack_s_performance_is_a_finding(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "definition.toml").write_text(PAIR, encoding="utf-8")
    (tmp_path / "performance.toml").write_text('[[line]]\nsay = "{{ nobody }}"\n', encoding="utf-8")
    ended = called(capsys, "validate", tmp_path)
    assert ended.code == 1
    assert "invalid_template at performance.toml:line[0]" in ended.out


def test_findings_are_one_json_object_when_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ended = called(capsys, "validate", a_team(tmp_path, '[mob]\nid = "m"\n'), "--json")
    assert ended.code == 1
    [verdict] = ended.lines
    assert verdict["ok"] is False
    assert verdict["diagnostics"] == [
        {
            "code": "empty_profiles",
            "message": "a mob needs at least one profile",
            "location": "profiles",
            "severity": "error",
        }
    ]


def test_what_cannot_be_read_names_the_path_tried(capsys: pytest.CaptureFixture[str]) -> None:
    ended = called(capsys, "validate", "nowhere/team.toml")
    assert ended.code == 2
    assert ended.err.startswith("error DEFINITION_UNREADABLE: cannot read nowhere/team.toml")


def test_other_people_s_teams_are_judged_as_their_readme_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where those files lie beside the repository; they are not part of it."""
    inputs = ROOT.parent / "shared" / "inputs"
    wanted = {
        "incident-war-room": 0,
        "coding-swarm.toml": 0,
        "release-triage": 0,
        "pipeline.toml": 0,
        "triage-flow.json": 0,
        "code-review.toml": 0,
        "browser-smoke.json": 1,
        "warn-join-without-branch.toml": 0,
        "error-unknown-role.toml": 1,
        "error-external-backend.toml": 1,
    }
    there = {name: code for name, code in wanted.items() if (inputs / name).exists()}
    assert {name: called(capsys, "validate", inputs / name).code for name in there} == there
