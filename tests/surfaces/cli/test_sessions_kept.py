"""`meerkat-mob sessions verify` and `export`: damage is told, and nothing is written by halves."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import msgspec
import pytest

from meerkat_mob.core.session import decode_session, encode_session
from meerkat_mob.mob.outside import MEANINGS
from meerkat_mob.store.file import verify as verify_module
from tests.store.kit import edit, query
from tests.surfaces.cli.kit import called
from tests.surfaces.cli.realms import a_realm, archived, damage, damage_head, talks

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def realm(tmp_path: Path) -> Path:
    return a_realm(tmp_path / "kept", talks)


# -- verify ------------------------------------------------------------------------------------


def test_a_realm_that_is_as_committed_is_said_to_be(capsys: Capture, realm: Path) -> None:
    ended = called(capsys, "sessions", "verify", realm)
    records = query(realm, "SELECT count(*) FROM records")[0][0]
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"{realm}: as committed (4 streams, {records} records, 0 keys, 1 image)\n"
    verdict = called(capsys, "sessions", "verify", realm, "--json").document
    assert verdict == {
        "ok": True,
        "streams": 4,
        "records": records,
        "keys": 0,
        "blobs": 1,
        "findings": [],
    }


def test_findings_say_where_what_it_means_and_what_to_do(capsys: Capture, realm: Path) -> None:
    damage(realm, "talk-1", 3)
    damage(realm, "talk-3", 3)
    damage_head(realm, "talk-2")
    ended = called(capsys, "sessions", "verify", realm)
    assert ended.code == 50
    first, second, *_ = ended.out.split("\n\n")
    assert first.splitlines() == [
        "head_changed: a stream's summary is not what was committed; its records can be read",
        "  session:talk-2: its head is not what was committed",
        "  → restore the realm's folder from a copy",
    ]
    kind, one, other, advice = second.splitlines()
    assert kind == "record_changed: a record is not what was committed"
    assert one.startswith("  session:talk-1, record 3: ")
    assert other.startswith("  session:talk-3, record 3: ")
    assert advice.startswith("  → what comes before it in its stream can still be read; restore")
    assert ": damaged, " in ended.out.splitlines()[-1]


def test_findings_as_json_have_their_own_field_names(capsys: Capture, realm: Path) -> None:
    damage(realm, "talk-1", 3)
    ended = called(capsys, "sessions", "verify", realm, "--json")
    assert ended.code == 50
    verdict = ended.document
    assert verdict["ok"] is False
    finding, *_ = verdict["findings"]
    assert list(finding) == ["code", "stream", "seq", "message", "means", "advice"]
    assert (finding["code"], finding["stream"], finding["seq"]) == (
        "record_changed",
        "session:talk-1",
        3,
    )


def test_a_summary_that_does_not_follow_from_the_records_is_found(
    capsys: Capture, realm: Path
) -> None:
    edit(realm, "DELETE FROM records WHERE stream = 'session:talk-1' AND seq = 1")
    verdict = called(capsys, "sessions", "verify", realm, "--json").document
    codes = {finding["code"] for finding in verdict["findings"]}
    assert "record_missing" in codes


def test_many_findings_of_a_kind_are_counted(capsys: Capture, realm: Path) -> None:
    edit(realm, "UPDATE records SET body = x'00', kind = 'other' WHERE stream = 'session:lead-1'")
    edit(realm, "UPDATE records SET at = 1 WHERE stream != 'session:lead-1'")
    ended = called(capsys, "sessions", "verify", realm)
    assert ended.code == 50
    assert re.search(r"^  and \d+ more: --json has all$", ended.out, flags=re.MULTILINE)


def test_every_kind_of_finding_has_a_meaning_of_its_own() -> None:
    source = inspect.getsource(inspect.getmodule(verify_module) or verify_module)
    told = set(re.findall(r"find\(\s*\"([a-z_]+)\"", source))
    assert told
    assert told <= set(MEANINGS)


# -- export ------------------------------------------------------------------------------------


def test_an_export_is_the_whole_document(capsys: Capture, realm: Path) -> None:
    ended = called(capsys, "sessions", "export", realm, "lead")
    assert ended.code == 0
    document = decode_session(ended.out)
    assert encode_session(document).decode() + "\n" == ended.out
    assert (document.id, len(document.history)) == ("lead-1", 7)
    assert ended.err == "1 image named in it, and kept in the realm only\n"


def test_the_other_form_is_the_same_session(capsys: Capture, realm: Path) -> None:
    ours = called(capsys, "sessions", "export", realm, "lead-1")
    theirs = called(capsys, "sessions", "export", realm, "lead-1", "--format", "upstream")
    document = theirs.document
    assert set(document["created_at"]) == {
        "secs_since_epoch",
        "nanos_since_epoch",
    }
    assert decode_session(theirs.out).history == decode_session(ours.out).history


def test_an_archived_session_is_exported_too(capsys: Capture, tmp_path: Path) -> None:
    ended = called(capsys, "sessions", "export", a_realm(tmp_path, archived), "talk-2")
    assert decode_session(ended.out).metadata["session_archived"] is True


def test_a_file_is_written_whole_and_replaces_what_was_there(
    capsys: Capture, realm: Path, tmp_path: Path
) -> None:
    target = tmp_path / "one.json"
    target.write_text("old")
    ended = called(capsys, "sessions", "export", realm, "talk-1", "--output", target)
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == f"session talk-1: 2 messages, written to {target}\n"
    assert msgspec.json.decode(target.read_bytes())["id"] == "talk-1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "one.json"]
    dash = called(capsys, "sessions", "export", realm, "talk-1", "--output", "-")
    assert dash.out == target.read_text()


def test_what_cannot_be_written_leaves_everything_as_it_was(
    capsys: Capture, realm: Path, tmp_path: Path
) -> None:
    for target in (tmp_path, tmp_path / "no" / "one.json"):
        ended = called(capsys, "sessions", "export", realm, "talk-1", "--output", target)
        assert ended.code == 2
        assert ended.err.startswith("error INVALID_PARAMS: --output: ")
    long = called(capsys, "sessions", "export", realm, "talk-1", "--output", tmp_path / ("n" * 300))
    assert long.code == 1
    assert long.err.startswith("error STORE_FAILED: ")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_part_of_a_session_is_exported_only_when_it_is_asked_for(
    capsys: Capture, realm: Path, tmp_path: Path
) -> None:
    damage(realm, "lead-1", 9)
    target = tmp_path / "one.json"
    ended = called(capsys, "sessions", "export", realm, "lead-1", "--output", target)
    assert (ended.code, target.exists()) == (50, False)
    assert ended.err.startswith("error STORE_CORRUPT: record 9 of session:lead-1")
    ended = called(capsys, "sessions", "export", realm, "lead-1", "--partial")
    assert ended.code == 50
    assert len(decode_session(ended.out).history) == 5
    assert "error STORE_CORRUPT: record 9 of session:lead-1" in ended.err
