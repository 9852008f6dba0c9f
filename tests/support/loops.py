"""Async tests: each runs twice, on a virtual clock and on the platform's own loop.

A test is a plain ``async def``; no plug-in from elsewhere and no marker is needed. It must await
the end of every task it starts: one that leaves a task running fails. Marked ``virtual_only``, a
test waits for time to pass and runs on the virtual clock alone; marked ``native_only`` or
``loopback``, it needs threads or sockets and runs on the native loop alone.
"""

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

import pytest

from meerkat_mob._target import IN_BROWSER
from meerkat_mob.testing import virtual_clock

Story: TypeAlias = Coroutine[Any, Any, None]

HANGS_AFTER_S = 60.0
"""On the native loop a test that has not ended by then never will. On the virtual one we know."""


def run_virtual(story: Story) -> None:
    """In virtual time, where a hang is an error with a name."""
    virtual_clock.run(_alone(story))


def run_native(story: Story) -> None:
    """On the loop that the platform gives: asyncio's on the host, the page's in a browser."""
    if IN_BROWSER:
        _insist_on_stack_switching(story)
    asyncio.run(_alone(_bounded(story)))


LOOPS: dict[str, Callable[[Story], None]] = {"virtual": run_virtual, "native": run_native}


def loops_for(marks: set[str]) -> tuple[str, ...]:
    """Which loops a test with these markers runs on."""
    if "virtual_only" in marks:
        return ("virtual",)
    if marks & {"native_only", "loopback"}:
        return ("native",)
    return tuple(LOOPS)


async def _bounded(story: Story) -> None:
    try:
        async with asyncio.timeout(HANGS_AFTER_S):
            await story
    except TimeoutError:
        pytest.fail(
            f"still running after {HANGS_AFTER_S:g} real seconds: "
            "it hangs, or it waits for time to pass and wants @pytest.mark.virtual_only"
        )


async def _alone(story: Story) -> None:
    """Run ``story``, and see that nothing it started outlives it."""
    before = asyncio.all_tasks()
    await story
    left = {task for task in asyncio.all_tasks() - before if not task.done()}
    own = {task for task in left if _may_be_the_loops_own(task)}
    if own:
        await asyncio.wait(own, timeout=1)
    strays = {task for task in left if not task.done()}
    if strays:
        told = "\n  ".join(virtual_clock.describe(strays))
        for task in strays:
            task.cancel()  # in a page nobody else would, and the next test would have it too
        await asyncio.wait(strays, timeout=1)
        pytest.fail(f"left running at the end; whoever starts a task awaits its end:\n  {told}")


def _may_be_the_loops_own(task: asyncio.Task[object]) -> bool:
    """Perhaps one that asyncio started, as to close a generator or to accept a caller: it ends."""
    story = task.get_coro()
    if not inspect.iscoroutine(story):
        return True
    return Path(story.cr_code.co_filename).is_relative_to(Path(asyncio.__file__).parent)


def _insist_on_stack_switching(story: Story) -> None:
    """Without it ``asyncio.run`` returns at once there, and every test would seem to pass."""
    from pyodide.ffi import can_run_sync

    if not can_run_sync():
        story.close()
        pytest.fail("no stack switching (JSPI) in this WebAssembly engine: see run_in_node.mjs")


class Property(Protocol):
    """What hypothesis leaves on a test that ``@given`` has wrapped."""

    inner_test: Callable[..., Any]


def property_of(test: Callable[..., Any]) -> Property | None:
    """The property behind ``test``, if it is one."""
    return cast("Property | None", getattr(test, "hypothesis", None))


def is_async(test: Callable[..., Any]) -> bool:
    """Whether the body is a coroutine; hypothesis hides it behind a plain function."""
    wrapped = property_of(test)
    return inspect.iscoroutinefunction(wrapped.inner_test if wrapped else test)


def pytest_configure(config: pytest.Config) -> None:
    """Name the markers, so that a misspelt one is an error."""
    for line in (
        "virtual_only: waits for time to pass, so it runs on the virtual clock alone",
        "native_only: needs threads or processes, so it runs on the native loop alone",
    ):
        config.addinivalue_line("markers", line)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every async test its loops, as the last parameter of its name."""
    if is_async(metafunc.function):
        marks = {mark.name for mark in metafunc.definition.iter_markers()}
        metafunc.fixturenames.append("loop_kind")
        metafunc.parametrize("loop_kind", loops_for(marks))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run the body of an async test on the loop that its name says."""
    test = pyfuncitem.obj
    if not is_async(test):
        return None
    run = LOOPS[str(pyfuncitem.callspec.params["loop_kind"])]
    args = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    wrapped = property_of(test)
    if wrapped is None:
        run(test(**args))
    else:
        run_property(test, wrapped, run, args)
    return True


def run_property(
    test: Callable[..., Any],
    wrapped: Property,
    run: Callable[[Story], None],
    args: dict[str, Any],
) -> None:
    """Every example gets a loop of its own."""
    body = wrapped.inner_test

    @functools.wraps(body)
    def one_example(*given: Any, **named: Any) -> None:
        run(body(*given, **named))

    wrapped.inner_test = one_example
    try:
        test(**args)
    finally:
        wrapped.inner_test = body
