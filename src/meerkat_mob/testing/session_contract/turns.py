"""Turns: what each of them runs, what it adds, and that there is one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Literal

from msgspec import UNSET, UnsetType

from meerkat_mob.core.blobs import without_inline_images
from meerkat_mob.core.content import ImageBlock, TextBlock, VideoBlock
from meerkat_mob.core.digest import ConversationDigest
from meerkat_mob.core.events import RunCompleted, RunFailed, RunStarted, ToolExecutionStarted
from meerkat_mob.core.messages import (
    Message,
    RenderMetadata,
    UserMessage,
    encode_message,
    text_of_message,
)
from meerkat_mob.core.requests import StartTurnRequest
from meerkat_mob.core.usage import Usage
from meerkat_mob.errors import (
    InvalidParams,
    LlmFailed,
    MeerkatError,
    NoPendingBoundary,
    SessionBusy,
)
from meerkat_mob.llm import LlmEvent, LlmRequest, ScriptedLlm, call, fail, say
from meerkat_mob.sessions import SessionQuery, SessionService
from meerkat_mob.testing.builders import (
    a_request,
    a_session,
    a_tool_that_echoes,
    a_tool_that_waits,
    a_turn,
    a_turn_at,
)
from meerkat_mob.testing.expect import holds, refuses, same
from meerkat_mob.testing.session_contract.maker import (
    OpenService,
    each_call_has_a_result,
    said,
)


async def a_turn_adds_to_the_history(open_service: OpenService) -> None:
    """8.1-6: the model sees all that was said before."""
    llm = ScriptedLlm(["one", "two"])
    async with open_service(llm) as service:
        session_id = (await service.create_session(a_request("first"))).session_id
        await service.start_turn(session_id, a_turn("second"))
        wanted = [("user", "first"), ("model", "one"), ("user", "second"), ("model", "two")]
        same(await said(service, session_id), wanted, "the transcript")
        asked = [text_of_message(message) for message in llm.requests[-1].messages]
        same(asked, ["first", "one", "second"], "what the model was shown")


async def of_two_turns_at_once_one_is_refused(open_service: OpenService) -> None:
    """8.1-14, SVC-2: at once, without waiting for the other."""
    async with open_service(ScriptedLlm(["one"])) as service:
        session_id = await a_session(service)
        tried = await asyncio.gather(
            *(service.start_turn(session_id, a_turn(f"p{n}")) for n in range(3)),
            return_exceptions=True,
        )
        same(sum(isinstance(t, SessionBusy) for t in tried), 2, "refused turns")
        same(len(await said(service, session_id)), 2, "messages")


async def turns_of_different_sessions_go_on_together(open_service: OpenService) -> None:
    """SVC-10: each waits for a gate that only the other one's end opens last."""
    gate = asyncio.Event()
    llm = ScriptedLlm([call("wait"), "one", "two"])
    async with open_service(llm) as service:
        slow = await a_session(service, tools=(a_tool_that_waits(gate),))
        quick = await a_session(service)
        turn = await a_turn_at(ToolExecutionStarted, service, slow)
        same((await service.start_turn(quick, a_turn())).text, "one", "the quick answer")
        gate.set()
        same((await turn).text, "two", "the slow answer")


async def a_failed_turn_leaves_a_usable_session(open_service: OpenService) -> None:
    """8.2-17: the error is typed, the prompt stays said, and the next turn is like any other."""
    async with open_service(ScriptedLlm([fail("no"), "better"])) as service:
        session_id = await a_session(service)
        with refuses(LlmFailed):
            await service.start_turn(session_id, a_turn("first"))
        holds(not (await service.read(session_id)).state.is_active, "the session is idle")
        await service.start_turn(session_id, a_turn("second"))
        wanted = [("user", "first"), ("user", "second"), ("model", "better")]
        same(await said(service, session_id), wanted, "the transcript")


async def usage_adds_up_and_the_unknown_stays_unknown(open_service: OpenService) -> None:
    """8.2-3: over the calls of a turn and over turns; nobody's cache figure is not zero."""
    plain = Usage(input_tokens=1, output_tokens=2)
    cached = Usage(input_tokens=10, output_tokens=20, cache_read_tokens=5)
    llm = ScriptedLlm(
        [say("", usage=plain) & call("echo"), say("a", usage=plain), say("b", usage=cached)]
    )
    async with open_service(llm) as service:
        session_id = await a_session(service, tools=(a_tool_that_echoes(),))
        first = await service.start_turn(session_id, a_turn())
        same(first.usage, Usage(input_tokens=2, output_tokens=4), "after one turn")
        second = await service.start_turn(session_id, a_turn())
        wanted = Usage(input_tokens=12, output_tokens=24, cache_read_tokens=5)
        same(second.usage, wanted, "after two turns")
        billing = (await service.read(session_id)).billing
        same((billing.usage, billing.total_tokens), (wanted, 36), "the billing")


async def a_turn_tells_where_it_begins_and_how_it_ends(open_service: OpenService) -> None:
    """8.2-9 and 10, INV-7: run_started first, one terminal event, numbers that only grow."""
    async with open_service(ScriptedLlm(["one", fail("no"), "three"])) as service:
        session_id = await a_session(service)
        events = service.subscribe_session_events(session_id)
        for _ in range(3):
            try:
                await service.start_turn(session_id, a_turn())
            except LlmFailed:
                continue
        await service.archive(session_id)
        seen = [envelope async for envelope in events]
        same([e.seq for e in seen], list(range(1, len(seen) + 1)), "the numbers")
        same({e.source_id for e in seen}, {f"session:{session_id}"}, "the source")
        marks = [
            type(e.payload)
            for e in seen
            if isinstance(e.payload, RunStarted | RunCompleted | RunFailed)
        ]
        wanted = [RunStarted, RunCompleted, RunStarted, RunFailed, RunStarted, RunCompleted]
        same(marks, wanted, "the marks of the runs")
        holds(isinstance(seen[0].payload, RunStarted), "the first event says that a run started")


async def what_a_turn_runs_follows_the_table(open_service: OpenService) -> None:
    """Spec 3.1, step 6: all rows, on a transcript that waits for an answer, and on another."""
    runs, continues, nothing = "runs", "continues", "nothing"
    table: list[tuple[Literal["content_turn", "resume_pending"] | UnsetType, bool, str, str]] = [
        ("content_turn", True, "go", runs),
        ("content_turn", False, "go", runs),
        ("resume_pending", True, "go", continues),
        ("resume_pending", False, "go", nothing),
        (UNSET, True, "go", runs),
        (UNSET, False, "go", runs),
        (UNSET, True, " \n", continues),
        (UNSET, False, " \n", nothing),
    ]
    for kind, pending, prompt, wanted in table:
        llm = ScriptedLlm([fail("no") if pending else "so", "done"])
        async with open_service(llm) as service:
            session_id = await a_session(service)
            await _one_way_or_another(service, session_id, a_turn("before"))
            before = await said(service, session_id)
            request = StartTurnRequest(prompt=prompt, execution_kind=kind)
            error = await _one_way_or_another(service, session_id, request)
            added = (await said(service, session_id))[len(before) :]
            found = {0: nothing, 1: continues, 2: runs}[len(added)]
            same((found, error is not None), (wanted, wanted == nothing), f"{kind}, {pending}")
            holds(error is None or isinstance(error, NoPendingBoundary), "the error is typed")


async def _one_way_or_another(
    service: SessionService, session_id: str, request: StartTurnRequest
) -> MeerkatError | None:
    try:
        await service.start_turn(session_id, request)
    except MeerkatError as error:
        return error
    return None


async def media_alone_make_a_prompt(open_service: OpenService) -> None:
    """Text may be absent when there is something to look at; its form is kept."""
    image = ImageBlock(media_type="image/png", source="inline", data="AA==")
    async with open_service(ScriptedLlm(["nice"])) as service:
        session_id = await a_session(service)
        await service.start_turn(session_id, StartTurnRequest(prompt=(image,)))
        found = await _messages(service, session_id)
        kept, _ = without_inline_images((image,))
        same(found[0], UserMessage(content=kept), "the user's message")


class _Blind:
    """A client of a provider that takes no videos. It is never asked."""

    provider = "openai"

    def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        return ScriptedLlm([]).stream(request)

    async def aclose(self) -> None:
        pass


async def a_video_goes_only_where_it_can_be_seen(open_service: OpenService) -> None:
    """EPH-2: checked before anything exists or is admitted, at creation and in a turn."""
    video = VideoBlock(media_type="video/mp4", duration_ms=5, source="inline", data="AA==")
    async with open_service(ScriptedLlm(["nice"])) as service:
        session_id = (await service.create_session(a_request((video,)))).session_id
        same((await _messages(service, session_id))[0], UserMessage(content=(video,)))
    async with open_service(_Blind()) as service:
        with refuses(InvalidParams):
            await service.create_session(a_request((video,), defer=True, stage=True))
        same(await service.list(SessionQuery()), [], "live sessions")
        session_id = await a_session(service)
        with refuses(InvalidParams):
            await service.start_turn(session_id, a_turn((video,)))
        before = UserMessage(content=(video,))
        with refuses(InvalidParams):
            await service.start_turn(session_id, StartTurnRequest(prompt="see", preface=(before,)))
        same(await said(service, session_id), [], "the transcript")


async def instructions_are_notices_in_front_of_the_prompt(open_service: OpenService) -> None:
    """Spec 2.2: paragraphs of a text, a leading block of a prompt with media."""
    image = ImageBlock(media_type="image/png", source="inline", data="AA==")
    async with open_service(ScriptedLlm(["one", "two"])) as service:
        session_id = await a_session(service)
        for prompt in ("hi", (image,)):
            request = StartTurnRequest(
                prompt=prompt, additional_instructions=("be quick", "be kind")
            )
            await service.start_turn(session_id, request)
        notices = "[SYSTEM NOTICE: be quick]\n\n[SYSTEM NOTICE: be kind]"
        found = [
            m.content for m in await _messages(service, session_id) if isinstance(m, UserMessage)
        ]
        seen, _ = without_inline_images((TextBlock(text=notices), image))
        same(found, [f"{notices}\n\nhi", seen], "the prompts")


async def a_message_s_rendering_reaches_the_transcript(open_service: OpenService) -> None:
    """8.2-16: what precedes the prompt stays its own message, with its own rendering."""
    peer, user = (
        RenderMetadata(render_class="peer_message"),
        RenderMetadata(render_class="flow_step"),
    )
    before = UserMessage(content="from a peer", render_metadata=peer)
    async with open_service(ScriptedLlm(["one"])) as service:
        session_id = await a_session(service)
        request = StartTurnRequest(prompt="do it", preface=(before,), render_metadata=user)
        await service.start_turn(session_id, request)
        wanted = (before, UserMessage(content="do it", render_metadata=user))
        same((await _messages(service, session_id))[:2], wanted, "the first messages")


async def a_prompt_that_cannot_be_kept_leaves_nothing(open_service: OpenService) -> None:
    """SES-13: as if the turn had never started, so the first-turn window is open again."""
    broken = StartTurnRequest(prompt="half a character: \ud800", system_prompt="late")
    async with open_service(ScriptedLlm(["fine"])) as service:
        request = a_request("kept", defer=True, stage=True, system_prompt="early")
        session_id = (await service.create_session(request)).session_id
        before = await service.read(session_id)
        with refuses(InvalidParams):
            await service.start_turn(session_id, broken)
        same(await service.read(session_id), before, "the session")
        same(await said(service, session_id), [("system", "early")], "the transcript")
        await service.start_turn(session_id, a_turn("hi"))
        wanted = [("system", "early"), ("user", "kept\n\nhi"), ("model", "fine")]
        same(await said(service, session_id), wanted, "the transcript")
        before = await service.read(session_id)
        with refuses(InvalidParams):
            await service.start_turn(session_id, a_turn("\ud800"))
        same(await service.read(session_id), before, "the session, later")


async def a_turn_without_work_leaves_what_was_staged(open_service: OpenService) -> None:
    """SES-13: also the window for a late system prompt."""
    async with open_service(ScriptedLlm(["fine"])) as service:
        created = await service.create_session(a_request("kept", defer=True, stage=True))
        session_id = created.session_id
        with refuses(NoPendingBoundary):
            nothing = StartTurnRequest(execution_kind="resume_pending", system_prompt="late")
            await service.start_turn(session_id, nothing)
        same(await said(service, session_id), [], "the transcript")
        await service.start_turn(session_id, StartTurnRequest(prompt="hi", system_prompt="late"))
        wanted = [("system", "late"), ("user", "kept\n\nhi"), ("model", "fine")]
        same(await said(service, session_id), wanted, "the transcript")


async def a_runtime_turn_has_a_receipt(open_service: OpenService) -> None:
    """EPH-30, EPH-31, INV-4: its digest and length are those of the stored messages."""
    async with open_service(ScriptedLlm([call("echo"), "one"])) as service:
        session_id = await a_session(service, tools=(a_tool_that_echoes(),))
        apply = service.apply_runtime_turn
        output = await apply(session_id, "run-1", a_turn(), "run_start", ("in-1", "in-2"))
        receipt = output.receipt
        holds(output.result is not None and output.result.text == "one", "there is a result")
        same(receipt.contributing_input_ids, ("in-1", "in-2"), "the inputs")
        same((receipt.run_id, receipt.boundary, receipt.sequence), ("run-1", "run_start", 0))
        messages = await _messages(service, session_id)
        digest = ConversationDigest()
        for message in messages:
            digest.push(encode_message(message))
        same(receipt.message_count, len(messages), "the count")
        same(receipt.conversation_digest, digest.hexdigest(), "the digest")
        await each_call_has_a_result(service, session_id)


async def a_runtime_turn_without_work_succeeds_without_result(open_service: OpenService) -> None:
    """EPH-30: nothing pending is no failure; what fails has no receipt."""
    async with open_service(ScriptedLlm([fail("no")])) as service:
        session_id = await a_session(service)
        apply = service.apply_runtime_turn
        output = await apply(session_id, "run-1", StartTurnRequest(), "run_checkpoint", ())
        same((output.result, output.receipt.message_count), (None, 0), "the output")
        with refuses(LlmFailed):
            await apply(session_id, "run-2", a_turn(), "run_start", ())


async def _messages(service: SessionService, session_id: str) -> tuple[Message, ...]:
    return (await service.read_history(session_id)).messages
