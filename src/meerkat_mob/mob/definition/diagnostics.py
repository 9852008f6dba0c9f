"""What is wrong with a definition, or only worth knowing: code, words, place, severity.

A code is a stable word that programs may match on. All findings are collected; the first is
never allowed to hide the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from meerkat_mob.core.strict import Fault, FaultKind

Severity: TypeAlias = Literal["error", "warning"]

RuleCode: TypeAlias = Literal[
    "branch_group_empty",
    "branch_join_without_branch",
    "branch_step_conflicting_deps",
    "branch_step_missing_condition",
    "empty_profiles",
    "flow_cycle_detected",
    "flow_depth_exceeded",
    "flow_unknown_role",
    "flow_unknown_step",
    "invalid_external_backend_config",
    "invalid_inline_peer_notification_threshold",
    "invalid_profile_name",
    "invalid_wiring_profile",
    "missing_external_backend_config",
    "missing_mcp_ref",
    "missing_orchestrator_profile",
    "missing_skill_ref",
    "quorum_invalid",
    "reserved_system_identifier",
    "topology_unknown_role",
]
"""The rules a whole definition is checked against (spec mob 1.12)."""

PackCode: TypeAlias = Literal[
    "misplaced_surfaces",
    "missing_manifest",
    "realm_profile_in_pack",
    "trust_section_forbidden",
    "unknown_capability",
    "unknown_default",
    "unknown_manifest_field",
    "unknown_manifest_profile",
    "unsafe_path",
]
"""What only a pack can have."""

Code: TypeAlias = (
    RuleCode
    | PackCode
    | FaultKind
    | Literal[
        "capability_missing",
        "duplicate_skill",
        "invalid_mob_id",
        "invalid_output_schema",
        "invalid_schema_file",
        "invalid_skill",
        "invalid_syntax",
        "missing_schema_file",
        "missing_skill_file",
        "unread_skill_file",
    ]
)


class Diagnostic(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One finding. ``location`` is a path such as ``profiles.lead.skills[0]`` (always encoded)."""

    code: Code
    message: str
    location: str | None = None
    severity: Severity = "error"


def error(code: Code, location: str | None, message: str) -> Diagnostic:
    """A finding with which no mob is created."""
    return Diagnostic(code=code, message=message, location=location)


def warning(code: Code, location: str | None, message: str) -> Diagnostic:
    """A finding that is reported and does not block."""
    return Diagnostic(code=code, message=message, location=location, severity="warning")


def from_fault(fault: Fault) -> Diagnostic:
    """A fault of decoding; only a key without effect is no error."""
    make = warning if fault.kind == "unsupported_field" else error
    return make(fault.kind, fault.path or None, fault.message)


def inside_file(name: str, found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Findings of another file than the definition: its name stands before the place."""
    return [replace(d, location=f"{name}:{d.location}" if d.location else name) for d in found]


def errors_of(found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Those that block, in order."""
    return tuple(d for d in found if d.severity == "error")


def warnings_of(found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Those that do not, in order."""
    return tuple(d for d in found if d.severity == "warning")
