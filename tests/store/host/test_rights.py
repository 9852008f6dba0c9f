"""What somebody may do with a realm who may not do everything with its files."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from meerkat_mob._target import now_ms
from meerkat_mob.store.file import FileStore, open_file_store
from meerkat_mob.store.file.flock import flock
from meerkat_mob.store.file.threads import ThreadLane
from tests.store.kit import fill

ROOT = Path(__file__).resolve().parents[3]
DONE, REFUSED = "done", "REALM_UNREADABLE"
FILES = ("realm.sqlite3", "realm.sqlite3-wal", "realm.lock")


async def opened(folder: Path) -> FileStore:
    return await open_file_store(
        folder, clock=now_ms, holder="its owner", lane=ThreadLane, lock=flock
    )


@contextmanager
def a_realm_with(
    original: Path, rights: dict[str, int], folder_rights: int
) -> Generator[Path, None, None]:
    """The same files in a place that everybody can come to. What has no rights given is 0644."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        copy = Path(place, "realm")
        copy.mkdir()
        for name in FILES:
            if (original / name).exists():
                (copy / name).write_bytes((original / name).read_bytes())
                (copy / name).chmod(rights.get(name, 0o644))
        before = {file.name: file.read_bytes() for file in copy.iterdir()}
        copy.chmod(folder_rights)
        try:
            yield copy
        finally:
            copy.chmod(0o755)
            for file in copy.iterdir():
                if file.name in before and os.geteuid() == 0:
                    assert file.read_bytes() == before[file.name], "nothing was changed"


def visit(folder: Path) -> dict[str, str]:
    command = [sys.executable, "-m", "tests.store.host.visitor", str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    told: dict[str, str] = json.loads(done.stdout)
    return told


@pytest.mark.native_only
@pytest.mark.parametrize(
    ("rights", "folder", "reads"),
    [
        pytest.param(dict.fromkeys(FILES, 0o444), 0o555, DONE, id="a read-only folder"),
        pytest.param({"realm.sqlite3": 0}, 0o555, REFUSED, id="an unreadable file"),
        pytest.param({"realm.lock": 0}, 0o555, DONE, id="an unreadable lock"),
        pytest.param({}, 0, REFUSED, id="a folder that cannot be entered"),
    ],
)
async def test_a_closed_realm_is_read_or_refused_with_a_type(
    rights: dict[str, int], folder: int, reads: str, tmp_path: Path
) -> None:
    store = await opened(tmp_path)
    await fill(store)
    await store.aclose()
    with a_realm_with(tmp_path, rights, folder) as copy:
        assert visit(copy) == {"write": REFUSED, "read": reads, "verify": reads}


@pytest.mark.native_only
@pytest.mark.parametrize(
    ("rights", "folder"),
    [
        pytest.param(dict.fromkeys(FILES, 0o444), 0o555, id="a read-only folder"),
        pytest.param({"realm.sqlite3-wal": 0}, 0o555, id="an unreadable log"),
    ],
)
async def test_a_log_that_cannot_be_read_is_not_passed_over(
    rights: dict[str, int], folder: int, tmp_path: Path
) -> None:
    """Without it a realm that was killed would show an earlier state."""
    store = await opened(tmp_path)
    await fill(store)
    with a_realm_with(tmp_path, rights, folder) as copy:
        assert visit(copy) == {"write": REFUSED, "read": REFUSED, "verify": REFUSED}
    await store.aclose()
