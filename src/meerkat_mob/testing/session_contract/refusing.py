"""Bad input: each its typed error with a code, before anything happens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec

from meerkat_mob.core.content import ImageBlock
from meerkat_mob.core.requests import StartTurnRequest
from meerkat_mob.errors import (
    InvalidParams,
    SessionNotFound,
    SessionNotRunning,
    SessionUnsupported,
)
from meerkat_mob.llm import ScriptedLlm
from meerkat_mob.sessions import SessionQuery
from meerkat_mob.testing.builders import a_request, a_session, a_tool_that_echoes, a_turn
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.session_contract.maker import OpenService, said

BROKEN = "half a character: \ud800"


async def errors_have_their_codes(open_service: OpenService) -> None:
    """Spec 2.1: and say which session they are about."""
    async with open_service(ScriptedLlm([])) as service:
        session_id = await a_session(service)
        with refuses(SessionNotRunning) as idle:
            await service.interrupt(session_id)
        await service.archive(session_id)
        with refuses(SessionNotFound) as twice:
            await service.archive(session_id)
        found = [(e.code, e.session_id) for e in (idle.error, twice.error)]
        wanted = [("SESSION_NOT_RUNNING", session_id), ("SESSION_NOT_FOUND", session_id)]
        same(found, wanted, "the errors")


async def labels_are_texts(open_service: OpenService) -> None:
    """When they are given, and when they are asked for: the place of the fault is named."""
    wrong = [
        cast("Mapping[str, str]", labels) for labels in ({"a": 1}, {1: "a"}, ["a"], {"a": None})
    ]
    async with open_service(ScriptedLlm([])) as service:
        for labels in wrong:
            with refuses(InvalidParams) as refusal:
                await service.list(SessionQuery(labels=labels))
            holds(refusal.error.path.startswith("labels"), "the place is named")
            request = msgspec.structs.replace(
                a_request(defer=True, session_id="mine"), labels=labels
            )
            with refuses(InvalidParams):
                await service.create_session(request)
        same(await service.list(SessionQuery()), [], "sessions")


async def what_could_not_be_read_back_makes_no_session(open_service: OpenService) -> None:
    """Text that is no Unicode, values of a wrong type: nothing exists, and the id is free."""
    image = ImageBlock(media_type=BROKEN, source="inline", data="AA==")
    good = a_request(defer=True, session_id="mine")
    replace = msgspec.structs.replace
    build = replace(good.build, comms_name=cast("str", 5))
    async with open_service(ScriptedLlm([])) as service:
        for request in (
            replace(good, system_prompt=BROKEN),
            replace(good, prompt=BROKEN, deferred_prompt_policy="stage"),
            replace(good, prompt=(image,), deferred_prompt_policy="stage"),
            replace(good, labels={"team": BROKEN}),
            replace(good, max_tokens=cast("int", "many")),
            replace(good, build=build),
            replace(good, build=replace(good.build, provider_params={"f": cast("str", open)})),
        ):
            with refuses(InvalidParams):
                await service.create_session(request)
            holds(not await service.has_live_session("mine"), "there is no session")
        same(await service.list(SessionQuery()), [], "sessions")
        await service.create_session(good)


async def a_turn_of_broken_text_leaves_the_session_as_it_was(open_service: OpenService) -> None:
    """In the prompt, in front of it, beside it."""
    async with open_service(ScriptedLlm(["fine"])) as service:
        session_id = await a_session(service)
        before = await service.export_session(session_id)
        for request in (
            StartTurnRequest(prompt=BROKEN),
            StartTurnRequest(prompt="x", additional_instructions=(BROKEN,)),
            StartTurnRequest(prompt="x", system_prompt=BROKEN),
        ):
            with refuses(InvalidParams):
                await service.start_turn(session_id, request)
            same(await service.export_session(session_id), before, "the session")
        same((await service.start_turn(session_id, a_turn("hi"))).text, "fine", "the answer")


async def two_tools_of_one_name_make_no_session(open_service: OpenService) -> None:
    """Nobody could tell which of them was called."""
    tools = (a_tool_that_echoes(), a_tool_that_echoes())
    async with open_service(ScriptedLlm([])) as service:
        with refuses(InvalidParams):
            await service.create_session(a_request(defer=True, tools=tools, session_id="mine"))
        same(await service.list(SessionQuery()), [], "sessions")
        await a_session(service)


async def a_late_system_prompt_is_no_turn(open_service: OpenService) -> None:
    """3.1 step 4: refused by name before anything is pushed; the admission is given back."""
    async with open_service(ScriptedLlm(["one", "two"])) as service:
        session_id = (await service.create_session(a_request("hi"))).session_id
        before = await said(service, session_id)
        with refuses(SessionUnsupported) as refusal:
            late = StartTurnRequest(prompt="x", system_prompt="late")
            await service.start_turn(session_id, late)
        same((refusal.error.code, refusal.error.session_id), ("SESSION_UNSUPPORTED", session_id))
        same(await said(service, session_id), before, "the transcript")
        await service.start_turn(session_id, a_turn())
