"""Findings and failures in words, the same for every command."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from rich.console import Console
from rich.text import Text

from meerkat_mob.errors import DefinitionInvalid, Finding, MeerkatError
from meerkat_mob.mob.definition import Diagnostic, Severity
from meerkat_mob.surfaces.cli.palette import BAD, QUIET, WARN
from meerkat_mob.surfaces.cli.words import clean, counted


class Found(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One finding, of a definition or of a file beside it."""

    code: str
    message: str
    location: str | None
    severity: Severity


def found_in(findings: Iterable[Finding], *, file: str = "") -> tuple[Found, ...]:
    """Findings in one form; ``file`` names the file they are in, where it is not the definition."""
    return tuple(
        Found(
            code=one.code,
            message=one.message,
            location=":".join(part for part in (file, one.location) if part) or None,
            severity=one.severity if isinstance(one, Diagnostic) else "error",
        )
        for one in findings
    )


def errors_in(found: Iterable[Found]) -> int:
    """How many of them are errors."""
    return sum(one.severity == "error" for one in found)


def show_findings(console: Console, found: Iterable[Found]) -> None:
    """One line for each: severity, code, place, message."""
    for one in found:
        severity = (f"{one.severity:<7}", BAD if one.severity == "error" else WARN)
        place = (f" at {clean(one.location)}", "bold") if one.location else ("", "")
        line = Text.assemble(severity, f" {one.code}", place, f": {clean(one.message)}")
        console.print(line, soft_wrap=True)


def show_failure(console: Console, error: BaseException) -> None:
    """One clear message: what happened, and what to do next."""
    if isinstance(error, DefinitionInvalid):
        found = found_in(error.diagnostics)
        show_findings(console, found)
        told = f"{error.source or 'the definition'} has {counted(errors_in(found), 'error')}"
    elif isinstance(error, MeerkatError):
        told = str(error)
    else:
        what = f"{type(error).__name__}: {error}"
        told = f"{what}; this is a fault of meerkat-mob: run again with --debug and report it"
    code = error.code if isinstance(error, MeerkatError) else "INTERNAL_ERROR"
    line = Text.assemble(("error", BAD), (f" {code}", QUIET), f": {clean(told)}")
    console.print(line, soft_wrap=True)
