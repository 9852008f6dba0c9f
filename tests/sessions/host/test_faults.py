"""A disk that fails below the store: the caller is told, and memory shows what the disk holds."""

import json
import subprocess
import sys

import pytest

from tests.store.host.nursery import ROOT
from tests.store.host.sqlite_vfs import FULL, IOERR_FSYNC, IOERR_WRITE


@pytest.mark.parametrize(
    ("kind", "code"), [("write", FULL), ("write", IOERR_WRITE), ("sync", IOERR_FSYNC)]
)
def test_whichever_call_fails_memory_shows_what_the_disk_holds(kind: str, code: int) -> None:
    command = [sys.executable, "-m", "tests.sessions.host.faults", kind, str(code)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    told = json.loads(done.stdout)
    assert told["wrong"] == []
    for act, (tried, refused) in told["tried"].items():
        assert tried == refused >= (3 if act == "turn" else 1)
