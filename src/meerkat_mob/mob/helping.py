"""A helper: a member for one task. It is made, does it, and goes, whatever happens (2.10)."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.core.content import Content
from meerkat_mob.mob.context import MobContext
from meerkat_mob.mob.definition import MobDefinition, RuntimeMode
from meerkat_mob.mob.member import Member
from meerkat_mob.mob.request import (
    BudgetSplitPolicy,
    InheritTools,
    LaunchMode,
    SpawnSpec,
    ToolAccessPolicy,
)
from meerkat_mob.mob.retiring import retire
from meerkat_mob.mob.spawning import Spawns
from meerkat_mob.mob.status import snapshot

LONGEST: Final = 16_000
"""Characters of a helper's answer that are handed on."""


class ErrandOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a helper is made. Without a role it has the definition's first; it works when asked.

    ``parent`` is the member it helps, and is wired to.
    """

    role_name: str | UnsetType = UNSET
    runtime_mode: RuntimeMode = "turn_driven"
    tool_access_policy: ToolAccessPolicy = InheritTools()
    budget_split_policy: BudgetSplitPolicy | UnsetType = UNSET
    parent: str | UnsetType = UNSET


class ErrandResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a helper said, at most 16,000 characters of it; ``is_cut`` says that there was more."""

    member_id: str
    profile: str
    output: str
    is_cut: bool = False
    tokens_used: int = 0
    session_id: str = ""

    @property
    def labelled(self) -> str:
        """What it said, below a line that says whose words they are."""
        more = "\n[it said more than is shown]" if self.is_cut else ""
        said = self.output or "(it said nothing)"
        return f"[RESULT of helper {self.member_id}, role {self.profile}]\n{said}{more}"


def helper_spec(
    definition: MobDefinition, member_id: str, options: ErrandOptions, launch: LaunchMode
) -> SpawnSpec:
    """The member that a helper is."""
    role = next(iter(definition.roles), "") if options.role_name is UNSET else options.role_name
    return SpawnSpec(
        profile=role,
        member_id=member_id,
        runtime_mode=options.runtime_mode,
        launch_mode=launch,
        tool_access_policy=options.tool_access_policy,
        budget_split_policy=options.budget_split_policy,
        auto_wire_parent=options.parent is not UNSET,
        parent=options.parent,
    )


async def help_out(
    context: MobContext, spawns: Spawns, spec: SpawnSpec, task: Content
) -> ErrandResult:
    """Makes the helper, waits for what it makes of its task, and retires it.

    Raises what its spawn and its run raise; it has gone then, too.
    """
    await spawns.spawn(spec)
    try:
        helper = Member(context, spec.member_id)
        said = await helper.work(task)
        told = await snapshot(context, spec.member_id)
        return ErrandResult(
            member_id=helper.id,
            profile=helper.profile,
            output=said[:LONGEST],
            is_cut=len(said) > LONGEST,
            tokens_used=told.tokens_used,
            session_id=helper.session_id,
        )
    finally:
        await retire(context, spec.member_id)
