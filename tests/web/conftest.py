"""The built folder in a real Chromium: ``page`` for the page, ``python`` for code in a worker.

Whatever goes wrong in a page fails the test that opened it: an uncaught error, a console error, a
failed request, or one that leaves this machine.
"""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request

from scripts.chromium import find_or_install, started
from scripts.page_python import python_in
from scripts.places import DIST
from scripts.serve import served


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests; each gets a context of its own."""
    with started(find_or_install()) as chromium:
        yield chromium


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where the built folder is served."""
    assert (DIST / "pyodide").is_dir(), "build it first: ./build_wasm.sh"
    with served(DIST) as where:
        yield where


class Watch:
    """What goes wrong in a tab."""

    def __init__(self, tab: Page, address: str) -> None:
        self.faults: list[str] = []
        self._address = address
        tab.on("console", self._console)
        tab.on("pageerror", self._uncaught)
        tab.on("request", self._request)
        tab.on("requestfailed", self._failed)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text}")

    def _uncaught(self, error: Error) -> None:
        self.faults.append(f"uncaught: {error.message}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self._address, "blob:", "data:")):
            self.faults.append(f"left this machine: {request.url}")

    def _failed(self, request: Request) -> None:
        self.faults.append(f"failed: {request.url} ({request.failure})")


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A tab of its own context, and at the end the proof that nothing went wrong in it."""
    with browser.new_context() as context:
        tab = context.new_page()
        watch = Watch(tab, address)
        yield tab
        assert watch.faults == []


@pytest.fixture(scope="session")
def python(browser: Browser, address: str) -> Iterator[Callable[[str], str]]:
    """Run Python in a worker of a page from ``address``; give the last expression as text."""
    with python_in(browser, address) as run:
        yield run
