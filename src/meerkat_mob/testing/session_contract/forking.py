"""Sessions out of other sessions: forks, and documents that go on (SES-5, DEF-2, SVC-13)."""

from __future__ import annotations

import asyncio

import msgspec

from meerkat_mob.core.events import ToolExecutionStarted
from meerkat_mob.core.requests import CreateSessionRequest, SessionBuildOptions, StartTurnRequest
from meerkat_mob.core.reserved import LABELS
from meerkat_mob.core.session import Session, decode_session, export_session
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import (
    AgentError,
    SessionNotFound,
    SessionUnsupported,
)
from meerkat_mob.llm import ScriptedLlm, call, say
from meerkat_mob.sessions import RecoveryOverrides, SessionService, build_recovered_session
from meerkat_mob.testing.builders import (
    a_request,
    a_session,
    a_tool_that_echoes,
    a_tool_that_waits,
    a_turn,
    a_turn_at,
)
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.session_contract.maker import OpenService, said

USED = Usage(input_tokens=3, output_tokens=5)


async def a_fork_has_the_past_and_a_future_of_its_own(open_service: OpenService) -> None:
    """SES-5: what either says later is unknown to the other."""
    async with open_service(ScriptedLlm(["one", "two", "three"])) as service:
        first = (await service.create_session(a_request("first", system_prompt="kind"))).session_id
        past = await said(service, first)
        second = await service.fork_session(first)
        same(await said(service, second), past, "the fork's past")
        await service.start_turn(second, a_turn("second"))
        await service.start_turn(first, a_turn("third"))
        same((await said(service, first))[len(past) :], [("user", "third"), ("model", "three")])
        same((await said(service, second))[len(past) :], [("user", "second"), ("model", "two")])


async def a_fork_is_whole_in_usage_and_metadata(open_service: OpenService) -> None:
    """SES-5: also one of the first messages only; its id and its times are its own."""
    lines = [say("one", usage=USED), say("two", usage=USED)]
    async with open_service(ScriptedLlm(lines)) as service:
        request = a_request("hi", labels={"team": "red"}, comms_name="team/dev/ann")
        first = (await service.create_session(request)).session_id
        await service.append_system_context(first, "red", idempotency_key="k")
        await service.start_turn(first, a_turn())
        source = await service.export_session(first)
        for at in (None, 1):
            fork = await service.export_session(await service.fork_session(first, at=at))
            same(fork.usage, source.usage, "the usage")
            same(dict(fork.metadata), dict(source.metadata), "the metadata")
            holds(fork.id != first and fork.created_at > source.created_at, "id and times are new")
            status = await service.append_system_context(fork.id, "red", idempotency_key="k")
            same(status, "duplicate", "a key of the past")


async def a_fork_can_leave_out_the_end(open_service: OpenService) -> None:
    """SES-5: the first messages, and never more than there are."""
    async with open_service(ScriptedLlm(["one", "two"])) as service:
        first = (await service.create_session(a_request("first"))).session_id
        await service.start_turn(first, a_turn("second"))
        past = await said(service, first)
        for at in (0, 1, 3, 4, 99, -1):
            forked = await service.fork_session(first, at=at)
            same(await said(service, forked), past[: max(at, 0)], f"the first {at}")
            view = await service.read(forked)
            same(view.state.message_count, min(max(at, 0), 4), "the count in the view")


async def a_fork_of_a_running_session_is_of_its_last_run(open_service: OpenService) -> None:
    """SVC-4: with what that run took, for the fork has not had it."""
    gate = asyncio.Event()
    llm = ScriptedLlm([call("wait"), "done", "other"])
    async with open_service(llm) as service:
        request = a_request("kept", defer=True, stage=True, tools=(a_tool_that_waits(gate),))
        first = (await service.create_session(request)).session_id
        turn = await a_turn_at(ToolExecutionStarted, service, first, "mine")
        forked = await service.fork_session(first)
        same(await said(service, forked), [], "the fork's past")
        gate.set()
        await turn
        await service.start_turn(forked, a_turn("yours"))
        wanted = [("user", "kept\n\nyours"), ("model", "other")]
        same(await said(service, forked), wanted, "the fork")


async def a_fork_has_the_tools_of_its_source(open_service: OpenService) -> None:
    """Or those it is given: it does not go on without any that its model knows of."""
    llm = ScriptedLlm([call("echo", n=1), "one"])
    async with open_service(llm) as service:
        first = await a_session(service, tools=(a_tool_that_echoes(),))
        forked = await service.fork_session(first)
        same((await service.start_turn(forked, a_turn())).tool_calls, 1, "calls")
        with refuses(SessionUnsupported) as refusal:
            await service.fork_session(first, overrides=RecoveryOverrides())
        holds("echo" in str(refusal.error), "the error names the tool")
        more = RecoveryOverrides(
            external_tools=(a_tool_that_echoes(), a_tool_that_echoes("other")), model="gpt-9"
        )
        await service.fork_session(first, new_id="mine", overrides=more)
        same((await service.read("mine")).state.model, "gpt-9", "the model of the fork")


async def a_fork_that_cannot_be_leaves_nothing(open_service: OpenService) -> None:
    """A taken id, an unknown source."""
    async with open_service(ScriptedLlm([]), max_sessions=1) as service:
        first = await a_session(service)
        with refuses(AgentError):
            await service.fork_session(first, new_id=first)
        with refuses(AgentError):
            await service.fork_session(first, new_id="mine")
        holds(not await service.has_live_session("mine"), "there is no fork")
        with refuses(SessionNotFound):
            await service.fork_session("nobody")


# -- documents ---------------------------------------------------------------------------------


async def a_fork_takes_no_id_that_somebody_has_or_had(open_service: OpenService) -> None:
    """Live or archived, with the same messages or with others; nothing of it changes."""
    async with open_service(ScriptedLlm(["one", "two"])) as service:
        first = (await service.create_session(a_request("hi"))).session_id
        second = await service.fork_session(first, new_id="mine")
        before = await service.export_session(second)
        with refuses(AgentError):
            await service.fork_session(first, new_id="mine")
        same(await service.export_session(second), before, "the session that has it")
        await service.archive(second)
        with refuses(AgentError):
            await service.fork_session(first, new_id="mine")
        await service.start_turn(first, a_turn())
        with refuses(AgentError):
            await service.fork_session(first, new_id="mine")


async def _exported(service: SessionService, session_id: str) -> Session:
    """A session as another program may hand it over: in upstream's form, through its bytes."""
    return decode_session(export_session(await service.export_session(session_id)))


async def a_document_goes_on(open_service: OpenService) -> None:
    """As what it is: history, usage, labels and keys; a request says only what is new (SVC-13)."""
    async with open_service(ScriptedLlm([say("one", usage=USED), say("two", usage=USED)])) as here:
        request = a_request("first", labels={"team": "red"}, system_prompt="kind")
        session_id = (await here.create_session(request)).session_id
        await here.append_system_context(session_id, "red", idempotency_key="k")
        document = await _exported(here, session_id)
    async with open_service(ScriptedLlm([say("two", usage=USED)])) as there:
        created = await there.create_session(build_recovered_session(document))
        same((created.session_id, created.text), (session_id, ""), "the result")
        view = await there.read(session_id)
        same((view.state.message_count, view.billing.usage), (3, USED), "the view")
        same(dict(view.state.labels), {"team": "red"}, "the labels")
        status = await there.append_system_context(session_id, "red", idempotency_key="k")
        same(status, "duplicate", "a key of its past")
        result = await there.start_turn(session_id, a_turn("second"))
        same(result.usage, USED + USED, "the usage")
        texts = [text for _, text in await said(there, session_id)]
        same(texts, ["kind", "first", "one", "second", "two"], "the transcript")


async def a_document_may_go_on_under_another_name(open_service: OpenService) -> None:
    """With an id that is given or minted, beside the session it came from."""
    async with open_service(ScriptedLlm(["one"])) as service:
        session_id = (await service.create_session(a_request("first"))).session_id
        document = await _exported(service, session_id)
        for options in (SessionBuildOptions(session_id="mine"), SessionBuildOptions()):
            request = CreateSessionRequest(
                model="scripted",
                initial_turn="defer",
                labels={"team": "blue"},
                build=msgspec.structs.replace(options, resume_session=document),
            )
            created = await service.create_session(request)
            holds(created.session_id != session_id, "it has another id")
            same(await said(service, created.session_id), await said(service, session_id))
            labels = LABELS.read((await service.export_session(created.session_id)).metadata)
            same(labels, {"team": "blue"}, "labels that were said")


async def a_consumed_window_does_not_come_back(open_service: OpenService) -> None:
    """8.1-3, DEF-2: neither for a turn nor for the document that goes on."""
    async with open_service(ScriptedLlm(["one"])) as service:
        session_id = await a_session(service, system_prompt="early")
        await service.start_turn(session_id, a_turn())
        document = await _exported(service, session_id)
    for overrides in (
        RecoveryOverrides(system_prompt="late"),
        RecoveryOverrides(max_tokens=7),
    ):
        with refuses(SessionUnsupported):
            build_recovered_session(document, overrides)
    async with open_service(ScriptedLlm([])) as service:
        request = build_recovered_session(document)
        with refuses(SessionUnsupported):
            await service.create_session(msgspec.structs.replace(request, system_prompt="late"))
        await service.create_session(request)
        with refuses(SessionUnsupported):
            late = StartTurnRequest(prompt="x", system_prompt="late")
            await service.start_turn(session_id, late)
        same((await said(service, session_id))[0], ("system", "early"), "the system message")


async def an_open_window_stays_open(open_service: OpenService) -> None:
    """8.1-4, DEF-2: for a document whose first turn is to come, and for an empty template."""
    async with open_service(ScriptedLlm([])) as service:
        waiting = await _exported(service, await a_session(service, system_prompt="early"))
    metadata = {k: v for k, v in waiting.metadata.items() if k != "session_deferred_turn_state"}
    template = msgspec.structs.replace(waiting, metadata=metadata)
    for document in (waiting, template):
        async with open_service(ScriptedLlm(["one"])) as service:
            await service.create_session(build_recovered_session(document))
            late = StartTurnRequest(prompt="x", system_prompt="late")
            await service.start_turn(document.id, late)
            same((await said(service, document.id))[0], ("system", "late"), "the system message")


async def a_document_with_a_past_opens_no_window(open_service: OpenService) -> None:
    """DEF-2: without a stored window it is only a template when nothing was said."""
    async with open_service(ScriptedLlm(["one"])) as service:
        first = (await service.create_session(a_request("first"))).session_id
        document = await _exported(service, first)
    async with open_service(ScriptedLlm([])) as service:
        await service.create_session(build_recovered_session(document))
        with refuses(SessionUnsupported):
            late = StartTurnRequest(prompt="x", system_prompt="late")
            await service.start_turn(first, late)


async def a_document_of_an_archived_session_stays_archived(open_service: OpenService) -> None:
    """INV-9: it is not to be had back by the back door."""
    async with open_service(ScriptedLlm([])) as service:
        session_id = await a_session(service)
        document = await _exported(service, session_id)
    gone = msgspec.structs.replace(
        document, metadata={**document.metadata, "session_archived": True}
    )
    async with open_service(ScriptedLlm([])) as service:
        with refuses(SessionNotFound):
            await service.create_session(build_recovered_session(gone))
        holds(not await service.has_live_session(session_id), "it does not live")


async def a_document_needs_its_tools(open_service: OpenService) -> None:
    """Those its model knows of: the error names what is missing."""
    async with open_service(ScriptedLlm([])) as service:
        tools = (a_tool_that_echoes(), a_tool_that_echoes("other"))
        document = await _exported(service, await a_session(service, tools=tools))
    async with open_service(ScriptedLlm([])) as service:
        some = RecoveryOverrides(external_tools=(a_tool_that_echoes(),))
        with refuses(SessionUnsupported) as refusal:
            await service.create_session(build_recovered_session(document, some))
        holds("other" in str(refusal.error), "the missing tool is named")
        holds("echo" not in str(refusal.error), "the one that is there is not")
        whole = RecoveryOverrides(external_tools=tools)
        await service.create_session(build_recovered_session(document, whole))


async def what_a_resume_says_wins(open_service: OpenService) -> None:
    """SVC-13, REC-2: and another model is not looked for on the server of the former one."""
    options = SessionBuildOptions(
        self_hosted_server_id="rack-1", provider="self_hosted", keep_alive=True
    )
    async with open_service(ScriptedLlm([])) as service:
        request = CreateSessionRequest(model="llama", initial_turn="defer", build=options)
        created = await service.create_session(request)
        document = await _exported(service, created.session_id)
    for model, server in (("llama", "rack-1"), ("gpt-9", msgspec.UNSET)):
        async with open_service(ScriptedLlm([])) as service:
            request = CreateSessionRequest(
                model=model,
                initial_turn="defer",
                build=SessionBuildOptions(resume_session=document, session_id="mine"),
            )
            await service.create_session(request)
            identity = await service.live_session_llm_identity("mine")
            same((identity.model, identity.self_hosted_server_id), (model, server))
