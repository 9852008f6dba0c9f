"""The session of a member to be: made with all that the member has, or taken up again.

What is made here is provisional: it is the member's once its fact is kept, and let go otherwise.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import msgspec
from msgspec import UNSET, UnsetType

from meerkat_mob.comms import (
    LIFECYCLE_INTENTS,
)
from meerkat_mob.core.ids import comms_name
from meerkat_mob.core.metadata import PeerMeta
from meerkat_mob.core.requests import CreateSessionRequest, SessionBuildOptions
from meerkat_mob.core.reserved import SESSION_METADATA
from meerkat_mob.core.session import Session
from meerkat_mob.core.toolbox import Toolbox
from meerkat_mob.core.tools import Tool
from meerkat_mob.errors import SessionBusy, StoreError, WiringRefused
from meerkat_mob.mob.context import MobContext
from meerkat_mob.mob.definition import Profile, RuntimeMode, output_of_profile
from meerkat_mob.mob.equipment import equip, labels_of, tool_filter, toolboxes
from meerkat_mob.mob.forking import forked
from meerkat_mob.mob.prompt import knowledge, system_prompt
from meerkat_mob.mob.request import Fork, Resume, SpawnSpec
from meerkat_mob.runtime import SessionExecutor
from meerkat_mob.sessions import RecoveryOverrides, build_recovered_session


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
    its tools have one name), ``AgentError``, ``StoreError``; where a session is to go on,
    ``SessionNotFound``, ``SessionBusy``, and ``WiringRefused`` for one that is somebody else's.
    """
    launch = spec.launch_mode
    session_id = launch.session_id if isinstance(launch, Resume) else context.new_id()
    made = Provision(spec=spec, profile=profile, session_id=session_id)
    async with AsyncExitStack() as undo:
        before = context.member_tools.get(spec.member_id)
        context.member_tools[spec.member_id] = Toolbox(own) if before is None else before
        if before is None:
            undo.callback(context.member_tools.pop, spec.member_id)
        undo.callback(context.ends.pop, session_id, None)
        undo.callback(context.network.forget, session_id)
        if isinstance(launch, Resume):
            await _take_over(context, made)
        else:
            await context.sessions.create_session(await _request(context, made))
            undo.push_async_callback(_let_go_of, context, session_id)
        await attach(context, session_id, made.mode)
        undo.push_async_callback(context.runtime.unregister_session, session_id)
        yield made
        undo.pop_all()


async def go_on(
    context: MobContext, made: Provision, document: Session, *, named: bool = True
) -> None:
    """A session there is goes on as the member's: what is kept of it stays, its tools are new.

    ``named`` is false for one that is not the member's yet. Raises what making it raises.
    """
    spec, profile, session_id = made.spec, made.profile, made.session_id
    sessions, labels = context.sessions, labels_of(context, spec)
    realm_id = f"mob:{context.mob_id}"
    known = knowledge(spec.member_id, profile, context.definition.skills)
    own = RecoveryOverrides(
        keep_alive=made.mode == "autonomous_host",
        external_tools=equip(context, spec, profile, session_id),
        toolboxes=toolboxes(context, spec, profile),
        hooks=context.offer.hooks,
        skills=known.skills,
    )
    if not named:
        own = msgspec.structs.replace(
            own,
            comms_name=comms_name(context.mob_id, spec.profile, spec.member_id),
            peer_meta=PeerMeta(description=profile.peer_description, labels=labels),
        )
    request = build_recovered_session(document, own)
    if not named:
        build = msgspec.structs.replace(
            request.build, realm_id=realm_id, inherited_tool_filter=tool_filter(spec)
        )
        request = msgspec.structs.replace(request, labels=labels, build=build)
    if await sessions.has_live_session(session_id):
        await context.runtime.unregister_session(session_id, reason="its mob took it up")
        await sessions.discard_live_session(session_id)
    await sessions.create_session(request)


async def _take_over(context: MobContext, made: Provision) -> None:
    session_id, spec = made.session_id, made.spec
    if any(entry.session_id == session_id for entry in context.roster.list()):
        raise WiringRefused(f"session {session_id!r} is a member's already: fork it instead")
    document = await context.sessions.export_session(session_id)
    metadata = SESSION_METADATA.read(document.metadata)
    mine = comms_name(context.mob_id, spec.profile, spec.member_id)
    if metadata is None or metadata.comms_name not in {None, mine}:
        raise WiringRefused(f"session {session_id!r} is somebody else's: fork it instead")
    if (await context.sessions.read(session_id)).state.is_active:
        raise SessionBusy(session_id=session_id)
    await go_on(context, made, document, named=metadata.comms_name == mine)


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


async def _request(context: MobContext, made: Provision) -> CreateSessionRequest:
    spec, profile, mob_id = made.spec, made.profile, context.mob_id
    known = knowledge(spec.member_id, profile, context.definition.skills)
    tools = equip(context, spec, profile, made.session_id)
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
