"""Two threads that ask a service for its adapter at once (docs/departures.md names the lines)."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from meerkat_mob.runtime import RuntimeSessionAdapter
from tests.mob.session_services import a_silent_service, a_view

THREADS, ROUNDS = 8, 50


@pytest.mark.native_only
async def test_threads_that_ask_at_once_get_the_same_adapter() -> None:
    """Lines 92-107: each of many rounds begins with a service that nobody asked yet."""
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(ROUNDS):
            service, start = a_silent_service(), threading.Barrier(THREADS)
            views = [a_view(service) for _ in range(THREADS)]

            def ask(number: int) -> RuntimeSessionAdapter:
                start.wait()  # noqa: B023 all of a round are done before the next begins
                return views[number].runtime_adapter()  # noqa: B023

            found = list(pool.map(ask, range(THREADS)))
            assert {id(adapter) for adapter in found} == {id(a_view(service).runtime_adapter())}
