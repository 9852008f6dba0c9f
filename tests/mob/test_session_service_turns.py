"""A turn that a runtime asks for: one outcome from both services, each with receipt and snapshot.

Each test names the lines of the interface's Rust source that it stands for (docs/departures.md).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator

import msgspec
import pytest

from meerkat_mob.core.inputs import Boundary, Receipt
from meerkat_mob.core.messages import encode_message
from meerkat_mob.core.requests import StartTurnRequest
from meerkat_mob.core.session import decode_session
from meerkat_mob.core.tools import callback_tool
from meerkat_mob.errors import (
    AgentError,
    LlmFailed,
    RunCancelled,
    SessionBusy,
    SessionNotFound,
    StoreFailed,
)
from meerkat_mob.llm import Line, ScriptedLlm, call, fail, hang
from meerkat_mob.mob.session_service import DIGEST_FAILED, SNAPSHOT_FAILED, AppliedTurn
from meerkat_mob.sessions import SessionService
from meerkat_mob.store import MemoryStore
from meerkat_mob.testing.builders import (
    a_clock,
    a_persistent_service,
    a_request,
    a_service,
    a_session,
    a_tool_that_echoes,
    a_turn,
)
from meerkat_mob.testing.persistence_contract.stores import BreakingStore
from tests.mob.session_services import (
    OpenService,
    a_silent_service,
    a_view,
    every_home,
    every_lasting_home,
    foreign,
)

RESUME = StartTurnRequest(execution_kind="resume_pending")


async def digest_of(service: SessionService, session_id: str) -> tuple[str, int]:
    """Made anew from what the service shows."""
    messages = (await service.read_history(session_id)).messages
    array = b"[" + b",".join(map(encode_message, messages)) + b"]"
    return hashlib.sha256(array).hexdigest(), len(messages)


# -- the receipt -------------------------------------------------------------------------------


@every_home
@pytest.mark.parametrize("boundary", ["immediate", "run_start", "run_checkpoint"])
async def test_a_receipt_says_what_was_applied_and_what_the_session_holds_then(
    home: OpenService, boundary: Boundary
) -> None:
    """Lines 19-38, 227-238 and 307-324."""
    async with home(ScriptedLlm(["hello"])) as service:
        session_id = await a_session(service, system_prompt="Be brief.")
        turn = await a_view(service).apply_runtime_turn(
            session_id, "run-7", a_turn("hi"), boundary, ("in-1", "in-2")
        )
        digest, count = await digest_of(service, session_id)
        assert count == 3
        assert turn.receipt == Receipt(
            run_id="run-7",
            boundary=boundary,
            contributing_input_ids=("in-1", "in-2"),
            conversation_digest=digest,
            message_count=count,
            sequence=0,
        )


@every_home
async def test_each_run_is_counted_from_0(home: OpenService) -> None:
    """Line 36: the number of a receipt within its run."""
    async with home(ScriptedLlm(["one", "two"])) as service:
        view, session_id = a_view(service), await a_session(service)
        turns = [
            await view.apply_runtime_turn(session_id, run, a_turn(), "run_start", ())
            for run in ("run-1", "run-2")
        ]
        assert [turn.receipt.sequence for turn in turns] == [0, 0]
        assert [turn.receipt.message_count for turn in turns] == [2, 4]


async def test_either_service_gives_the_same_receipts() -> None:
    """Lines 227-249 beside 307-324: only what lasts is different."""
    found: list[list[Receipt]] = []
    store = MemoryStore(clock=a_clock())
    lines: list[Line] = [call("echo", x="ü"), "done", "two", "three"]
    for service in (
        a_service(ScriptedLlm(lines)),
        await a_persistent_service(ScriptedLlm(lines), store),
    ):
        session_id = await a_session(service, tools=(a_tool_that_echoes(),))
        view = a_view(service)
        found.append(
            [
                (
                    await view.apply_runtime_turn(
                        session_id, f"run-{n}", a_turn(f"turn {n}"), "run_start", (f"in-{n}",)
                    )
                ).receipt
                for n in range(3)
            ]
        )
        await service.aclose()
    assert found[0] == found[1]


# -- the terminal ------------------------------------------------------------------------------


@every_home
async def test_a_run_that_answered_has_its_result(home: OpenService) -> None:
    """Lines 244-247 and 307-324."""
    async with home(ScriptedLlm([call("echo", x=1), "done"])) as service:
        session_id = await a_session(service, tools=(a_tool_that_echoes(),))
        turn = await a_view(service).apply_runtime_turn(
            session_id, "run-1", a_turn(), "run_start", ("in-1",)
        )
        assert turn.result is not None
        assert (turn.result.text, turn.result.turns, turn.result.tool_calls) == ("done", 2, 1)
        assert turn.result.session_id == session_id


@every_home
async def test_where_nothing_was_pending_there_is_a_receipt_and_no_terminal(
    home: OpenService,
) -> None:
    """Lines 244-247: a success, in an empty session and in one that was answered."""
    async with home(ScriptedLlm(["hello"])) as service:
        view, session_id = a_view(service), await a_session(service)
        for run_id, said in (("run-1", 0), ("run-2", 2)):
            if said:
                await service.start_turn(session_id, a_turn())
            turn = await view.apply_runtime_turn(session_id, run_id, RESUME, "run_start", ("in",))
            assert turn.result is None
            assert turn.receipt.message_count == said
            assert turn.snapshot() is not None


@every_home
async def test_a_run_that_ended_at_a_call_of_ours_says_which(home: OpenService) -> None:
    """Lines 227-249 and 307-324: the third terminal, with a receipt and a snapshot."""
    async with home(ScriptedLlm([call("ask", x=1)])) as service:
        ask = callback_tool(a_tool_that_echoes("ask").definition)
        session_id = await a_session(service, tools=(ask,))
        turn = await a_view(service).apply_runtime_turn(
            session_id, "run-1", a_turn(), "run_start", ("in-1",)
        )
        assert (turn.result, [use.name for use in turn.pending]) == (None, ["ask"])
        assert turn.receipt.contributing_input_ids == ("in-1",)
        assert turn.snapshot() is not None


@every_home
async def test_a_run_that_failed_raises_and_has_no_receipt(home: OpenService) -> None:
    """Line 235: an error of the turn goes to whoever asked."""
    async with home(ScriptedLlm([fail("provider_error"), "well"])) as service:
        view, session_id = a_view(service), await a_session(service)
        with pytest.raises(LlmFailed):
            await view.apply_runtime_turn(session_id, "run-1", a_turn(), "run_start", ("in-1",))
        turn = await view.apply_runtime_turn(session_id, "run-2", RESUME, "run_start", ("in-1",))
        assert turn.result is not None


@every_home
async def test_a_run_that_is_interrupted_or_comes_at_a_bad_time_is_refused(
    home: OpenService,
) -> None:
    """Line 235: unknown, busy, interrupted."""
    async with home(ScriptedLlm([hang()])) as service:
        view, session_id = a_view(service), await a_session(service)
        with pytest.raises(SessionNotFound):
            await view.apply_runtime_turn("ghost", "run-0", a_turn(), "run_start", ())
        first = asyncio.create_task(
            view.apply_runtime_turn(session_id, "run-1", a_turn(), "run_start", ("in-1",))
        )
        while not (await view.read(session_id)).state.is_active:
            await asyncio.sleep(0)
        with pytest.raises(SessionBusy):
            await view.apply_runtime_turn(session_id, "run-2", a_turn(), "run_start", ())
        await view.interrupt(session_id)
        with pytest.raises(RunCancelled):
            await first


# -- the snapshot ------------------------------------------------------------------------------


@every_home
async def test_a_snapshot_is_the_session_as_of_its_receipt(home: OpenService) -> None:
    """Lines 236-247 and 307-324: whole, and the same when it is read back."""
    async with home(ScriptedLlm(["one", "two"])) as service:
        view, session_id = a_view(service), await a_session(service, system_prompt="Be brief.")
        turns = [
            await view.apply_runtime_turn(session_id, run, a_turn("hi"), "run_start", ())
            for run in ("run-1", "run-2")
        ]
        for turn in turns:
            raw = turn.snapshot()
            assert raw is not None
            read = decode_session(raw)
            assert read == turn.session
            assert read.id == session_id
            assert read.history.digest() == turn.receipt.conversation_digest
            assert len(read.messages) == turn.receipt.message_count
        assert turns[-1].session == await service.export_session(session_id)


async def test_a_snapshot_costs_nothing_before_it_is_asked_for() -> None:
    """Lines 239-243: the document shares the session's messages, it does not copy them."""
    service = a_service(ScriptedLlm(["one", "two"]))
    view, session_id = a_view(service), await a_session(service)
    first = await view.apply_runtime_turn(session_id, "run-1", a_turn("hi"), "run_start", ())
    second = await view.apply_runtime_turn(session_id, "run-2", a_turn("so"), "run_start", ())
    assert first.session is not None
    assert second.session is not None
    assert [len(first.session.messages), len(second.session.messages)] == [2, 4]
    shared = zip(first.session.messages, second.session.messages, strict=False)
    assert all(one is other for one, other in shared)
    await service.aclose()


async def test_a_session_that_went_on_or_left_life_has_no_snapshot_of_that_receipt() -> None:
    """Lines 236-237: upstream would take a later one for it."""
    inner = a_service(ScriptedLlm(["one", "two", "three"]))

    async def and_then_another(session_id: str, *args: object, **kwargs: object) -> object:
        output = await inner.apply_runtime_turn(session_id, *args, **kwargs)  # type: ignore[arg-type]
        await next(then)(session_id)
        return output

    async def go_on(session_id: str) -> None:
        await inner.start_turn(session_id, a_turn())

    then: Iterator[Callable[[str], Awaitable[None]]] = iter((go_on, inner.archive))
    view = a_view(
        foreign(inner, apply_runtime_turn=and_then_another, export_session=inner.export_session)
    )
    for _ in range(2):
        session_id = await a_session(inner)
        turn = await view.apply_runtime_turn(session_id, "run-1", a_turn(), "run_start", ())
        assert turn.receipt.message_count == 2
        assert (turn.session, turn.snapshot()) == (None, None)
    await inner.aclose()


# -- what cannot be written --------------------------------------------------------------------


@every_home
async def test_a_message_without_bytes_has_no_digest(home: OpenService) -> None:
    """Lines 25-29: an internal error of the agent, with this text; the session takes the next."""
    assert DIGEST_FAILED == "failed to serialize session for runtime receipt digest"
    async with home(ScriptedLlm(["half a pair: \ud83e", "whole"])) as service:
        view, session_id = a_view(service), await a_session(service)
        with pytest.raises(AgentError) as refused:
            await view.apply_runtime_turn(session_id, "run-1", a_turn(), "run_start", ("in-1",))
        assert str(refused.value).startswith(f"{DIGEST_FAILED}: 'utf-8' codec can't encode")
        assert refused.value.code == "AGENT_ERROR"
        turn = await view.apply_runtime_turn(session_id, "run-2", RESUME, "run_start", ("in-1",))
        assert turn.result is not None


async def test_a_service_that_somebody_else_made_may_find_it_out_itself() -> None:
    """Lines 25-29."""
    inner = a_silent_service()

    async def apply_runtime_turn(*args: object, **kwargs: object) -> None:
        del args, kwargs
        msgspec.json.encode("\ud800")

    view = a_view(foreign(inner, apply_runtime_turn=apply_runtime_turn))
    with pytest.raises(AgentError, match=DIGEST_FAILED):
        await view.apply_runtime_turn("s", "run-1", a_turn(), "run_start", ())


async def test_other_errors_keep_their_own_words() -> None:
    """Line 235."""
    inner = a_service(ScriptedLlm([]))

    async def apply_runtime_turn(*args: object, **kwargs: object) -> None:
        del args, kwargs
        raise AgentError("no")

    view = a_view(foreign(inner, apply_runtime_turn=apply_runtime_turn))
    with pytest.raises(AgentError, match=r"^no$"):
        await view.apply_runtime_turn("s", "run-1", a_turn(), "run_start", ())


async def test_a_session_that_is_no_json_has_no_snapshot() -> None:
    """Lines 239-243: an internal error of the agent, with this text; the turn is committed."""
    assert SNAPSHOT_FAILED == "failed to serialize session snapshot for runtime commit"
    service = a_service(ScriptedLlm(["hello"]))
    session_id = await a_session(service)
    turn = await a_view(service).apply_runtime_turn(session_id, "r", a_turn(), "run_start", ())
    assert turn.session is not None
    for value in ("\ud800", object()):
        strange = msgspec.structs.replace(turn.session, metadata={"note": value})
        unwritable = AppliedTurn(receipt=turn.receipt, session=strange)
        with pytest.raises(AgentError) as refused:
            unwritable.snapshot()
        assert str(refused.value).startswith(f"{SNAPSHOT_FAILED}: ")
        assert refused.value.code == "AGENT_ERROR"
    assert (await service.read(session_id)).state.message_count == 2
    await service.aclose()


# -- what lasts --------------------------------------------------------------------------------


@every_lasting_home
async def test_a_turn_that_was_answered_is_stored(home: OpenService) -> None:
    """Lines 307-324: receipt, messages and head are one commit."""
    async with home(ScriptedLlm(["hello"])) as service:
        view = a_view(service)
        session_id = await a_session(service)
        turn = await view.apply_runtime_turn(session_id, "run-1", a_turn(), "run_start", ("in-1",))
        stored = await view.load_persisted_session(session_id)
        assert stored is not None
        assert stored.history.digest() == turn.receipt.conversation_digest
        await view.discard_live_session(session_id)
        assert (await view.read(session_id)).state.message_count == 2


async def test_a_turn_that_cannot_be_kept_raises_and_has_not_happened() -> None:
    """Lines 307-324: memory never runs ahead of what is stored."""
    store = BreakingStore()
    behind = store.over(MemoryStore(clock=a_clock()))
    service = await a_persistent_service(ScriptedLlm(["one", "two"]), behind)
    await service.create_session(a_request(defer=True, session_id="s"))
    store.die()
    with pytest.raises(StoreFailed):
        await a_view(service).apply_runtime_turn("s", "run-1", a_turn(), "run_start", ("in-1",))
    store.recover()
    assert (await service.read("s")).state.message_count == 0
    turn = await a_view(service).apply_runtime_turn("s", "run-1", a_turn(), "run_start", ("in-1",))
    assert turn.receipt.message_count == 2
    await service.aclose()
