"""The session of a member to be: made with all that the member has, or taken up again.

What is made here is provisional: it is the member's once its fact is kept, and let go otherwise.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.agent.memory import memory_search_tool
from meerkat_mob.comms import (
    LIFECYCLE_INTENTS,
    Endpoint,
    Envelope,
    PeerSpec,
    comms_tools,
    peer_input,
)
from meerkat_mob.core.ids import comms_name
from meerkat_mob.core.metadata import PeerMeta
from meerkat_mob.core.requests import CreateSessionRequest, SessionBuildOptions
from meerkat_mob.core.session import Session
from meerkat_mob.core.tool_visibility import NameFilter, ToolFilter
from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.core.tools import Tool
from meerkat_mob.errors import StoreError
from meerkat_mob.mob.context import MobContext
from meerkat_mob.mob.definition import Profile, RuntimeMode, output_of_profile
from meerkat_mob.mob.forking import forked
from meerkat_mob.mob.jobs import MemberJobs
from meerkat_mob.mob.prompt import Knowledge, knowledge, system_prompt
from meerkat_mob.mob.request import AllowTools, DenyTools, Fork, SpawnSpec
from meerkat_mob.mob.tools import task_tools
from meerkat_mob.runtime import SessionExecutor


class Provision(msgspec.Struct, frozen=True, kw_only=True):
    """A session that waits for its member."""

    spec: SpawnSpec
    profile: Profile
    session_id: str

    @property
    def mode(self) -> RuntimeMode:
        """How the member works."""
        mode = self.spec.runtime_mode
        return self.profile.runtime_mode if mode is UNSET else mode


@asynccontextmanager
async def provisioned(
    context: MobContext, spec: SpawnSpec, profile: Profile, own: Iterable[Tool] = ()
) -> AsyncGenerator[Provision, None]:
    """A new session with its inbox. When the block fails, nothing of it is left.

    Raises ``SkillMissing``, ``LlmFailed`` (nobody answers for its model), ``InvalidParams`` (two of
    its tools have one name), ``AgentError``, ``StoreError``.
    """
    made = Provision(spec=spec, profile=profile, session_id=context.new_id())
    known = knowledge(spec.member_id, profile, context.definition.skills)
    session_id = made.session_id
    async with AsyncExitStack() as undo:
        before = context.member_tools.get(spec.member_id)
        context.member_tools[spec.member_id] = Toolbox(own) if before is None else before
        if before is None:
            undo.callback(context.member_tools.pop, spec.member_id)
        undo.callback(context.ends.pop, session_id, None)
        tools = equip(context, spec, profile, session_id)
        undo.callback(context.network.forget, session_id)
        await context.sessions.create_session(await _request(context, made, known, tools))
        undo.push_async_callback(_let_go_of, context, session_id)
        await attach(context, session_id, made.mode)
        undo.push_async_callback(context.runtime.unregister_session, session_id)
        yield made
        undo.pop_all()


async def attach(
    context: MobContext, session_id: str, mode: RuntimeMode, *, held: bool = False
) -> None:
    """Gives a session its inbox, and somebody who works on what comes, unless it is ``held``."""
    adapter, keep_alive = context.runtime, mode == "autonomous_host"
    await adapter.register_session(session_id, keep_alive=keep_alive)
    adapter.set_session_silent_intents(session_id, LIFECYCLE_INTENTS)
    if held:
        adapter.hold(session_id, held=True)
    executor = SessionExecutor(context.sessions, session_id)
    await adapter.register_session(session_id, executor, keep_alive=keep_alive)


async def _let_go_of(context: MobContext, session_id: str) -> None:
    """The session of a member that never came to be. If it cannot be archived, it rests."""
    sessions = context.sessions
    if sessions.supports_persistent_sessions:
        with suppress(StoreError):
            await sessions.archive(session_id)
            return
    await sessions.discard_live_session(session_id)


# -- what a member has -------------------------------------------------------------------------


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


async def _request(
    context: MobContext, made: Provision, known: Knowledge, tools: tuple[Tool, ...]
) -> CreateSessionRequest:
    spec, profile, mob_id = made.spec, made.profile, context.mob_id
    identity, labels = profile.identities()[0], labels_of(context, spec)
    prompt = system_prompt(mob=mob_id, spec=spec, known=known)
    options = SessionBuildOptions(
        session_id=made.session_id,
        comms_name=comms_name(mob_id, spec.profile, spec.member_id),
        peer_meta=PeerMeta(description=profile.peer_description, labels=labels),
        realm_id=f"mob:{mob_id}",
        keep_alive=made.mode == "autonomous_host",
        provider=identity.provider,
        self_hosted_server_id=identity.self_hosted_server_id,
        provider_params=UNSET if profile.provider_params is None else profile.provider_params,
        external_tools=tools,
        inherited_tool_filter=tool_filter(spec),
        output_schema=output_of_profile(
            profile, name=f"{mob_id}_{spec.profile}", place=f"profiles.{spec.profile}"
        ),
        toolboxes=toolboxes(context, spec, profile),
        hooks=context.offer.hooks,
        skills=known.skills,
        fallbacks=profile.fallbacks,
        compaction=context.offer.compaction,
        resume_session=await _past(context, made, prompt),
    )
    return CreateSessionRequest(
        model=profile.model,
        system_prompt=prompt,
        initial_turn="defer",
        build=options,
        labels=labels,
    )


async def _past(context: MobContext, made: Provision, prompt: str) -> Session | UnsetType:
    """What it remembers of another member's life, if it is to begin there."""
    launch = made.spec.launch_mode
    if not isinstance(launch, Fork):
        return UNSET
    source = context.entry(launch.source_member_id)
    document = await context.sessions.export_session(source.session_id)
    return forked(
        document, made.session_id, context=launch.fork_context, prompt=prompt, now=context.now()
    )
