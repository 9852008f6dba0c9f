"""What is set beside turns: kept at once, in force from the next model call on (SVC-12, 2.3)."""

from __future__ import annotations

import asyncio
from typing import cast

import msgspec
from msgspec import UNSET

from meerkat_mob.core.build_state import MobToolAuthorityContext
from meerkat_mob.core.events import ToolExecutionStarted, TurnStarted
from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.core.metadata import SessionLlmIdentity, SessionMetadata
from meerkat_mob.core.requests import StartTurnRequest
from meerkat_mob.core.reserved import BUILD_STATE, SESSION_METADATA, TOOL_VISIBILITY
from meerkat_mob.core.tool_visibility import ToolFilter, allow, deny
from meerkat_mob.errors import InvalidParams, LlmFailed, RunCancelled, SessionNotFound
from meerkat_mob.llm import ScriptedLlm, call, fail, hang
from meerkat_mob.sessions import SessionService
from meerkat_mob.testing.builders import (
    a_session,
    a_tool_that_echoes,
    a_tool_that_waits,
    a_turn,
    a_turn_at,
)
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.session_contract.maker import OpenService, said

OTHER = SessionLlmIdentity(
    model="gpt-9",
    provider="openai",
    self_hosted_server_id="rack-1",
    provider_params={"seed": 7},
)


async def keep_alive_is_kept_whatever_becomes_of_the_turn(open_service: OpenService) -> None:
    """SVC-12: also in the midst of one that fails; setting it again changes nothing."""
    async with open_service(ScriptedLlm([fail("no")])) as service:
        session_id = await a_session(service)
        holds(not (await _metadata(service, session_id)).keep_alive, "it is off at first")
        await service.update_session_keep_alive(session_id, keep_alive=True)
        with refuses(LlmFailed):
            await service.start_turn(session_id, a_turn())
        holds((await _metadata(service, session_id)).keep_alive, "it is on")
        before = await service.export_session(session_id)
        await service.update_session_keep_alive(session_id, keep_alive=True)
        same(await service.export_session(session_id), before, "the session")


async def an_authority_is_given_and_taken(open_service: OpenService) -> None:
    """Whole, as a typed value; None clears it."""
    authority = MobToolAuthorityContext(
        principal_token="p",  # noqa: S106 it opens nothing
        can_create_mobs=True,
        managed_mob_scope=("b", "a"),
    )
    async with open_service(ScriptedLlm([])) as service:
        session_id = await a_session(service)
        for given, wanted in ((authority, authority), (None, UNSET)):
            await service.update_session_mob_authority_context(session_id, given)
            metadata = (await service.export_session(session_id)).metadata
            build = BUILD_STATE.read(metadata)
            found = UNSET if build is None else build.mob_tool_authority_context
            same(found, wanted, "the authority")


async def a_filter_hides_tools_from_the_next_call_on(open_service: OpenService) -> None:
    """Staged while a turn goes on, in force at its next call, and in later turns."""
    gate = asyncio.Event()
    llm = ScriptedLlm([call("wait"), "one", "two"])
    async with open_service(llm) as service:
        tools = (a_tool_that_waits(gate), a_tool_that_echoes())
        session_id = await a_session(service, tools=tools)
        turn = await a_turn_at(ToolExecutionStarted, service, session_id)
        await service.set_session_tool_filter(session_id, deny(["wait"]))
        gate.set()
        await turn
        await service.start_turn(session_id, a_turn())
        seen = [[tool.name for tool in request.tools] for request in llm.requests]
        same(seen, [["wait", "echo"], ["echo"], ["echo"]], "what each call could see")


async def a_filter_is_staged_and_then_active(open_service: OpenService) -> None:
    """Spec 1.7: a revision says which; the same filter again changes nothing."""
    hidden = deny(["echo"])
    async with open_service(ScriptedLlm(["one"])) as service:
        session_id = await a_session(service)
        for _ in range(2):
            await service.set_session_tool_filter(session_id, hidden)
        same(await _filters(service, session_id), ("all", 0, hidden, 1), "before a turn")
        await service.start_turn(session_id, a_turn())
        same(await _filters(service, session_id), (hidden, 1, hidden, 1), "after it")


async def a_tool_that_was_loaded_stays_also_when_its_run_fails(open_service: OpenService) -> None:
    """TS-6: it is shown from the next call on, and in later runs."""
    llm = ScriptedLlm([call("tool_catalog_load", names=["a"]), fail("no"), "two"])
    async with open_service(llm) as service:
        tools = tuple(
            msgspec.structs.replace(a_tool_that_echoes(name), deferred=True) for name in ("a", "b")
        )
        session_id = await a_session(service, tools=tools)
        with refuses(LlmFailed):
            await service.start_turn(session_id, a_turn())
        await service.start_turn(session_id, a_turn())
        seen = [[tool.name for tool in request.tools][2:] for request in llm.requests]
        same(seen, [[], ["a"], ["a"]], "what each call could see")


async def a_hidden_tool_cannot_be_called(open_service: OpenService) -> None:
    """INV-8: what the model does not see is not there; an allow list shows nothing else."""
    llm = ScriptedLlm([call("echo"), "one"])
    async with open_service(llm) as service:
        tools = (a_tool_that_echoes(), a_tool_that_echoes("other"))
        session_id = await a_session(service, tools=tools)
        await service.set_session_tool_filter(session_id, allow(["other"]))
        await service.start_turn(session_id, a_turn())
        same([tool.name for tool in llm.requests[0].tools], ["other"], "what the model saw")
        messages = (await service.read_history(session_id)).messages
        holds("echo" in str(messages[2]), "the call has a result")
        holds("is_error=True" in str(messages[2]), "and it is an error")


async def an_overlay_holds_for_its_run(open_service: OpenService) -> None:
    """8.1-16 to 18, TS-1, TS-4: however that ended; it adds to the filter, and is kept nowhere."""
    names = ("echo", "other", "third")
    for ending in ("one", fail("no"), hang()):
        llm = ScriptedLlm([ending, "two"])
        async with open_service(llm) as service:
            tools = tuple(a_tool_that_echoes(name) for name in names)
            session_id = await a_session(service, tools=tools)
            await service.set_session_tool_filter(session_id, deny(["third"]))
            turn = StartTurnRequest(prompt="go", flow_tool_overlay=allow(["other", "third"]))
            run = asyncio.ensure_future(service.start_turn(session_id, turn))
            while not llm.requests:  # noqa: ASYNC110 nothing says when
                await asyncio.sleep(0)
            if ending == hang():
                await service.interrupt(session_id)
            await asyncio.wait([run])
            if run.exception() is None:
                same(run.result().text, "one", "the answer")
            await service.start_turn(session_id, a_turn())
            seen = [[tool.name for tool in request.tools] for request in llm.requests]
            same(seen, [["other"], ["echo", "other"]], "what each run could see")


async def another_client_answers_later_calls(open_service: OpenService) -> None:
    """2.3: a call that goes on stays where it is; who the session says answers is as before."""
    first, second = ScriptedLlm(["one", hang()]), ScriptedLlm(["two"])
    async with open_service(first) as service:
        session_id = await a_session(service)
        await service.start_turn(session_id, a_turn())
        before = await service.export_session(session_id)
        turn = await a_turn_at(TurnStarted, service, session_id)
        await service.set_session_client(session_id, second)
        same(second.requests, [], "what the other was asked")
        await service.interrupt(session_id)
        with refuses(RunCancelled):
            await turn
        same((await service.start_turn(session_id, a_turn())).text, "two", "the answer")
        after = await service.export_session(session_id)
        same(after.metadata, before.metadata, "what the session says of itself")


async def a_hot_swap_changes_four_fields(open_service: OpenService) -> None:
    """1.3: model, provider, server and parameters, and the client, in one step."""
    other = ScriptedLlm(["two"])
    async with open_service(ScriptedLlm([])) as service:
        session_id = await a_session(service)
        before = await _metadata(service, session_id)
        await service.hot_swap_session_llm_identity(session_id, other, OTHER)
        same(await service.live_session_llm_identity(session_id), OTHER, "the identity")
        wanted = msgspec.structs.replace(
            before,
            model="gpt-9",
            provider="openai",
            self_hosted_server_id="rack-1",
            provider_params={"seed": 7},
        )
        same(await _metadata(service, session_id), wanted, "the metadata")
        await service.start_turn(session_id, a_turn())
        asked = (other.requests[0].model, other.requests[0].provider_params)
        same(asked, ("gpt-9", {"seed": 7}), "what the other was asked")
        same((await service.read(session_id)).state.model, "gpt-9", "the model in the view")


async def a_hot_swap_to_the_same_identity_swaps_the_client(open_service: OpenService) -> None:
    """As when a key was renewed: nothing new is to be kept, and the new client answers."""
    async with open_service(ScriptedLlm([])) as service:
        session_id = await a_session(service)
        identity = await service.live_session_llm_identity(session_id)
        await service.hot_swap_session_llm_identity(session_id, ScriptedLlm(["new"]), identity)
        same((await service.start_turn(session_id, a_turn())).text, "new", "the answer")


async def parameters_are_an_object(open_service: OpenService) -> None:
    """Refused before anything is kept: the old client answers on."""
    identity = SessionLlmIdentity(model="gpt-9", provider="openai", provider_params=["seed"])
    async with open_service(ScriptedLlm(["old"])) as service:
        session_id = await a_session(service)
        before = await service.export_session(session_id)
        with refuses(InvalidParams) as refusal:
            await service.hot_swap_session_llm_identity(session_id, ScriptedLlm([]), identity)
        same(refusal.error.path, "provider_params", "the place")
        same(await service.export_session(session_id), before, "the session")
        same((await service.start_turn(session_id, a_turn())).text, "old", "the answer")


async def what_could_not_be_read_back_is_refused(open_service: OpenService) -> None:
    """Values of a wrong type, and text that is no Unicode, in all that is set."""
    broken, yes = "\ud800", cast("bool", "yes")
    anything, nothing = cast("ToolFilter", "some"), cast("MobToolAuthorityContext", {"no": 1})
    params = SessionLlmIdentity(model=broken, provider="openai", provider_params={"seed": 7})
    async with open_service(ScriptedLlm(["one"])) as service:
        session_id = await a_session(service)
        before = await service.export_session(session_id)
        for change in (
            lambda: service.update_session_keep_alive(session_id, keep_alive=yes),
            lambda: service.set_session_tool_filter(session_id, anything),
            lambda: service.update_session_mob_authority_context(session_id, nothing),
            lambda: service.append_system_context(session_id, broken),
            lambda: service.append_system_context(session_id, "t", idempotency_key=broken),
            lambda: service.hot_swap_session_llm_identity(session_id, ScriptedLlm([]), params),
        ):
            with refuses(InvalidParams):
                await change()
            same(await service.export_session(session_id), before, "the session")
        same((await service.start_turn(session_id, a_turn())).text, "one", "the answer")


async def nobody_has_no_settings(open_service: OpenService) -> None:
    """An unknown id stays unknown, an archived one takes nothing."""
    other: Json = {"seed": 7}
    identity = SessionLlmIdentity(model="m", provider="openai", provider_params=other)
    async with open_service(ScriptedLlm([])) as service:
        gone = await a_session(service)
        await service.archive(gone)
        for session_id in ("nobody", gone):
            for change in (
                service.update_session_keep_alive(session_id, keep_alive=True),
                service.update_session_mob_authority_context(session_id, None),
                service.set_session_tool_filter(session_id, "all"),
                service.set_session_client(session_id, ScriptedLlm([])),
                service.hot_swap_session_llm_identity(session_id, ScriptedLlm([]), identity),
                service.live_session_llm_identity(session_id),
            ):
                with refuses(SessionNotFound):
                    await change


async def setting_something_ends_no_run(open_service: OpenService) -> None:
    """And does not wait for one: it is answered while the model thinks."""
    async with open_service(ScriptedLlm([hang()])) as service:
        session_id = await a_session(service)
        turn = await a_turn_at(TurnStarted, service, session_id)
        await service.update_session_keep_alive(session_id, keep_alive=True)
        await service.set_session_tool_filter(session_id, deny(["x"]))
        holds((await service.read(session_id)).state.is_active, "the run goes on")
        holds((await _metadata(service, session_id)).keep_alive, "it is on")
        await service.interrupt(session_id)
        with refuses(RunCancelled):
            await turn
        same((await said(service, session_id))[-1], ("user", "go on"), "the transcript")


async def _metadata(service: SessionService, session_id: str) -> SessionMetadata:
    found = SESSION_METADATA.read((await service.export_session(session_id)).metadata)
    if found is None:
        raise AssertionError("the session says nothing of itself")
    return found


async def _filters(
    service: SessionService, session_id: str
) -> tuple[ToolFilter, int, ToolFilter, int]:
    found = TOOL_VISIBILITY.read((await service.export_session(session_id)).metadata)
    if found is None:
        raise AssertionError("the session has no filters")
    return (
        found.active_filter,
        found.active_revision,
        found.staged_filter,
        found.staged_revision,
    )
