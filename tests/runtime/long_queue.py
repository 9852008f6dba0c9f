"""A queue as long as its bound."""

from __future__ import annotations

import pytest

from meerkat_mob.core.messages import text_of_message
from meerkat_mob.errors import InboxFull
from meerkat_mob.llm import ScriptedLlm, say
from meerkat_mob.runtime import Completed, RuntimeSessionAdapter, SessionExecutor
from meerkat_mob.store import MemoryStore
from meerkat_mob.testing.builders import (
    a_clock,
    a_persistent_service,
    a_prompt,
    a_request,
    some_ids,
)


async def drains_in_order(count: int) -> None:
    """As many inputs as an inbox takes; one more is refused; then all run, one after another."""
    llm = ScriptedLlm(lambda request: say(text_of_message(request.messages[-1])))
    service = await a_persistent_service(llm, MemoryStore(clock=a_clock()), ids=some_ids("x"))
    await service.create_session(a_request(defer=True, session_id="s"))
    adapter = RuntimeSessionAdapter.persistent(
        service, ids=some_ids("run"), clock=a_clock(), inbox_bound=count
    )
    await adapter.register_session("s")
    for n in range(count - 1):
        await adapter.accept_input("s", a_prompt(f"do {n}", f"p{n}"))
    _, last = await adapter.accept_input_with_completion("s", a_prompt("the last", "last"))
    with pytest.raises(InboxFull, match=f"{count}"):
        await adapter.accept_input("s", a_prompt("too much", "more"))
    await adapter.register_session("s", SessionExecutor(service, "s"))
    assert last is not None
    assert isinstance(await last, Completed)
    history = (await service.read_history("s")).messages
    heard = [text_of_message(m) for m in history[::2]]
    assert heard == [*(f"do {n}" for n in range(count - 1)), "the last"]
    assert adapter.list_active_inputs("s") == ()
    assert adapter.input_state("s", "p0") is None  # its record is forgotten: memory is bounded
    await adapter.aclose()
    await service.aclose()
