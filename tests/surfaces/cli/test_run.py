"""`meerkat-mob run`: the answer to standard output, everything else to standard error."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.surfaces.cli.kit import INCIDENT_ROOM, PAIR, ROOT, TASK, Ended, a_team, called

Capsys = pytest.CaptureFixture[str]


def played(capsys: Capsys, *more: str | Path) -> Ended:
    return called(capsys, "run", INCIDENT_ROOM, TASK, "--model", "scripted", *more)


# -- the answer and the log --------------------------------------------------------------------


def test_the_answer_is_all_that_standard_output_holds(capsys: Capsys) -> None:
    ended = played(capsys)
    assert ended.code == 0
    assert ended.out.startswith("Checkout works again.")
    assert ended.out.endswith("\n")
    assert "commander:" not in ended.out


def test_the_log_shows_who_speaks_to_whom_tools_tasks_and_the_sum(capsys: Capsys) -> None:
    told = played(capsys).err
    for part in (
        "incident-room  5 members, played offline by the pack's performance.toml",
        "commander ↔ backend, scribe, sre, support",
        f"you → commander: {TASK}",
        "commander + adds #1 Find what the failing requests have in common",
        "commander → sre: Checkout fails for one in five",
        "sre ◐ takes #1 Find what the failing requests have in common",
        "sre → backend: ",
        "sre ✓ completes #1 Find",
        "scribe ✓ datetime → iso=",
        "member     turns  tool calls  tokens in  tokens out",
        "5 members, 42 turns, 38 tool calls, ",
        " tokens (estimated), ",
    ):
        assert part in told, part


def test_task_ids_are_shown_as_their_number_on_the_board(capsys: Capsys) -> None:
    assert "Yours is task #1." in played(capsys).err


def test_a_log_that_goes_to_a_file_has_no_colours_and_no_cursor_moves(capsys: Capsys) -> None:
    assert "\x1b" not in played(capsys).err


def test_quiet_leaves_the_answer_alone(capsys: Capsys) -> None:
    ended = played(capsys, "--quiet")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("Checkout works again.")


def test_the_task_is_read_from_standard_input_for_a_dash(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = tmp_path / "task.txt"
    given.write_text("Ship it on Friday", encoding="utf-8")
    with given.open(encoding="utf-8") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        ended = called(capsys, "run", a_team(tmp_path), "-", "--model", "scripted")
    assert ended.code == 0
    assert "you → lead: Ship it on Friday" in ended.err


# -- who plays ---------------------------------------------------------------------------------


def test_without_a_performance_the_plain_rule_plays_and_says_so(
    capsys: Capsys, tmp_path: Path
) -> None:
    ended = called(capsys, "run", a_team(tmp_path), "Go", "--model", "scripted")
    assert ended.code == 0
    assert ended.out.startswith("[scripted]")
    assert "played offline by the plain rule" in ended.err


def test_a_script_of_one_s_own_answers_for_everybody(capsys: Capsys, tmp_path: Path) -> None:
    script = tmp_path / "mine.toml"
    script.write_text('[[line]]\nsay = "It is done."\nrepeat = true\n', encoding="utf-8")
    ended = called(capsys, "run", a_team(tmp_path), "Go", "--script", script)
    assert (ended.code, ended.out) == (0, "It is done.\n")


def test_members_may_be_named_and_the_task_given_to_one_of_them(
    capsys: Capsys, tmp_path: Path
) -> None:
    who = ("--member", "lead=ann", "--member", "worker=bob", "--member", "worker=cy", "--to", "bob")
    ended = called(capsys, "run", a_team(tmp_path), "Go", "--model", "scripted", *who)
    assert ended.code == 0
    assert "ann ↔ bob, cy" not in ended.err  # who leads is shown first: bob got the task
    assert "you → bob: Go" in ended.err
    assert "bob → ann: " in ended.err


def test_other_people_s_teams_run_offline(capsys: Capsys) -> None:
    """Where those files lie beside the repository; they are not part of it."""
    inputs = ROOT.parent / "shared" / "inputs"
    teams = [inputs / n for n in ("incident-war-room", "coding-swarm.toml", "release-triage")]
    ended = [called(capsys, "run", t, "Go", "--model", "scripted") for t in teams if t.exists()]
    assert all(e.code == 0 and e.out.startswith("[scripted]") for e in ended)


# -- JSON --------------------------------------------------------------------------------------


def test_json_is_every_event_in_order_and_then_the_answer(capsys: Capsys) -> None:
    ended = played(capsys, "--json")
    *events, last = ended.lines
    assert ended.code == 0
    facts = [line["cursor"] for line in events if "kind" in line]
    assert facts == list(range(1, len(facts) + 1))
    assert all(("kind" in line) != ("envelope" in line) for line in events)
    assert last["type"] == "answer"
    assert last["member"] == "commander"
    assert str(last["text"]).startswith("Checkout works again.")
    assert (last["turns"], last["tool_calls"], last["failed_runs"]) == (42, 38, 0)
    assert "you → commander" in ended.err


def test_json_ends_with_the_error_of_a_run_that_has_none(capsys: Capsys, tmp_path: Path) -> None:
    ended = called(capsys, "run", a_team(tmp_path), " ", "--model", "scripted", "--json")
    [last] = ended.lines
    assert (last["type"], last["code"], last["exit_code"]) == ("error", "INVALID_PARAMS", 2)
    assert ended.code == 2


# -- what is refused, and what fails -----------------------------------------------------------


def test_without_a_key_nothing_starts_and_every_way_out_is_named(
    capsys: Capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "RKAT_OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    ended = called(capsys, "run", a_team(tmp_path), "Go", "--json")
    assert ended.code == 20
    assert [line["type"] for line in ended.lines] == ["error"]
    for way_out in ("OPENAI_API_KEY", "--base-url", "--model scripted"):
        assert way_out in ended.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ["--model", "scripted", "--base-url", "http://127.0.0.1:1"],
            "--base-url: it has no effect",
        ),
        (["--model", "scripted", "--api-key", "k"], "--api-key: it has no effect"),
        (["--script", "x.toml", "--model", "gpt-5"], "--model: it has no effect"),
        (["--model", "scripted", "--shell"], "--shell: commands must begin somewhere"),
        (["--model", "scripted", "--root", "."], "--root: no member works on files"),
        (["--model", "scripted", "--root", ".", "--shell"], "--shell: no member has a shell"),
        (["--model", "scripted", "--mcp"], "--mcp: no member has an MCP server"),
        (["--model", "gpt-5", "--pace", "10"], "--pace: it has no effect"),
        (["--model", "scripted", "--member", "lead"], "'lead' is not of the form profile=id"),
        (["--model", "scripted", "--member", "lead=a", "--member", "worker=a"], "two members"),
        (["--model", "scripted", "--member", "chef=a"], "no profile 'chef'"),
        (["--model", "scripted", "--to", "chef"], "no member 'chef'"),
        (["--script", "nowhere.toml"], "cannot read nowhere.toml"),
        (["--timeout", "0"], "'--timeout'"),
        (["--modle", "scripted"], "--model"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_reason(
    capsys: Capsys, tmp_path: Path, options: list[str], told: str
) -> None:
    ended = called(capsys, "run", a_team(tmp_path), "Go", *options)
    assert ended.code == 2
    assert told in ended.err
    assert ended.out == ""


def test_a_definition_with_errors_is_refused_with_all_of_them(
    capsys: Capsys, tmp_path: Path
) -> None:
    text = PAIR.replace('orchestrator = "lead"', 'orchestrator = "boss"')
    ended = called(capsys, "run", a_team(tmp_path, text), "Go", "--model", "scripted")
    assert ended.code == 2
    assert "error   missing_orchestrator_profile at mob.orchestrator" in ended.err


def test_a_missing_skill_ends_before_any_model_is_asked(capsys: Capsys, tmp_path: Path) -> None:
    text = PAIR.replace(
        "[profiles.lead]", '[skills.lost]\nsource = "path"\npath = "lost.md"\n\n[profiles.lead]'
    ).replace('model = "gpt-5-mini"', 'model = "gpt-5-mini"\nskills = ["lost"]', 1)
    ended = called(capsys, "run", a_team(tmp_path, text), "Go", "--model", "scripted")
    assert ended.code == 41
    assert str(tmp_path / "lost.md") in ended.err


def test_a_pack_that_requires_what_is_not_here_is_refused(capsys: Capsys, tmp_path: Path) -> None:
    (tmp_path / "definition.toml").write_text(PAIR, encoding="utf-8")
    manifest = '[mobpack]\nname = "p"\nversion = "1"\n[requires]\ncapabilities = ["shell"]\n'
    (tmp_path / "manifest.toml").write_text(manifest, encoding="utf-8")
    ended = called(capsys, "run", tmp_path, "Go", "--model", "scripted")
    assert ended.code == 40
    assert "shell is not available" in ended.err


def test_a_run_that_fails_is_told_once_and_without_a_traceback(
    capsys: Capsys, tmp_path: Path
) -> None:
    script = tmp_path / "short.toml"
    script.write_text('[[line]]\nprofile = "worker"\nsay = "Yes?"\n', encoding="utf-8")
    ended = called(capsys, "run", a_team(tmp_path), "Go", "--script", script)
    assert ended.code == 20
    assert ended.err.count("has no line for pair/lead/lead") == 1
    assert "error SCRIPT_ERROR: " in ended.err
    assert "Traceback" not in ended.err


def test_the_failure_of_another_member_is_shown_and_does_not_end_the_run(
    capsys: Capsys, tmp_path: Path
) -> None:
    script = tmp_path / "half.toml"
    script.write_text(
        '[[line]]\nprofile = "lead"\nsay = "Asking."\nthen = "Nobody knows."\n'
        'call = [{ tool = "send_message", args = { to = "worker", body = "Well?" } }]\n',
        encoding="utf-8",
    )
    ended = called(capsys, "run", a_team(tmp_path), "Go", "--script", script)
    assert (ended.code, ended.out) == (0, "Nobody knows.\n")
    assert "worker ✗ " in ended.err
    assert "worker (1 failed)" in ended.err


def test_debug_shows_where_an_error_came_from(capsys: Capsys, tmp_path: Path) -> None:
    ended = called(capsys, "run", a_team(tmp_path), " ", "--model", "scripted", "--debug")
    assert ended.code == 2
    assert "Traceback" in ended.err


def test_a_team_that_is_not_done_in_time_names_who_is_at_work(capsys: Capsys) -> None:
    ended = played(capsys, "--pace", "1000", "--timeout", "0.05")
    assert ended.code == 14
    assert "still at work: commander" in ended.err


DEV = """
[mob]
id = "solo"

[profiles.dev]
model = "gpt-5-mini"
tools = { comms = true, builtins = true, shell = true }
"""
WORK = """
[[line]]
profile = "dev"
when = "Go"
then = "Done."

[[line.call]]
tool = "shell"
args = { command = "cat notes; echo more >> notes" }
"""


def test_a_member_works_below_the_root_and_with_a_shell_if_it_is_given_one(
    capsys: Capsys, tmp_path: Path
) -> None:
    team, script, root = a_team(tmp_path, DEV), tmp_path / "script.toml", tmp_path / "work"
    script.write_text(WORK, encoding="utf-8")
    argv = ("run", team, "Go", "--script", script, "--root", root)
    assert "root" in called(capsys, *argv).err  # there is no such folder
    root.mkdir()
    (root / "notes").write_text("one\n", encoding="utf-8")
    without = called(capsys, *argv)
    assert (without.code, "no tool 'shell'" in without.err) == (0, True)
    ended = called(capsys, *argv, "--shell")
    assert (ended.code, ended.out) == (0, "Done.\n")
    assert (root / "notes").read_text(encoding="utf-8") == "one\nmore\n"


CLERK = """
[mob]
id = "office"

[profiles.clerk]
model = "scripted"
tools = {{ comms = true, mcp = ["clock", "ghost"] }}

[mcp.clock]
command = ["{python}", "-m", "mcp_server_time", "--local-timezone=UTC"]

[mcp.ghost]
command = ["/no/such/program"]
"""

ASK_THE_CLOCK = """
[[line]]
profile = "clerk"
when = "Time"
then = "It is noon."

[[line.call]]
tool = "get_current_time"
args = { timezone = "UTC" }
"""


def test_servers_are_used_if_it_is_said_and_those_that_are_absent_are_told(
    capsys: Capsys, tmp_path: Path
) -> None:
    team, script = a_team(tmp_path, CLERK.format(python=sys.executable)), tmp_path / "script.toml"
    script.write_text(ASK_THE_CLOCK, encoding="utf-8")
    argv = ("run", team, "Time?", "--script", script)
    without = called(capsys, *argv)
    assert (without.code, "no tool 'get_current_time'" in without.err) == (0, True)
    ended = called(capsys, *argv, "--mcp")
    assert (ended.code, ended.out) == (0, "It is noon.\n")
    assert "no tool" not in ended.err
    assert "mcp_server_absent at mcp.ghost" in ended.err
    assert "No such file" in ended.err
