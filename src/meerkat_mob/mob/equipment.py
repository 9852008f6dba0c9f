"""What a member works with: its tools, those that come and go, its place in the network."""

from __future__ import annotations

from meerkat_mob.agent.memory import memory_search_tool
from meerkat_mob.comms import Endpoint, Envelope, PeerSpec, comms_tools, peer_input
from meerkat_mob.core.ids import comms_name
from meerkat_mob.core.tool_visibility import NameFilter, ToolFilter
from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.core.tools import Tool
from meerkat_mob.mob.context import MobContext
from meerkat_mob.mob.definition import Profile
from meerkat_mob.mob.jobs import MemberJobs
from meerkat_mob.mob.request import AllowTools, DenyTools, SpawnSpec
from meerkat_mob.mob.tools import task_tools


def equip(
    context: MobContext, spec: SpawnSpec, profile: Profile, session_id: str
) -> tuple[Tool, ...]:
    """The tools a member always has. Its place in the network is prepared with them."""
    endpoint = _endpoint(context, spec, profile, session_id)
    context.network.prepare(session_id, endpoint)
    return (
        *comms_tools(endpoint),
        *(task_tools(context.tasks) if profile.tools.mob_tasks else ()),
        *(context.offer.builtins if profile.tools.builtins else ()),
        *((memory_search_tool(context.memory, session_id),) if profile.tools.memory else ()),
        *_shell_tools(context, spec, profile, session_id),
    )


def _endpoint(context: MobContext, spec: SpawnSpec, profile: Profile, session_id: str) -> Endpoint:
    me = PeerSpec(
        name=comms_name(context.mob_id, spec.profile, spec.member_id),
        role=spec.profile,
        description=profile.peer_description,
    )

    async def deliver(envelope: Envelope) -> None:
        item = peer_input(envelope, input_id=context.new_id(), now=context.now())
        await context.runtime.accept_input(session_id, item)

    return Endpoint(context.router, me, deliver)


def _shell_tools(
    context: MobContext, spec: SpawnSpec, profile: Profile, session_id: str
) -> tuple[Tool, ...]:
    shell = context.offer.shell
    if shell is None or not profile.tools.shell:
        return ()
    jobs = shell.jobs(MemberJobs(context.runtime, session_id), ids=context.new_id)
    context.ends[session_id] = jobs.aclose
    return shell.tools(jobs, env=spec.shell_env)


def toolboxes(context: MobContext, spec: SpawnSpec, profile: Profile) -> tuple[Toolbox, ...]:
    """What may come and go: its own, its role's, what its role names, and everybody's."""
    bundles, servers = context.offer.bundles, context.servers
    named = [bundles[name] for name in profile.tools.rust_bundles if name in bundles]
    if servers is not None:
        named += map(servers.toolbox, profile.tools.mcp)
    own = context.member_tools.setdefault(spec.member_id, Toolbox())
    return own, context.tools_of_role(spec.profile), *named, context.offer.toolbox


def tool_filter(spec: SpawnSpec) -> ToolFilter:
    """Which of them its model may see, whatever else is said of it."""
    match spec.tool_access_policy:
        case AllowTools(value=names):
            return NameFilter(allow=names)
        case DenyTools(value=names):
            return NameFilter(deny=names)
        case _:
            return "all"


def labels_of(context: MobContext, spec: SpawnSpec) -> dict[str, str]:
    """Its labels; what the mob says of it wins."""
    own = {"mob_id": context.mob_id, "role": spec.profile, "meerkat_id": spec.member_id}
    return {**spec.labels, **own}
