"""What the tests of the command share: the examples' team, and the command run in this process."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from meerkat_mob.surfaces.cli import main
from tests.surfaces.kit import Plain

ROOT = Path(__file__).parents[3]
INCIDENT_ROOM = ROOT / "examples" / "incident-room"
TASK = "Checkout fails for one customer in five since 09:40."

PAIR = """
[mob]
id = "pair"
orchestrator = "lead"

[profiles.lead]
model = "gpt-5-mini"
tools = { comms = true, mob_tasks = true }

[profiles.worker]
model = "gpt-5-mini"
tools = { comms = true, mob_tasks = true }

[wiring]
auto_wire_orchestrator = true
"""


class Ended(NamedTuple):
    """How a command ended, and what it printed where."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, object]]:
        """Standard output as JSON lines."""
        return [msgspec.json.decode(line) for line in self.out.splitlines()]

    @property
    def document(self) -> Plain:
        """The one JSON document on standard output."""
        return msgspec.json.decode(self.out)


def called(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> Ended:
    """Runs the command in this process."""
    capsys.readouterr()
    code = main([str(one) for one in argv])
    out, err = capsys.readouterr()
    return Ended(code, out, err)


def a_team(folder: Path, text: str = PAIR) -> Path:
    """A team file in a folder."""
    path = folder / "team.toml"
    path.write_text(text, encoding="utf-8")
    return path
