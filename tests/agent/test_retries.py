"""A failed model call is made again, when that can help, after a wait that grows."""

import asyncio

import pytest

from meerkat_mob.agent import RetryPolicy
from meerkat_mob.core.events import Retrying
from meerkat_mob.errors import LlmFailed
from meerkat_mob.llm import call, fail, say
from meerkat_mob.testing.builders import a_tool_that_echoes
from tests.agent.kit import Bench, a_bench


def an_error(
    *, reason: str = "provider_error", retryable: bool = True, retry_after_ms: int | None = None
) -> LlmFailed:
    return LlmFailed(
        provider="p",
        reason=reason,
        detail="d",
        hint="h",
        retryable=retryable,
        retry_after_ms=retry_after_ms,
    )


@pytest.mark.parametrize(
    ("retry", "error", "wanted"),
    [
        (1, an_error(), 500),
        (2, an_error(), 1_000),
        (3, an_error(), 2_000),
        (4, an_error(), None),
        (1, an_error(retryable=False), None),
        (1, an_error(retry_after_ms=100), 500),
        (1, an_error(retry_after_ms=7_000), 7_000),
        (1, an_error(reason="rate_limited"), 30_000),
        (1, an_error(reason="rate_limited", retry_after_ms=2_000), 2_000),
        (1, an_error(reason="rate_limited", retry_after_ms=0), 500),
    ],
)
def test_how_long_to_wait(retry: int, error: LlmFailed, wanted: int | None) -> None:
    """RTY-1 to RTY-3: doubling, then the server's hint, then the floor for a rate limit."""
    assert RetryPolicy().delay_ms(retry, error) == wanted


def test_a_wait_is_never_longer_than_the_cap_unless_the_server_asks_for_it() -> None:
    policy = RetryPolicy(max_retries=60)
    assert policy.delay_ms(40, an_error()) == 30_000
    assert policy.delay_ms(40, an_error(retry_after_ms=90_000)) == 90_000


def retries(bench: Bench) -> list[tuple[int, int, int]]:
    found = [e for e in bench.said if isinstance(e, Retrying)]
    return [(e.attempt, e.max_attempts, e.delay_ms) for e in found]


@pytest.mark.virtual_only
async def test_a_retry_is_announced_waits_and_then_succeeds() -> None:
    bench = a_bench([fail(retryable=True), fail(retryable=True), "at last"])
    result = await bench.agent.run("hi")
    assert (result.text, result.turns) == ("at last", 1)
    assert asyncio.get_running_loop().time() == 1.5
    assert retries(bench) == [(1, 3, 500), (2, 3, 1_000)]
    assert bench.kinds.count("turn_started") == 1


@pytest.mark.virtual_only
async def test_after_the_last_retry_the_run_fails_with_the_last_error() -> None:
    bench = a_bench([fail(f"try {n}", retryable=True) for n in range(4)])
    with pytest.raises(LlmFailed, match="try 3"):
        await bench.agent.run("hi")
    assert retries(bench) == [(1, 3, 500), (2, 3, 1_000), (3, 3, 2_000)]
    assert bench.kinds[-1] == "run_failed"


@pytest.mark.virtual_only
async def test_each_turn_has_retries_of_its_own() -> None:
    script = [fail(retryable=True), call("echo"), fail(retryable=True), say("done")]
    bench = a_bench(script, a_tool_that_echoes(), retry=RetryPolicy(max_retries=1))
    assert (await bench.agent.run("hi")).text == "done"
    assert [attempt for attempt, _, _ in retries(bench)] == [1, 1]


async def test_what_cannot_help_is_not_tried_again() -> None:
    bench = a_bench([fail(retryable=False), "never"])
    with pytest.raises(LlmFailed):
        await bench.agent.run("hi")
    assert retries(bench) == []


@pytest.mark.virtual_only
async def test_text_of_a_failed_attempt_is_not_in_the_answer() -> None:
    bench = a_bench([say("half ") & fail(retryable=True), "whole"])
    assert (await bench.agent.run("hi")).text == "whole"
    assert bench.transcript.last_assistant_text == "whole"


@pytest.mark.virtual_only
async def test_a_run_can_be_cancelled_while_it_waits_for_a_retry() -> None:
    bench = a_bench([say("half ") & fail(retryable=True), "next"])
    run = asyncio.create_task(bench.agent.run("hi"))
    await asyncio.sleep(0.1)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert len(bench.transcript) == 1
    assert (await bench.agent.run("again")).text == "next"
