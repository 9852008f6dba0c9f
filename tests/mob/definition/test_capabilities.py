"""What profiles ask for and do not get is told, flag by flag, with the reason."""

import pytest
from msgspec.structs import replace

from meerkat_mob.mob.definition import (
    MobDefinition,
    Profile,
    ToolConfig,
    capability_warnings,
    missing_flags,
)

OFFERED = frozenset({"builtins", "comms", "mob_tasks"})


def profile(tools: ToolConfig) -> Profile:
    return Profile(model="x", tools=tools)


@pytest.mark.parametrize(
    "flag", ["builtins", "shell", "comms", "memory", "mob", "mob_tasks", "schedule"]
)
def test_a_switch_is_missing_when_it_is_on_and_not_offered(flag: str) -> None:
    wants = profile(replace(ToolConfig(), **{flag: True}))
    assert [f for f, _ in missing_flags(wants, frozenset())] == [flag]
    assert missing_flags(wants, frozenset({flag})) == ()
    assert missing_flags(profile(ToolConfig()), frozenset()) == ()


def test_each_name_of_a_list_is_asked_for_on_its_own() -> None:
    wants = profile(ToolConfig(mcp=("a", "b"), rust_bundles=("c",)))
    assert [f for f, _ in missing_flags(wants, frozenset())] == ["mcp.a", "mcp.b", "rust_bundles.c"]
    assert [f for f, _ in missing_flags(wants, frozenset({"mcp", "rust_bundles.c"}))] == []
    assert [f for f, _ in missing_flags(wants, frozenset({"mcp.b"}))] == ["mcp.a", "rust_bundles.c"]


def test_the_warnings_of_a_definition_name_profile_flag_and_reason() -> None:
    definition = MobDefinition(
        id="m",
        profiles={
            "lead": profile(ToolConfig(comms=True, mob=True)),
            "worker": profile(ToolConfig(shell=True, mcp=("s",))),
        },
    )
    found = capability_warnings(definition, OFFERED)
    assert [(d.code, d.location, d.severity) for d in found] == [
        ("capability_missing", "profiles.lead.tools.mob", "warning"),
        ("capability_missing", "profiles.worker.tools.shell", "warning"),
        ("capability_missing", "profiles.worker.tools.mcp[0]", "warning"),
    ]
    assert found[1].message == "members of 'worker' run without 'shell': there is no shell tool"
