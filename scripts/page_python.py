"""Python inside a real page: in a worker, with our wheel, from a folder that is served."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser

from scripts.places import TESTS

WORKER: Final = TESTS / "web" / "python_worker.js"
START: Final = """
source => {
  const script = new Blob([source], { type: "text/javascript" });
  globalThis.worker = new Worker(URL.createObjectURL(script), { type: "module" });
}
"""
ASK: Final = """
question => new Promise((resolve, reject) => {
  worker.onerror = (event) => reject(new Error(event.message));
  worker.onmessage = ({ data }) => {
    if (data.error !== undefined) reject(new Error(data.error));
    else resolve(data.result);
  };
  worker.postMessage(question);
})
"""


@contextmanager
def python_in(chromium: Browser, address: str) -> Generator[Callable[[str], str], None, None]:
    """Runs Python in a worker of a page from ``address``; gives the last expression as text."""
    with chromium.new_context() as context:
        tab = context.new_page()
        tab.goto(f"{address}/pyodide/pyodide-lock.json")  # any page of that origin will do
        tab.evaluate(START, WORKER.read_text())
        yield lambda code: tab.evaluate(ASK, {"address": address, "code": code})
