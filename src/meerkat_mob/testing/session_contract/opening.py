"""Creating sessions: with a first turn or without, how many, and under which names."""

from __future__ import annotations

import asyncio

from meerkat_mob.core.events import RunResult, RunStarted
from meerkat_mob.core.requests import StartTurnRequest
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import AgentError, LlmFailed, SessionUnsupported
from meerkat_mob.llm import ScriptedLlm, fail, say
from meerkat_mob.sessions import SessionQuery
from meerkat_mob.testing.builders import a_request, a_session, a_turn, the_next
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.session_contract.maker import OpenService, said


async def create_runs_the_first_turn(open_service: OpenService) -> None:
    """8.1-1: text, id and usage of that turn come back."""
    used = Usage(input_tokens=3, output_tokens=5)
    async with open_service(ScriptedLlm([say("hello", usage=used)])) as service:
        result = await service.create_session(a_request("hi", system_prompt="be kind"))
        same((result.text, result.turns, result.usage), ("hello", 1, used), "the result")
        wanted = [("system", "be kind"), ("user", "hi"), ("model", "hello")]
        same(await said(service, result.session_id), wanted, "the transcript")


async def create_can_be_deferred(open_service: OpenService) -> None:
    """8.1-2, DEF-1: nothing runs and the prompt is dropped; a later turn works."""
    with ScriptedLlm(["hello"]) as llm:
        async with open_service(llm) as service:
            result = await service.create_session(a_request("dropped", defer=True))
            session_id = result.session_id
            same(result, RunResult(text="", session_id=session_id, usage=Usage()), "the result")
            same(llm.requests, [], "what the model was asked")
            same((await service.start_turn(session_id, a_turn("hi"))).text, "hello", "the answer")
            same(await said(service, session_id), [("user", "hi"), ("model", "hello")])


async def a_staged_prompt_goes_in_front_of_the_first_one(open_service: OpenService) -> None:
    """DEF-1: joined by a blank line, once."""
    async with open_service(ScriptedLlm(["one", "two"])) as service:
        created = await service.create_session(a_request("kept", defer=True, stage=True))
        await service.start_turn(created.session_id, a_turn("hi"))
        await service.start_turn(created.session_id, a_turn("again"))
        users = [text for who, text in await said(service, created.session_id) if who == "user"]
        same(users, ["kept\n\nhi", "again"], "what the user said")


async def a_staged_prompt_is_enough_for_a_turn(open_service: OpenService) -> None:
    """A turn without a prompt of its own runs on what was staged."""
    async with open_service(ScriptedLlm(["one"])) as service:
        created = await service.create_session(a_request("kept", defer=True, stage=True))
        await service.start_turn(created.session_id, StartTurnRequest())
        same((await said(service, created.session_id))[0], ("user", "kept"))


async def only_a_deferred_first_turn_takes_a_system_prompt(open_service: OpenService) -> None:
    """SES-11: in the place of the one given at creation, which otherwise stays; once."""
    late = StartTurnRequest(prompt="hi", system_prompt="late")
    async with open_service(ScriptedLlm(["one", "two", "three"])) as service:
        deferred = await a_session(service, system_prompt="early")
        await service.start_turn(deferred, late)
        same((await said(service, deferred))[0], ("system", "late"), "the system prompt")
        at_once = (await service.create_session(a_request("hi", system_prompt="early"))).session_id
        for session_id in (deferred, at_once):
            before = await said(service, session_id)
            with refuses(SessionUnsupported):
                await service.start_turn(session_id, late)
            same(await said(service, session_id), before, "the transcript after the refusal")
        await service.start_turn(at_once, a_turn())


async def a_session_is_there_before_its_first_turn_ends(open_service: OpenService) -> None:
    """SVC-1, EPH-3: it can be found, read and stopped while ``create_session`` still runs."""
    async with open_service(ScriptedLlm(["never"])) as service:
        request = a_request("hi", session_id="mine")
        creating = asyncio.create_task(service.create_session(request))
        await service.wait_session_registered("mine")
        holds(await service.has_live_session("mine"), "the session is live")
        holds((await service.read("mine")).state.is_active, "its first turn is active")
        await service.interrupt("mine")
        with refuses(AgentError):
            await creating
        holds(await service.has_live_session("mine"), "it is still live")


async def a_failing_first_turn_leaves_a_usable_session(open_service: OpenService) -> None:
    """SVC-11: the error says which session."""
    async with open_service(ScriptedLlm([fail("no"), "better"])) as service:
        with refuses(LlmFailed) as refusal:
            await service.create_session(a_request("hi", session_id="mine"))
        same(refusal.error.session_id, "mine", "the session the error names")
        same((await service.start_turn("mine", a_turn())).text, "better", "the next answer")


async def of_two_creates_at_the_limit_one_wins(open_service: OpenService) -> None:
    """8.1-10, EPH-1: and an archived session makes room."""
    async with open_service(ScriptedLlm([]), max_sessions=2) as service:
        first = await a_session(service)
        tried = await asyncio.gather(a_session(service), a_session(service), return_exceptions=True)
        same(sum(isinstance(t, AgentError) for t in tried), 1, "refused creates")
        same(len(await service.list(SessionQuery())), 2, "live sessions")
        await service.archive(first)
        await a_session(service)


async def ids_are_distinct_and_taken_once(open_service: OpenService) -> None:
    """8.2-11: minted ones differ; a given one that is taken is refused, archived or not."""
    async with open_service(ScriptedLlm([])) as service:
        minted = await asyncio.gather(*(a_session(service) for _ in range(5)))
        same(len(set(minted)), 5, "different ids")
        with refuses(AgentError):
            await service.create_session(a_request(defer=True, session_id=minted[0]))
        await service.archive(minted[0])
        with refuses(AgentError):
            await service.create_session(a_request(defer=True, session_id=minted[0]))


async def events_can_be_awaited_before_the_first_turn(open_service: OpenService) -> None:
    """8.1-5."""
    async with open_service(ScriptedLlm(["hello"])) as service:
        session_id = await a_session(service)
        events = service.subscribe_session_events(session_id)
        await service.start_turn(session_id, a_turn("hi"))
        same((await the_next(RunStarted, events)).prompt, "hi", "the prompt in the event")
        await events.aclose()
