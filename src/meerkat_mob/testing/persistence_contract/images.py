"""Images: out of every message and record, kept once, and there for the model after a restart."""

from __future__ import annotations

from meerkat_mob.core.blobs import Blob, blob_id, with_inline_images
from meerkat_mob.core.content import ImageBlock, TextBlock, text_of
from meerkat_mob.core.messages import ToolResult, UserMessage
from meerkat_mob.core.requests import StartTurnRequest
from meerkat_mob.core.tools import ToolCall, ToolOutcome
from meerkat_mob.errors import StoreFailed
from meerkat_mob.llm import ScriptedLlm, call
from meerkat_mob.sessions import RecoveryOverrides
from meerkat_mob.testing.builders import a_request, a_session, a_tool, a_turn
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.persistence_contract.maker import records_of, sessions_in
from meerkat_mob.testing.persistence_contract.stores import BreakingStore, ForgetfulStore
from meerkat_mob.testing.store_contract import OpenStore

DATA = "aW1hZ2U="
IMAGE = ImageBlock(media_type="image/png", source="inline", data=DATA)
NAME = blob_id("image/png", DATA)
BLOB = Blob(media_type="image/png", data=DATA)
NAMED = ImageBlock(media_type="image/png", source="blob", blob_id=NAME)


async def _paint(_: ToolCall) -> ToolOutcome:
    return ToolOutcome(content=(IMAGE,))


PAINT = a_tool("paint", _paint)


async def _is_outside(open_store: OpenStore, session_id: str) -> None:
    """No record holds the image itself, the store does, and one of the records names it."""
    bodies = b"".join(record.body for record in await records_of(open_store, session_id))
    holds(DATA.encode() not in bodies, "no record holds the image")
    holds(NAME.encode() in bodies, "a record names it")
    async with open_store() as store:
        same(await store.blob(NAME), BLOB, "the blob")


async def an_image_of_a_first_prompt_is_outside(open_store: OpenStore) -> None:
    """BLB-3, 8.3: on create; the model sees it."""
    llm = ScriptedLlm(["nice"])
    async with sessions_in(open_store, llm) as service:
        session_id = (await service.create_session(a_request((IMAGE,)))).session_id
        same(llm.requests[0].blobs.get(NAME), BLOB, "what the model sees")
    await _is_outside(open_store, session_id)


async def an_image_that_is_staged_is_outside(open_store: OpenStore) -> None:
    """BLB-3: in a staged prompt, and in a staged result; both are seen after a restart."""
    result = ToolResult(tool_use_id="a", content=(IMAGE,))
    async with sessions_in(open_store) as service:
        request = a_request((TextBlock(text="see"), IMAGE), defer=True, stage=True)
        prompted = (await service.create_session(request)).session_id
        staged = await a_session(service)
        await service.stage_tool_results(staged, (result,))
    llm = ScriptedLlm(["one", "two"])
    for session_id in (prompted, staged):
        await _is_outside(open_store, session_id)
        async with sessions_in(open_store, llm) as service:
            await service.start_turn(session_id, StartTurnRequest())
            same(llm.requests[-1].blobs.get(NAME), BLOB, "what the model sees")


async def an_image_of_a_turn_is_outside(open_store: OpenStore) -> None:
    """BLB-3: in its prompt, in what precedes it, in the turn of a runtime."""
    before = UserMessage(content=(IMAGE,))
    async with sessions_in(open_store, ScriptedLlm(["one", "two", "three"])) as service:
        ids = [await a_session(service) for _ in range(3)]
        await service.start_turn(ids[0], a_turn((IMAGE,)))
        await service.start_turn(ids[1], StartTurnRequest(prompt="see", preface=(before,)))
        await service.apply_runtime_turn(ids[2], "run", a_turn((IMAGE,)), "run_start", ("in",))
    for session_id in ids:
        await _is_outside(open_store, session_id)


async def an_image_that_a_tool_gave_is_outside(open_store: OpenStore) -> None:
    """BLB-3, 4: kept with the results, and seen by the very next call, and after a restart."""
    llm = ScriptedLlm([call("paint"), "nice"])
    async with sessions_in(open_store, llm) as service:
        session_id = await a_session(service, tools=(PAINT,))
        await service.start_turn(session_id, a_turn())
        same(llm.requests[1].blobs.get(NAME), BLOB, "what the next call sees")
    await _is_outside(open_store, session_id)
    llm = ScriptedLlm(["still nice"])
    async with sessions_in(open_store, llm) as service:
        await service.resume_session(session_id, RecoveryOverrides(external_tools=(PAINT,)))
        await service.start_turn(session_id, a_turn())
        same(llm.requests[0].blobs.get(NAME), BLOB, "what a later life sees")


async def one_image_is_kept_once(open_store: OpenStore) -> None:
    """BLB-1: whoever says it, and a fork needs none of its own."""
    async with sessions_in(open_store, ScriptedLlm(["one", "two"])) as service:
        first = (await service.create_session(a_request((IMAGE,)))).session_id
        await service.start_turn(first, a_turn((IMAGE,)))
        await service.fork_session(first, new_id="fork")
    llm = ScriptedLlm(["three"])
    async with sessions_in(open_store, llm) as service:
        await service.start_turn("fork", a_turn())
        same(dict(llm.requests[0].blobs), {NAME: BLOB}, "what the fork's model sees")


async def an_image_that_is_gone_is_a_text(open_store: OpenStore) -> None:
    """BLB-4: the turn does not fail for it."""
    async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
        session_id = (await service.create_session(a_request((IMAGE,)))).session_id
    llm = ScriptedLlm(["two"])
    async with sessions_in(open_store, llm, over=ForgetfulStore().over) as service:
        same((await service.start_turn(session_id, a_turn())).text, "two", "the answer")
        request = llm.requests[0]
        same(dict(request.blobs), {}, "images that are there")
        shown = with_inline_images((NAMED,), request.blobs)
        same(text_of(shown), f"[image unavailable: {NAME}]", "what stands in its place")


async def an_image_that_cannot_be_read_now_fails_the_turn(open_store: OpenStore) -> None:
    """A disk that fails is no missing image: the caller is told, and the next turn sees it."""
    async with sessions_in(open_store, ScriptedLlm(["one"])) as service:
        session_id = (await service.create_session(a_request((IMAGE,)))).session_id
    disk = BreakingStore()
    llm = ScriptedLlm(["two"])
    async with sessions_in(open_store, llm, over=disk.over) as service:
        await service.append_system_context(session_id, "red")
        disk.reads = False
        with refuses(StoreFailed):
            await service.start_turn(session_id, a_turn())
        same(llm.requests, [], "what the model was asked")
        disk.recover()
        await service.start_turn(session_id, a_turn())
        same(llm.requests[0].blobs.get(NAME), BLOB, "what the model sees")
        holds("red" in llm.requests[0].system_context, "and the note that waited")


async def an_image_whose_commit_failed_is_kept_with_the_next(open_store: OpenStore) -> None:
    """Memory holds what the disk does not have yet."""
    disk = BreakingStore()
    llm = ScriptedLlm(["one", "two", "three"])
    async with sessions_in(open_store, llm, over=disk.over) as service:
        session_id = await a_session(service)
        disk.die()
        with refuses(StoreFailed):
            await service.start_turn(session_id, a_turn((IMAGE,)))
        disk.recover()
        await service.start_turn(session_id, a_turn((IMAGE,)))
        same(llm.requests[-1].blobs.get(NAME), BLOB, "what the model sees")
    await _is_outside(open_store, session_id)
