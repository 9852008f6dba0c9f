"""A member comes into being: checked, given a session, an inbox and an address, then a fact.

Order (spec mob 2.4): everything that can be refused is refused before anything exists; the
session is made with its first turn deferred; the facts of the member and of its wiring are one
commit; only then do its peers trust it. What fails before the commit is undone in reverse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.agent.memory import memory_search_tool
from meerkat_mob.comms import (
    LIFECYCLE_INTENTS,
    PEER_ADDED,
    Endpoint,
    Envelope,
    PeerRequest,
    PeerSpec,
    comms_tools,
    peer_input,
)
from meerkat_mob.core.content import Content
from meerkat_mob.core.ids import comms_name
from meerkat_mob.core.metadata import PeerMeta
from meerkat_mob.core.requests import CreateSessionRequest, SessionBuildOptions
from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.core.tools import Tool
from meerkat_mob.errors import (
    CapabilityUnavailable,
    InboxFull,
    InvalidParams,
    MemberExists,
    ProfileNotFound,
    RuntimeNotReady,
    StoreError,
    WiringRefused,
)
from meerkat_mob.mob.context import MobContext
from meerkat_mob.mob.definition import Profile, RuntimeMode, missing_flags, output_of_profile
from meerkat_mob.mob.events import (
    CapabilityMissing,
    Fact,
    MemberSpawned,
    PeersWired,
    SessionRef,
)
from meerkat_mob.mob.jobs import MemberJobs
from meerkat_mob.mob.prompt import Knowledge, knowledge, system_prompt
from meerkat_mob.mob.state import Command, require
from meerkat_mob.mob.tools import task_tools
from meerkat_mob.mob.wiring import wiring_targets
from meerkat_mob.runtime import SessionExecutor
from meerkat_mob.sessions import SessionService

RESERVED: Final = "__flow_system_"


class SpawnSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A member to be (SpawnMemberSpec). Absent fields are taken from the profile.

    ``initial_message`` is its first input; ``kickoff`` gives it a first input of our own words.
    """

    profile: str
    member_id: str
    initial_message: Content | None = None
    kickoff: bool = False
    runtime_mode: RuntimeMode | UnsetType = UNSET
    labels: Mapping[str, str] = {}


def first_input(mob_id: str, spec: SpawnSpec) -> Content | None:
    """What a new member is given to begin with, if anything."""
    if spec.initial_message is not None or not spec.kickoff:
        return spec.initial_message
    return (
        f'You have joined the team "{mob_id}" as "{spec.member_id}" with the role {spec.profile}. '
        "Look at who your peers are and begin with what your role asks for."
    )


async def spawn_member(context: MobContext, spec: SpawnSpec, own: Iterable[Tool] = ()) -> None:
    """Makes the member, with tools of its own. Called with the mob's structural lock held.

    Raises, with nothing left behind: ``InvalidTransition``, ``MemberExists``,
    ``ProfileNotFound``, ``WiringRefused`` (comms are off, or the id is reserved),
    ``SkillMissing``, ``LlmFailed`` (nobody answers for its model), ``InvalidParams`` (two of its
    tools have one name), ``AgentError``.
    """
    profile = _admit(context, spec)
    known = knowledge(spec.member_id, profile, context.definition.skills)
    mode = profile.runtime_mode if spec.runtime_mode is UNSET else spec.runtime_mode
    session_id = context.new_id()
    async with AsyncExitStack() as undo:
        context.member_tools[spec.member_id] = Toolbox(own)
        undo.callback(context.member_tools.pop, spec.member_id)
        endpoint = _open_endpoint(context, spec, profile, session_id)
        undo.callback(context.router.close, endpoint)
        sessions, adapter = context.sessions, context.runtime
        undo.callback(context.ends.pop, spec.member_id, None)
        tools = _tools(context, profile, endpoint, member_id=spec.member_id, session_id=session_id)
        await sessions.create_session(
            _session_request(context, spec, profile, mode, known, session_id, tools)
        )
        undo.push_async_callback(_let_go_of, sessions, session_id)
        await adapter.register_session(
            session_id,
            SessionExecutor(sessions, session_id),
            keep_alive=mode == "autonomous_host",
        )
        undo.push_async_callback(adapter.unregister_session, session_id)
        adapter.set_session_silent_intents(session_id, LIFECYCLE_INTENTS)
        await context.journal.record(lambda: _facts(context, spec, profile, mode, session_id))
        undo.pop_all()
    context.endpoints[spec.member_id] = endpoint


async def _let_go_of(sessions: SessionService, session_id: str) -> None:
    """The session of a member that never came to be. If it cannot be archived, it rests."""
    if sessions.supports_persistent_sessions:
        with suppress(StoreError):
            await sessions.archive(session_id)
            return
    await sessions.discard_live_session(session_id)


def _admit(context: MobContext, spec: SpawnSpec) -> Profile:
    require(context.journal.state, Command.SPAWN)
    if not spec.member_id.strip() or "/" in spec.member_id:
        raise InvalidParams(
            what=f"{spec.member_id!r} cannot be a member's id",
            path="member_id",
            hint="use a name without slashes",
        )
    if spec.member_id.startswith(RESERVED):
        raise WiringRefused(f"ids that start with {RESERVED!r} are reserved: choose another id")
    if context.journal.roster.get(spec.member_id) is not None:
        raise MemberExists(member=spec.member_id)
    if spec.profile in context.definition.realm_profiles:
        raise CapabilityUnavailable(
            capability=f"realm profile {spec.profile!r}",
            why="this realm keeps no profiles",
            instead=f"write the profile out under [profiles.{spec.profile}]",
        )
    profile = context.definition.profiles.get(spec.profile)
    if profile is None:
        raise ProfileNotFound(profile=spec.profile, known=tuple(context.definition.profiles))
    if not profile.tools.comms:
        raise WiringRefused(
            f"profile {spec.profile!r} has no comms, and a member of a team must be reachable: "
            f"set profiles.{spec.profile}.tools.comms = true"
        )
    if (profile.backend or context.definition.backend.default) == "external":
        raise WiringRefused(
            f"profile {spec.profile!r} has the backend 'external', and no external agent is bound "
            "to this member: use the backend 'session'"
        )
    return profile


def _open_endpoint(
    context: MobContext, spec: SpawnSpec, profile: Profile, session_id: str
) -> Endpoint:
    me = PeerSpec(
        name=comms_name(context.mob_id, spec.profile, spec.member_id),
        role=spec.profile,
        description=profile.peer_description,
    )

    async def deliver(envelope: Envelope) -> None:
        item = peer_input(envelope, input_id=context.new_id(), now=context.now())
        await context.runtime.accept_input(session_id, item)

    return context.router.open(me, deliver)


def _tools(
    context: MobContext,
    profile: Profile,
    endpoint: Endpoint,
    *,
    member_id: str,
    session_id: str,
) -> tuple[Tool, ...]:
    return (
        *comms_tools(endpoint),
        *(task_tools(context.tasks) if profile.tools.mob_tasks else ()),
        *(context.offer.builtins if profile.tools.builtins else ()),
        *((memory_search_tool(context.memory, session_id),) if profile.tools.memory else ()),
        *_shell_tools(context, profile, member_id, session_id),
    )


def _shell_tools(
    context: MobContext, profile: Profile, member_id: str, session_id: str
) -> tuple[Tool, ...]:
    shell = context.offer.shell
    if shell is None or not profile.tools.shell:
        return ()
    jobs = shell.jobs(MemberJobs(context.runtime, session_id), ids=context.new_id)
    context.ends[member_id] = jobs.aclose
    return shell.tools(jobs)


def _toolboxes(context: MobContext, spec: SpawnSpec, profile: Profile) -> tuple[Toolbox, ...]:
    """What may come and go: its own, its role's, what its role names, and everybody's."""
    bundles, servers = context.offer.bundles, context.servers
    named = [bundles[name] for name in profile.tools.rust_bundles if name in bundles]
    if servers is not None:
        named += map(servers.toolbox, profile.tools.mcp)
    own, of_role = context.member_tools[spec.member_id], context.profile_tools[spec.profile]
    return own, of_role, *named, context.offer.toolbox


def _session_request(  # noqa: PLR0917
    context: MobContext,
    spec: SpawnSpec,
    profile: Profile,
    mode: RuntimeMode,
    known: Knowledge,
    session_id: str,
    tools: tuple[Tool, ...],
) -> CreateSessionRequest:
    mob_id = context.mob_id
    identity = profile.identities()[0]
    own = {"mob_id": mob_id, "role": spec.profile, "meerkat_id": spec.member_id}
    labels = {**spec.labels, **own}
    options = SessionBuildOptions(
        session_id=session_id,
        comms_name=comms_name(mob_id, spec.profile, spec.member_id),
        peer_meta=PeerMeta(description=profile.peer_description, labels=labels),
        realm_id=f"mob:{mob_id}",
        keep_alive=mode == "autonomous_host",
        provider=identity.provider,
        self_hosted_server_id=identity.self_hosted_server_id,
        provider_params=UNSET if profile.provider_params is None else profile.provider_params,
        external_tools=tools,
        output_schema=output_of_profile(
            profile, name=f"{mob_id}_{spec.profile}", place=f"profiles.{spec.profile}"
        ),
        toolboxes=_toolboxes(context, spec, profile),
        hooks=context.offer.hooks,
        skills=known.skills,
        fallbacks=profile.fallbacks,
        compaction=context.offer.compaction,
    )
    return CreateSessionRequest(
        model=profile.model,
        system_prompt=system_prompt(
            mob=mob_id, profile_name=spec.profile, member=spec.member_id, known=known
        ),
        initial_turn="defer",
        build=options,
        labels=labels,
    )


def _facts(
    context: MobContext, spec: SpawnSpec, profile: Profile, mode: RuntimeMode, session_id: str
) -> tuple[Fact, ...]:
    require(context.journal.state, Command.SPAWN)
    targets = wiring_targets(
        context.definition, context.journal.roster, member=spec.member_id, profile=spec.profile
    )
    return (
        MemberSpawned(
            member=spec.member_id,
            profile=spec.profile,
            member_ref=SessionRef(session_id=session_id),
            runtime_mode=mode,
            labels=dict(spec.labels) or UNSET,
        ),
        *(
            CapabilityMissing(member=spec.member_id, flag=flag, reason=reason)
            for flag, reason in missing_flags(profile, context.offer.flags)
        ),
        *(PeersWired(a=peer, b=spec.member_id) for peer in targets),
    )


async def introduce_to_peers(context: MobContext, member_id: str) -> None:
    """Lets a new member and those it is wired to write to each other, and tells each of them."""
    entry = context.journal.roster.get(member_id)
    me = context.endpoints[member_id]
    others = [context.endpoints[peer] for peer in sorted(entry.wired_to)] if entry else []
    for other in others:
        me.trust(other.me)
        other.trust(me.me)
    for other in others:
        await _tell(context, me, about=other)
        await _tell(context, other, about=me)


async def _tell(context: MobContext, reader: Endpoint, *, about: Endpoint) -> None:
    """News of a peer, unless the reader's profile says it has enough of it.

    ``max_inline_peer_notifications``: 0 tells nothing, a positive number stops beyond that many
    peers, absent and -1 always tell. A reader whose inbox takes no more is not told: the member
    exists and can be written to, and ``peers`` is the truth about that, not the news.
    """
    limit = context.definition.profiles[reader.me.role].max_inline_peer_notifications
    if limit is None or limit < 0 or len(reader.peers) <= limit:
        news = PeerRequest(
            intent=PEER_ADDED,
            params={
                "peer": about.me.name,
                "role": about.me.role,
                "description": about.me.description,
            },
        )
        with suppress(InboxFull, RuntimeNotReady):
            await about.send(reader.me.name, news)
