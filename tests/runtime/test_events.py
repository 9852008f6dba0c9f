"""What those hear who watch an inbox (INP-4)."""

import asyncio
from collections.abc import Mapping

import msgspec
import pytest

from meerkat_mob.core.inputs import Input
from meerkat_mob.errors import LlmFailed, StoreFailed
from meerkat_mob.llm import ScriptedLlm
from meerkat_mob.runtime import (
    InputChanged,
    RunChanged,
    RuntimeChanged,
    RuntimeEnvelope,
    RuntimeSessionAdapter,
)
from meerkat_mob.testing.builders import a_notice, a_prompt
from meerkat_mob.testing.persistence_contract.stores import BreakingStore
from tests.contracts.places import PLACES, Place
from tests.runtime.kit import a_desk, settle
from tests.runtime.test_durable import SESSION, a_process, waited_for

FAILURE = LlmFailed(provider="p", reason="provider_error", detail="no", hint="wait")


class Heard(list[RuntimeEnvelope]):
    """A watcher that remembers."""

    def words(self) -> list[str]:
        """Each event in a word or two."""
        return [_word(envelope) for envelope in self]


def _word(envelope: RuntimeEnvelope) -> str:
    match envelope.event:
        case InputChanged(code=code, input_id=input_id):
            return f"{input_id} {code}"
        case RunChanged(code=code, input_ids=ids):
            return f"{code} {','.join(ids)}"
        case RuntimeChanged(state=state):
            return state.value


def watched(adapter: RuntimeSessionAdapter, session_id: str = "s") -> Heard:
    heard = Heard()
    adapter.watch_runtime_events(session_id, heard.append)
    return heard


async def test_the_life_of_an_input_is_told_in_order() -> None:
    adapter, desk = await a_desk()
    heard = watched(adapter)
    await adapter.accept_input("s", a_prompt("x", "in-1", key="k"))
    await settle()
    desk.end()
    await settle()
    await adapter.accept_input("s", a_prompt("x", "in-2", key="k"))
    assert heard.words() == [
        "in-1 accepted",
        "in-1 queued",
        "running",
        "in-1 staged",
        "started in-1",
        "completed in-1",
        "in-1 consumed",
        "attached",
        "in-2 deduplicated",
    ]
    last = heard[-1].event
    assert isinstance(last, InputChanged)
    assert last.existing_id == "in-1"
    await adapter.aclose()


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [(FAILURE, "failed", "apply_failed"), (None, "cancelled", "cancelled")],
)
async def test_a_run_that_did_not_complete_says_how(
    error: Exception | None, code: str, reason: str
) -> None:
    adapter, desk = await a_desk()
    await adapter.accept_input("s", a_prompt("x", "in-1"))
    await settle()
    heard = watched(adapter)
    if error is None:
        await adapter.interrupt_current_run("s")
    else:
        desk.end(error)
    await settle()
    assert heard.words() == [f"{code} in-1", "in-1 abandoned", "attached"]
    (end,) = [e.event for e in heard if isinstance(e.event, InputChanged)]
    assert end.reason == reason
    await adapter.aclose()


async def test_what_retiring_ends_is_told_with_the_state() -> None:
    adapter, _ = await a_desk()
    await adapter.accept_input_without_wake("s", a_notice("x", "in-1"))
    heard = watched(adapter)
    await adapter.retire_runtime("s")
    await adapter.reset_runtime("s")
    await adapter.destroy("s")
    assert heard.words() == ["retired", "in-1 abandoned", "attached", "destroyed"]
    await adapter.aclose()


@pytest.mark.virtual_only
async def test_put_back_it_is_queued_again() -> None:
    place: Place = next(iter(PLACES.values()))
    with place() as open_store:
        disk = BreakingStore()
        async with a_process(open_store, ScriptedLlm(["one", "two"]), disk) as office:
            heard = watched(office.adapter, SESSION)
            end = disk.commits + 2
            disk.breaks = lambda n: n == end
            await (await waited_for(office, a_prompt("go", "in-1")))
            phases = [w.split()[1] for w in heard.words() if w.startswith("in-1")]
            assert phases == ["accepted", "queued", "staged", "queued", "staged", "consumed"]


async def test_who_raises_hears_no_more_and_hurts_nobody() -> None:
    adapter, desk = await a_desk()
    told: list[Mapping[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    def broken(_: RuntimeEnvelope) -> None:
        raise StoreFailed(path="a log", why="full")

    adapter.watch_runtime_events("s", broken)
    heard = watched(adapter)
    await adapter.accept_input("s", a_prompt("x", "in-1"))
    await settle()
    desk.end()
    await settle()
    assert len(told) == 1
    assert heard.words()[-2:] == ["in-1 consumed", "attached"]
    await adapter.aclose()


async def test_who_has_stopped_hears_no_more() -> None:
    adapter, _ = await a_desk()
    heard = Heard()
    stop = adapter.watch_runtime_events("s", heard.append)
    stop()
    stop()
    await adapter.accept_input("s", a_prompt("x", "in-1"))
    assert heard == []
    await adapter.aclose()


async def test_an_event_says_when_where_and_what_it_belongs_to() -> None:
    adapter, _ = await a_desk()
    heard = watched(adapter)
    item: Input = a_prompt("x", "in-1")
    header = msgspec.structs.replace(item.header, correlation_id="order-7")
    await adapter.accept_input("s", msgspec.structs.replace(item, header=header))
    (first, *_) = heard
    assert (first.runtime_id, first.correlation_id) == ("s", "order-7")
    assert len({envelope.id for envelope in heard}) == len(heard)
    wire = msgspec.json.decode(msgspec.json.encode(first))
    assert wire["event"] == {"category": "input", "code": "accepted", "input_id": "in-1"}
    assert msgspec.json.decode(msgspec.json.encode(first), type=RuntimeEnvelope) == first
    await adapter.aclose()
