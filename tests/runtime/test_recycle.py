"""Another executor for a session whose inbox stays as it is (spec sessions 5.6)."""

import pytest

from meerkat_mob.errors import RuntimeNotReady
from meerkat_mob.llm import ScriptedLlm
from meerkat_mob.runtime import Completed, RuntimeState
from meerkat_mob.testing.builders import a_prompt
from tests.contracts.places import PLACES, Place
from tests.runtime.kit import Desk, a_desk, settle
from tests.runtime.test_durable import SESSION, a_process, waited_for


async def test_what_waits_and_who_waits_stays() -> None:
    adapter, desk = await a_desk()
    adapter.hold("s", held=True)
    _, ended = await adapter.accept_input_with_completion("s", a_prompt("x", "in-1"))
    other = Desk()
    assert await adapter.recycle_runtime("s", other) == 1
    assert ended is not None
    assert not ended.done()
    adapter.hold("s", held=False)
    await settle()
    other.end()
    assert isinstance(await ended, Completed)
    assert desk.batches == []
    await adapter.aclose()


async def test_the_new_one_begins_at_once_with_what_waits() -> None:
    adapter, _ = await a_desk()
    await adapter.register_session("other")
    await adapter.accept_input("other", a_prompt("x", "in-1"))
    assert adapter.runtime_state("other") is RuntimeState.IDLE
    desk = Desk()
    assert await adapter.recycle_runtime("other", desk) == 1
    await settle()
    assert [batch.ids for batch in desk.batches] == [("in-1",)]
    assert adapter.runtime_state("other") is RuntimeState.RUNNING
    desk.end()
    await adapter.aclose()


async def test_it_is_refused_while_a_run_goes_on_and_behind_the_end() -> None:
    adapter, desk = await a_desk()
    await adapter.accept_input("s", a_prompt("x", "in-1"))
    await settle()
    with pytest.raises(RuntimeNotReady, match="running"):
        await adapter.recycle_runtime("s", Desk())
    desk.end()
    await settle()
    await adapter.stop_runtime_executor("s")
    with pytest.raises(RuntimeNotReady, match="stopped"):
        await adapter.recycle_runtime("s")
    await adapter.aclose()


async def test_a_retired_one_stays_retired_and_drains() -> None:
    adapter, desk = await a_desk()
    adapter.hold("s", held=True)
    await adapter.accept_input("s", a_prompt("x", "in-1"))
    assert (await adapter.retire_runtime("s")).pending_drain == 1
    assert await adapter.recycle_runtime("s") == 1
    assert adapter.runtime_state("s") is RuntimeState.RETIRED
    adapter.hold("s", held=False)
    await settle()
    desk.end()
    await settle()
    assert adapter.list_active_inputs("s") == ()
    await adapter.aclose()


@pytest.mark.parametrize("place", list(PLACES.values()), ids=list(PLACES))
async def test_it_writes_nothing_when_nothing_is_owed(place: Place) -> None:
    with place() as open_store:
        async with a_process(open_store, ScriptedLlm(["one"])) as office:
            await (await waited_for(office, a_prompt("go", "in-1")))
            before = await office.service.read_facts(SESSION)
            assert await office.adapter.recycle_runtime(SESSION) == 0
            assert await office.service.read_facts(SESSION) == before
