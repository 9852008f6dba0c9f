"""`meerkat-mob inputs` and `receipts`: what was given to sessions, and what is proven of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from meerkat_mob.core.messages import HandlingMode
from meerkat_mob.runtime import RuntimeSessionAdapter, SessionExecutor
from meerkat_mob.sessions import PersistentSessionService
from meerkat_mob.sessions.facts import RUN_ENDED
from meerkat_mob.store.chain import GENESIS, chain_of, seal_of
from meerkat_mob.store.file.schema import DATABASE
from meerkat_mob.testing.builders import a_clock, a_prompt, a_request, some_ids
from tests.surfaces.cli.kit import called
from tests.surfaces.cli.realms import a_realm, damage, damage_head, nothing

Capture = pytest.CaptureFixture[str]


async def work(service: PersistentSessionService) -> None:
    """One session has done its work, another waits for somebody to work there."""
    for name in ("busy", "waiting"):
        await service.create_session(a_request(defer=True, session_id=name))
    adapter = RuntimeSessionAdapter.persistent(service, ids=some_ids("run"), clock=a_clock())
    await adapter.register_session("busy", SessionExecutor(service, "busy"), keep_alive=True)
    await adapter.register_session("waiting", keep_alive=True)
    modes: tuple[HandlingMode, ...] = ("queue", "queue", "steer")
    for number, mode in enumerate(modes):
        await adapter.accept_input("busy", a_prompt(f"do {number}", f"in-{number}", mode=mode))
    await adapter.accept_input("waiting", a_prompt("and\nthis", "in-9"))
    await adapter.activity.until(lambda: not adapter.is_busy("busy"))
    await adapter.aclose()


@pytest.fixture
def realm(tmp_path: Path) -> Path:
    return a_realm(tmp_path / "kept", work)


def damage_a_record(realm: Path) -> None:
    damage(realm, "busy", 3)


def damage_the_head(realm: Path) -> None:
    damage_head(realm, "busy")


def test_what_waits_is_shown_and_what_has_ended_is_counted(capsys: Capture, realm: Path) -> None:
    ended = called(capsys, "inputs", realm)
    assert ended.code == 0
    sessions, inputs = ended.out.split("\n\n")
    assert [row.split() for row in sessions.splitlines()] == [
        ["session", "waiting", "consumed", "abandoned"],
        ["busy", "0", "3", "0"],
        ["waiting", "1", "0", "0"],
    ]
    _, row = inputs.splitlines()
    assert row.split("  ")[-1] == "operator: and this"
    assert "session waiting, queue lane" in row
    told = "4 inputs: 3 consumed, 0 abandoned, 1 waiting; --all shows those that have ended\n"
    assert ended.err == told
    every = called(capsys, "inputs", realm, "--all").out.split("\n\n")[1]
    assert len(every.splitlines()) == 1 + 4


def test_of_one_session_all_is_shown_in_order(capsys: Capture, realm: Path) -> None:
    _, *rows = called(capsys, "inputs", realm, "bu").out.splitlines()
    assert [row.split("  ")[-1] for row in rows] == [f"operator: do {n}" for n in range(3)]
    assert all("consumed" in row for row in rows)


def test_inputs_as_json_have_stable_names(capsys: Capture, realm: Path) -> None:
    told = json.loads(called(capsys, "inputs", realm, "waiting", "--json").out)
    assert (told["queued"], told["consumed"], told["abandoned"]) == (1, 0, 0)
    (one,) = told["inputs"]
    assert (one["input_id"], one["state"], one["lane"], one["kind"], one["source"]) == (
        "in-9",
        "queued",
        "queue",
        "prompt",
        "operator",
    )


def test_receipts_that_agree_end_well(capsys: Capture, realm: Path) -> None:
    ended = called(capsys, "receipts", realm)
    assert ended.code == 0
    session, _, *rows = ended.out.splitlines()
    assert session == "session busy"
    assert all("agrees" in row for row in rows)
    assert ended.err == f"{len(rows)} receipts in 1 session: {len(rows)} agree\n"
    told = json.loads(called(capsys, "receipts", realm, "busy", "--json").out)
    assert told["ok"]
    assert {i for r in told["receipts"] for i in r["receipt"]["contributing_input_ids"]} == {
        "in-0",
        "in-1",
        "in-2",
    }


def test_a_receipt_that_does_not_agree_is_named_with_its_first_difference(
    capsys: Capture, realm: Path
) -> None:
    """Somebody changed one on purpose, and computed every hash anew: only the receipt tells."""
    _forge(realm, "busy", b'"message_count":2', b'"message_count":3')
    ended = called(capsys, "receipts", realm)
    assert ended.code == 1
    assert "message_count: the receipt says 3, stored are 2" in ended.err
    assert any("DIFFERS" in row for row in ended.out.splitlines())
    assert not json.loads(called(capsys, "receipts", realm, "--json").out)["ok"]


def _forge(realm: Path, session: str, old: bytes, new: bytes) -> None:
    stream, chain = f"session:{session}", GENESIS
    with sqlite3.connect(realm / DATABASE) as db:
        sql = "SELECT seq, kind, v, at, keys, body FROM records WHERE stream = ? ORDER BY seq"
        for seq, kind, v, at, keys, body in db.execute(sql, (stream,)).fetchall():
            forged = body.replace(old, new, 1) if kind == RUN_ENDED else body
            taken = tuple(json.loads(keys)) if keys else ()
            chain = chain_of(
                chain, stream=stream, seq=seq, kind=kind, v=v, at=at, keys=taken, body=forged
            )
            db.execute(
                "UPDATE records SET body = ?, chain = ? WHERE stream = ? AND seq = ?",
                (forged, chain, stream, seq),
            )
        revision, at, summary = db.execute(
            "SELECT revision, at, summary FROM heads WHERE stream = ?", (stream,)
        ).fetchone()
        seal = seal_of(chain, stream=stream, revision=revision, at=at, summary=summary)
        db.execute("UPDATE heads SET chain = ?, seal = ? WHERE stream = ?", (chain, seal, stream))


def test_a_realm_in_which_nothing_was_asked_has_nothing_to_show(
    capsys: Capture, tmp_path: Path
) -> None:
    realm = a_realm(tmp_path / "kept", nothing)
    assert called(capsys, "inputs", realm).out == ""
    assert called(capsys, "receipts", realm).err == "no receipt was given so far\n"


@pytest.mark.parametrize("harm", [damage_a_record, damage_the_head])
@pytest.mark.parametrize("command", ["inputs", "receipts"])
def test_a_damaged_session_is_told_and_hides_no_other(
    capsys: Capture, realm: Path, command: str, harm: Callable[[Path], None]
) -> None:
    harm(realm)
    ended = called(capsys, command, realm)
    assert ended.code == 50
    assert "STORE_CORRUPT" in ended.err
    assert "busy" in ended.err
    if command == "inputs":
        assert "operator: and this" in ended.out
    answer = called(capsys, command, realm, "--json")
    assert answer.code == 50
    told = json.loads(answer.out)
    found = {one["session_id"]: one["damage"] for one in told["sessions"]}
    assert found["waiting"] is None
    assert found["busy"]["code"] == "STORE_CORRUPT"
    assert not told.get("ok")


@pytest.mark.parametrize("command", ["inputs", "receipts"])
def test_a_mistake_is_told_and_not_traced(capsys: Capture, realm: Path, command: str) -> None:
    assert called(capsys, command, realm / "elsewhere").code == 2
    ended = called(capsys, command, realm, "nobody")
    assert ended.code == 10
    assert "SESSION_NOT_FOUND" in ended.err
