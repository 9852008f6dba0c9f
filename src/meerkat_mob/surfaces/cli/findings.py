"""Findings and failures in words, the same for every command."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from meerkat_mob.errors import DefinitionInvalid, MeerkatError
from meerkat_mob.mob.definition import Diagnostic, errors_of
from meerkat_mob.surfaces.cli.palette import BAD, QUIET, WARN
from meerkat_mob.surfaces.cli.words import clean, counted


def diagnostics_of(error: DefinitionInvalid) -> tuple[Diagnostic, ...]:
    """The findings an error carries."""
    return tuple(found for found in error.diagnostics if isinstance(found, Diagnostic))


def show_findings(console: Console, found: Iterable[Diagnostic]) -> None:
    """One line for each: severity, code, place, message."""
    for one in found:
        severity = (f"{one.severity:<7}", BAD if one.severity == "error" else WARN)
        place = (f" at {clean(one.location)}", "bold") if one.location else ("", "")
        line = Text.assemble(severity, f" {one.code}", place, f": {clean(one.message)}")
        console.print(line, soft_wrap=True)


def show_failure(console: Console, error: BaseException) -> None:
    """One clear message: what happened, and what to do next."""
    if isinstance(error, DefinitionInvalid) and (found := diagnostics_of(error)):
        show_findings(console, found)
        errors = counted(len(errors_of(found)), "error")
        told = f"{error.source or 'the definition'} has {errors}"
    elif isinstance(error, MeerkatError):
        told = str(error)
    else:
        what = f"{type(error).__name__}: {error}"
        told = f"{what}; this is a fault of meerkat-mob: run again with --debug and report it"
    code = error.code if isinstance(error, MeerkatError) else "INTERNAL_ERROR"
    line = Text.assemble(("error", BAD), (f" {code}", QUIET), f": {clean(told)}")
    console.print(line, soft_wrap=True)
