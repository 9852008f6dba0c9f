"""`meerkat-mob sessions list` and `show`: what a person sees, and what a program gets."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from meerkat_mob.surfaces.cli.words import ago
from meerkat_mob.testing.builders import NEW_YEAR_2030
from tests.surfaces.cli.kit import called
from tests.surfaces.cli.realms import (
    ALIKE,
    a_realm,
    archived,
    damage,
    damage_head,
    nothing,
    talks,
)

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def realm(tmp_path: Path) -> Path:
    return a_realm(tmp_path / "kept", talks)


# -- list --------------------------------------------------------------------------------------


def test_a_list_has_a_row_for_each_session_the_latest_first(capsys: Capture, realm: Path) -> None:
    ended = called(capsys, "sessions", "list", realm)
    assert ended.code == 0
    heading, *rows = ended.out.splitlines()
    assert heading.split() == ["id", "updated", "messages", "tokens", "model", "labels"]
    assert [row.split()[0] for row in rows] == ["lead-1", "talk-3", "talk-2", "talk-1"]
    assert rows[0].endswith("scripted  meerkat_id=lead mob_id=pair role=lead")
    assert ended.err == "4 of 4\n"


def test_a_page_says_how_to_get_the_next(capsys: Capture, realm: Path) -> None:
    ended = called(capsys, "sessions", "list", realm, "--limit", "3")
    assert ended.err == "3 of 4; --offset 3 for the next\n"
    ended = called(capsys, "sessions", "list", realm, "--limit", "3", "--offset", "3")
    assert ended.err == "4 to 4 of 4\n"
    assert [line.split()[0] for line in ended.out.splitlines()] == ["id", "talk-1"]
    ended = called(capsys, "sessions", "list", realm, "--offset", "9")
    assert (ended.out, ended.err) == ("", "there are only 4 sessions: leave out --offset\n")


def test_labels_choose_and_an_archived_one_is_told_of(capsys: Capture, tmp_path: Path) -> None:
    realm = a_realm(tmp_path, archived)
    ended = called(capsys, "sessions", "list", realm, "--label", "team=red")
    assert [line.split()[0] for line in ended.out.splitlines()] == ["id", "talk-3", "talk-1"]
    ended = called(capsys, "sessions", "list", realm, "--label", "team=blue")
    assert ended.out == ""
    told = "no session has these labels: leave out --label to see all"
    assert ended.err == f"{told}; 1 archived, --archived shows them\n"
    ended = called(capsys, "sessions", "list", realm, "--label", "team=blue", "--archived")
    assert "archived  team=blue" in ended.out
    assert ended.err == "1 of 1\n"


@pytest.mark.parametrize(
    "labels", [("--label", "red"), ("--label", "=red"), ("--label", "a=b", "--label", "a=c")]
)
def test_labels_of_another_form_are_refused(
    capsys: Capture, realm: Path, labels: tuple[str, ...]
) -> None:
    ended = called(capsys, "sessions", "list", realm, *labels)
    assert ended.code == 2
    assert ended.err.startswith("error INVALID_PARAMS: --label: ")


def test_a_list_as_json_has_its_own_field_names(capsys: Capture, realm: Path) -> None:
    ended = called(capsys, "sessions", "list", realm, "--limit", "1", "--json")
    listed = ended.document
    (lead,) = listed.pop("sessions")
    assert listed == {
        "offset": 0,
        "total": 4,
        "next_offset": 1,
        "archived_left_out": 0,
        "damaged": 0,
        "damage": None,
    }
    assert list(lead) == [
        "session_id",
        "created_at",
        "updated_at",
        "message_count",
        "total_tokens",
        "model",
        "provider",
        "labels",
        "archived",
        "damaged",
    ]
    assert lead["created_at"] >= NEW_YEAR_2030
    assert ended.err == ""


def test_a_realm_without_sessions_says_so_and_what_to_do(capsys: Capture, tmp_path: Path) -> None:
    ended = called(capsys, "sessions", "list", a_realm(tmp_path, nothing))
    assert (ended.code, ended.out) == (0, "")
    assert "keeps no session yet: 'meerkat-mob run TEAM TASK --realm " in ended.err


def test_a_damaged_session_is_marked_and_hides_no_other(capsys: Capture, realm: Path) -> None:
    damage_head(realm, "talk-2")
    ended = called(capsys, "sessions", "list", realm)
    assert ended.code == 0
    rows = [line.split()[0] for line in ended.out.splitlines()[1:]]
    assert rows == ["lead-1", "talk-3", "talk-1", "talk-2"]
    assert ended.out.endswith("damaged: its summary is not what was committed\n")
    assert ended.err.startswith(f"1 damaged session: 'meerkat-mob sessions verify {realm}'")


# -- show --------------------------------------------------------------------------------------

CONVERSATION = """\

user: look
lead: I look.
lead ✓ echo {"place":"Ödön"} → {"place":"Ödön"}
lead ✗ fail {"why":"so"} → {"error":"execution_failed","message":"ValueError: no such place"}
lead: Here it is:

  - one
  - two

user: What is [31mthis[0m?
  [image: image/png]
lead: Here it is:

  - one
  - two
waits: note from weather: It rains.
waits: result of call-9: done elsewhere
"""


def test_a_session_is_shown_as_a_person_reads_it(capsys: Capture, realm: Path) -> None:
    ended = called(capsys, "sessions", "show", realm, "lead-1")
    assert ended.code == 0
    figures, gap, said = ended.out.partition("\n\n")
    assert gap
    told = dict(line.split(maxsplit=1) for line in figures.splitlines())
    assert told["session"] == "lead-1"
    assert told["labels"] == "meerkat_id=lead mob_id=pair role=lead"
    assert told["messages"] == "7"
    assert told["runs"] == "2 ended, 1 receipt"
    assert told["waiting"] == "1 note, 1 tool result for the next run"
    assert "state" not in told
    lines = said.splitlines()
    assert lines[0].startswith("system: Be kind. ")
    assert lines[0].endswith("…")
    assert len(lines[0]) < 180
    assert lines[1:] == CONVERSATION.splitlines()


def test_the_last_messages_can_be_shown_alone(capsys: Capture, realm: Path) -> None:
    ended = called(capsys, "sessions", "show", realm, "lead", "--last", "4")
    _, _, said = ended.out.partition("\n\n")
    first, second, *_ = said.splitlines()
    assert first == "3 messages before: leave out --last, or give a larger one"
    assert second == 'lead ✓ → {"place":"Ödön"}'  # its call is not among them
    ended = called(capsys, "sessions", "show", realm, "lead", "--last", "0")
    assert "lead: " not in ended.out


def test_a_session_as_json_has_its_messages_as_they_are_stored(
    capsys: Capture, realm: Path
) -> None:
    ended = called(capsys, "sessions", "show", realm, "lead-1", "--last", "2", "--json")
    shown = ended.document
    assert (shown["message_count"], shown["offset"]) == (7, 5)
    assert (shown["runs"], shown["receipts"], shown["damage"]) == (2, 1, None)
    assert [message["role"] for message in shown["messages"]] == [
        "user",
        "block_assistant",
    ]
    waiting = shown["waiting"]
    assert waiting["prompt"] is None
    assert waiting["context"][0]["text"] == "It rains."
    assert waiting["tool_results"][0]["tool_use_id"] == "call-9"


def test_an_archived_session_is_shown_and_marked(capsys: Capture, tmp_path: Path) -> None:
    ended = called(capsys, "sessions", "show", a_realm(tmp_path, archived), "talk-2")
    assert ended.code == 0
    assert "state     archived" in ended.out


def test_a_beginning_that_several_have_names_them(capsys: Capture, realm: Path) -> None:
    ended = called(capsys, "sessions", "show", realm, "talk")
    assert ended.code == 2
    assert "several sessions begin with 'talk': talk-1, talk-2, talk-3; give more" in ended.err


def test_an_unknown_session_names_the_nearest(capsys: Capture, realm: Path) -> None:
    ended = called(capsys, "sessions", "show", realm, "talk-4", "--json")
    assert ended.code == 10
    assert "SESSION_NOT_FOUND: no session talk-4: did you mean talk-" in ended.err
    line = ended.document
    assert (line["type"], line["code"], line["exit_code"]) == ("error", "SESSION_NOT_FOUND", 10)


def test_of_a_damaged_session_it_shows_what_comes_before(capsys: Capture, realm: Path) -> None:
    damage(realm, "talk-2", 5)
    ended = called(capsys, "sessions", "show", realm, "talk-2", "--json")
    assert ended.code == 50
    shown = ended.document
    assert shown["session_id"] == "talk-2"
    assert (shown["revision"], shown["runs"]) == (4, 0)
    assert shown["damage"]["code"] == "STORE_CORRUPT"
    assert ended.err.startswith("error STORE_CORRUPT: record 5 of session:talk-2 is damaged")
    for other in ALIKE[::2]:
        assert called(capsys, "sessions", "show", realm, other).code == 0


# -- what is no realm --------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("list",), ("show", "x"), ("verify",), ("export", "x")])
def test_what_is_no_realm_is_refused_in_words(
    capsys: Capture, tmp_path: Path, command: tuple[str, ...]
) -> None:
    verb, *rest = command
    (tmp_path / "file").write_text("hello")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "realm.sqlite3").write_bytes(b"hello" * 1000)
    for place in ("nowhere", "file", ".", "other"):
        ended = called(capsys, "sessions", verb, tmp_path / place, *rest)
        assert ended.code == 2, ended.err
        assert ended.err.startswith("error REALM_UNREADABLE: cannot open the realm at ")
        assert ended.err.count("\n") == 1
        assert ended.out == ""


def test_a_realm_of_a_newer_format_is_refused_naming_what_opens_it(
    capsys: Capture, realm: Path
) -> None:
    db = sqlite3.connect(realm / "realm.sqlite3")
    db.execute("PRAGMA user_version = 99")
    db.close()
    ended = called(capsys, "sessions", "list", realm, "--json")
    assert ended.code == 2
    assert "it has format 99" in ended.err
    assert "open it with the version that wrote it, or a later one" in ended.err


def test_a_time_is_told_as_a_person_would() -> None:
    now, second = NEW_YEAR_2030, 1000
    told = [ago(now - s * second, now) for s in (0, 1, 2, 59, 60, 3599, 7200, 86_400 * 29)]
    assert told == [
        "just now",
        "just now",
        "2 s ago",
        "59 s ago",
        "1 min ago",
        "59 min ago",
        "2 h ago",
        "29 d ago",
    ]
    for far in (now - 86_400 * 40 * second, now + 86_400 * 2 * second):
        assert ago(far, now)[:2] == "20"
