"""``meerkat-mob validate``: every finding about a definition, and what it holds if it is sound."""

from __future__ import annotations

from typing import Final

import msgspec
from rich.console import Console
from rich.text import Text

from meerkat_mob.errors import DefinitionInvalid
from meerkat_mob.llm import parse_performance
from meerkat_mob.mob.definition import (
    FlowSpec,
    MobDefinition,
    Pack,
    capability_warnings,
    load_pack,
)
from meerkat_mob.mob.offer import OFFERED
from meerkat_mob.surfaces.cli.exit_codes import FAILED, OK
from meerkat_mob.surfaces.cli.findings import Found, errors_in, found_in, show_findings
from meerkat_mob.surfaces.cli.options import ValidateOptions
from meerkat_mob.surfaces.cli.palette import BAD, GOOD, QUIET
from meerkat_mob.surfaces.cli.words import counted

PERFORMANCE: Final = "performance.toml"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; ``ok`` is false when a finding is an error. ``--json`` prints it."""

    ok: bool
    source: str
    id: str | None
    diagnostics: tuple[Found, ...]


def judge(options: ValidateOptions) -> tuple[Verdict, MobDefinition | None]:
    """Reads and checks. Raises ``DefinitionUnreadable`` when there is nothing to check."""
    definition: MobDefinition | None = None
    try:
        pack = load_pack(options.definition, compat=options.compat)
    except DefinitionInvalid as error:
        source, found = error.source, found_in(error.diagnostics)
    else:
        source, definition = pack.source, pack.definition
        found = (
            *found_in(pack.diagnostics),
            *found_in(capability_warnings(definition, OFFERED)),
            *_performance_faults(pack),
        )
    verdict = Verdict(
        ok=not errors_in(found),
        source=source or str(options.definition),
        id=None if definition is None else definition.id,
        diagnostics=found,
    )
    return verdict, definition


def _performance_faults(pack: Pack) -> tuple[Found, ...]:
    try:
        if pack.performance is not None:
            parse_performance(pack.performance)
    except DefinitionInvalid as error:
        return found_in(error.diagnostics, file=PERFORMANCE)
    return ()


def validate(options: ValidateOptions, console: Console) -> int:
    """Prints what was found and returns the exit code."""
    verdict, definition = judge(options)
    if options.json:
        console.print(msgspec.json.encode(verdict).decode(), soft_wrap=True)
        return OK if verdict.ok else FAILED
    show_findings(console, verdict.diagnostics)
    errors = errors_in(verdict.diagnostics)
    warnings = len(verdict.diagnostics) - errors
    counts = f"{counted(errors, 'error')}, {counted(warnings, 'warning')}"
    judgement = ("valid", GOOD) if verdict.ok else ("not valid", BAD)
    console.print(
        Text.assemble(f"{verdict.source}: ", judgement, (f" ({counts})", QUIET)), soft_wrap=True
    )
    if verdict.ok and definition is not None:
        for line in outline(definition):
            console.print(Text(line), soft_wrap=True)
    return OK if verdict.ok else FAILED


def outline(definition: MobDefinition) -> list[str]:
    """What a sound definition holds, in a few lines."""
    lead = None if definition.orchestrator is None else definition.orchestrator.profile
    profiles = [f"{name} (orchestrator)" if name == lead else name for name in definition.roles]
    wiring = definition.wiring
    rules = [f"{rule.a} - {rule.b}" for rule in wiring.role_wiring]
    if wiring.auto_wire_orchestrator and lead is not None:
        rules.insert(0, f"everyone - {lead}")
    flows = [f"{name} ({_steps(flow)})" for name, flow in definition.flows.items()]
    rows = (
        ("mob", definition.id),
        ("profiles", _listed(profiles)),
        ("wiring", _listed(rules)),
        ("skills", _listed(list(definition.skills))),
        ("flows", _listed(flows)),
    )
    return [f"  {name:<9} {told}" for name, told in rows]


def _steps(flow: FlowSpec) -> str:
    if flow.root is not None:
        return counted(len(flow.root.nodes), "node")
    return counted(len(flow.steps), "step")


def _listed(names: list[str]) -> str:
    return f"{len(names)}: {', '.join(names)}" if names else "none"
