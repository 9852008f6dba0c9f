"""Documents of elsewhere: imported whole, and never against what is stored."""

from __future__ import annotations

import msgspec

from meerkat_mob.core.blobs import blob_id
from meerkat_mob.core.content import ImageBlock
from meerkat_mob.core.messages import ToolResult, UserMessage
from meerkat_mob.core.requests import CreateSessionRequest, SessionBuildOptions, StartTurnRequest
from meerkat_mob.core.session import (
    Session,
    decode_session,
    encode_session,
    export_session,
    new_session,
    push,
    with_metadata,
)
from meerkat_mob.errors import AgentError, SessionNotFound
from meerkat_mob.llm import ScriptedLlm
from meerkat_mob.sessions import RecoveryOverrides, build_recovered_session
from meerkat_mob.testing.builders import a_request, a_session, a_tool_that_echoes, a_turn
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.persistence_contract.maker import records_of, seen, sessions_in
from meerkat_mob.testing.session_contract.maker import said
from meerkat_mob.testing.store_contract import OpenStore

DATA = "aW1hZ2U="
IMAGE = ImageBlock(media_type="image/png", source="inline", data=DATA)


def _going_on(document: Session) -> CreateSessionRequest:
    options = SessionBuildOptions(session_id=document.id, resume_session=document)
    return CreateSessionRequest(model="scripted", initial_turn="defer", build=options)


async def an_imported_document_is_there_again(open_store: OpenStore) -> None:
    """8.3: in upstream's form, and what we do not know of it stays in it."""
    async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
        request = a_request("first", labels={"a": "1"}, session_id="theirs")
        await service.create_session(request)
        document = await service.export_session("theirs")
    theirs = with_metadata(
        msgspec.structs.replace(document, id="mine"),
        {**document.metadata, "their_own": {"deep": [1, None]}},
        now=document.updated_at,
    )
    async with sessions_in(open_store) as service:
        await service.create_session(_going_on(decode_session(export_session(theirs))))
        before = await seen(service, "mine")
        same(before[3].metadata.get("their_own"), {"deep": [1, None]}, "what is not ours")
        same(before[3].created_at, theirs.created_at, "when it began")
    async with sessions_in(open_store, ScriptedLlm(["two"])) as service:
        same(await seen(service, "mine"), before, "what is seen after a restart")
        await service.start_turn("mine", a_turn("second"))
        texts = [text for _, text in await said(service, "mine")]
        same(texts, ["first", "one", "second", "two"], "the transcript")


async def a_document_that_says_little_goes_on_as_its_request_says(open_store: OpenStore) -> None:
    """SES-8: what is missing or does not parse is absent, and keeps nobody from loading."""
    bare = push(new_session("mine", now=5), UserMessage(content="hi"), now=6)
    odd = with_metadata(bare, {"session_metadata": 5, "session_labels": [1]}, now=6)
    async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
        await service.create_session(_going_on(odd))
        resume = StartTurnRequest(execution_kind="resume_pending")
        same((await service.start_turn("mine", resume)).text, "one", "the answer")
        same((await service.read("mine")).state.model, "scripted", "the model")


async def the_filters_of_an_old_document_are_in_force(open_store: OpenStore) -> None:
    """8.3, 1.7: where it has none of today's form; after a restart they are of that form."""
    tools = (a_tool_that_echoes(), a_tool_that_echoes("other"))
    entries = {"tool_scope_external_filter": {"deny": ["echo"]}}
    old = with_metadata(new_session("mine", now=5), entries, now=6)
    request = _going_on(old)
    build = msgspec.structs.replace(request.build, external_tools=tools)
    llm = ScriptedLlm(["one", "two"])
    async with sessions_in(open_store, llm) as service:
        await service.create_session(msgspec.structs.replace(request, build=build))
        await service.start_turn("mine", a_turn())
    async with sessions_in(open_store, llm) as service:
        await service.resume_session("mine", RecoveryOverrides(external_tools=tools))
        await service.start_turn("mine", a_turn())
    found = [[tool.name for tool in request.tools] for request in llm.requests]
    same(found, [["other"], ["other"]], "what the model saw")


async def images_leave_an_imported_document(open_store: OpenStore) -> None:
    """BLB-3: those in its messages, and those in what waits for its next turn."""
    async with sessions_in(open_store) as service:
        request = a_request("kept", defer=True, stage=True, session_id="theirs")
        await service.create_session(request)
        result = ToolResult(tool_use_id="a", content="r")
        await service.stage_tool_results("theirs", (result,))
        document = await service.export_session("theirs")
    image = msgspec.json.encode((IMAGE,))
    raw = encode_session(document).replace(b'"prompt":"kept"', b'"prompt":' + image)
    raw = raw.replace(b'"content":"r"', b'"content":' + image).replace(b'"theirs"', b'"mine"')
    theirs = push(decode_session(raw), UserMessage(content=(IMAGE,)), now=7)
    async with sessions_in(open_store) as service:
        await service.create_session(_going_on(theirs))
    bodies = b"".join(record.body for record in await records_of(open_store, "mine"))
    holds(DATA.encode() not in bodies, "no record holds an image")
    same(bodies.count(blob_id("image/png", DATA).encode()), 3, "places that name it")


async def a_document_goes_on_only_from_what_is_stored(open_store: OpenStore) -> None:
    """Its messages must be those of the store: an older one, or another's, is refused."""
    async with sessions_in(open_store, ScriptedLlm(["one", "two"])) as service:
        session_id = (await service.create_session(a_request("first"))).session_id
        older = await service.export_session(session_id)
        await service.start_turn(session_id, a_turn())
        newest = await service.export_session(session_id)
    before = await records_of(open_store, session_id)
    async with sessions_in(open_store, ScriptedLlm(["three"])) as service:
        other = push(newest, UserMessage(content="another"), now=9)
        for document in (older, other):
            with refuses(AgentError):
                await service.create_session(_going_on(document))
        holds(not await service.has_live_session(session_id), "it does not live")
        same(await service.read_facts(session_id), before, "the records")
        await service.create_session(_going_on(newest))
        with refuses(AgentError):
            await service.create_session(_going_on(newest))
        await service.start_turn(session_id, a_turn())


async def a_document_of_an_earlier_day_takes_nothing_back(open_store: OpenStore) -> None:
    """With the same messages it goes on as what is stored: keys, settings, what waits."""
    async with sessions_in(open_store) as service:
        session_id = await a_session(service)
        older = await service.export_session(session_id)
        await service.append_system_context(session_id, "red", idempotency_key="k")
        await service.update_session_keep_alive(session_id, keep_alive=True)
        newest = await service.export_session(session_id)
    async with sessions_in(open_store) as service:
        await service.create_session(build_recovered_session(older))
        document = await service.export_session(session_id)
        same(dict(document.metadata), dict(newest.metadata), "what the session says of itself")
        note = service.append_system_context
        same(await note(session_id, "red", idempotency_key="k"), "duplicate", "a known key")


async def a_stored_session_can_be_given_its_tools_by_a_document(open_store: OpenStore) -> None:
    """As by ``resume_session``."""
    tools = (a_tool_that_echoes(),)
    async with sessions_in(open_store) as service:
        session_id = await a_session(service, tools=tools)
    async with sessions_in(open_store) as service:
        document = await service.export_session(session_id)
        overrides = RecoveryOverrides(external_tools=tools)
        await service.create_session(build_recovered_session(document, overrides))
        holds(await service.has_live_session(session_id), "it lives")


async def an_archived_session_has_no_way_back(open_store: OpenStore) -> None:
    """INV-9: not with a document of before its archive; under another name it is another."""
    async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
        session_id = (await service.create_session(a_request("first"))).session_id
        document = await service.export_session(session_id)
        await service.archive(session_id)
    async with sessions_in(open_store) as service:
        with refuses(SessionNotFound):
            await service.create_session(_going_on(document))
        copy = msgspec.structs.replace(document, id="copy")
        await service.create_session(_going_on(copy))
        same(len(await said(service, "copy")), 2, "messages of the copy")
