"""Every error has an exit code, and the page about the command shows the same table."""

from __future__ import annotations

import re

import pytest

from meerkat_mob.errors import (
    DefinitionInvalid,
    InboxFull,
    LlmKeyMissing,
    MeerkatError,
    MobNotFound,
    NoPendingBoundary,
    PersistenceDisabled,
    ScriptError,
    SessionNotFound,
)
from meerkat_mob.surfaces.cli.exit_codes import BY_CODE, exit_code
from tests.surfaces.cli.kit import ROOT


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DefinitionInvalid(diagnostics=()), 2),
        (SessionNotFound(session_id="s"), 10),
        (ScriptError(detail="d", hint="h"), 20),
        (LlmKeyMissing(provider="openai", model="gpt", variables=("K",)), 20),
        (NoPendingBoundary(), 30),
        (PersistenceDisabled(what="it"), 40),
        (MobNotFound(mob_id="m", known=()), 1),
        (InboxFull(session_id="s", bound=1), 1),
        (ValueError("a fault of ours"), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_an_error_without_a_row_takes_that_of_the_class_above_it(
    error: Exception, code: int
) -> None:
    assert exit_code(error) == code


def test_every_row_names_an_error_that_exists() -> None:
    codes: set[str] = set()
    waiting = [MeerkatError]
    while waiting:
        kind = waiting.pop()
        codes.add(kind.code)
        waiting += kind.__subclasses__()
    assert set(BY_CODE) - codes == set()


def test_the_page_about_the_command_has_the_same_table() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \|[^|]*\|([^|]*)\|$", page, flags=re.MULTILINE)
    told = {code: int(number) for number, text in rows for code in re.findall(r"`([A-Z_]+)`", text)}
    assert told == BY_CODE
