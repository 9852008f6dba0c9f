"""The same real server from pages of a real Chromium, across origins, as its CORS rules allow.

First the checks of ``real_dialects`` run in a page's worker, unchanged; then a visitor lets the
built page play a team, and a picture of it is kept.
"""

import json
import re
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, expect

from scripts import real_dialects
from scripts.chromium import find_or_install, started
from scripts.page_python import python_in
from scripts.places import CACHE, DIST
from scripts.serve import served

PICTURE: Final = CACHE / "real-model.png"
PATIENCE_MS: Final = 300_000
IN_A_WORKER: Final = """
import contextlib, io, json
told = io.StringIO()
with contextlib.redirect_stdout(told):
    code = await try_dialects({address!r}, {model!r})
json.dumps([code, told.getvalue()])
"""


def try_from_a_page(address: str, model: str, team: str) -> int:
    """All of it against the server at ``address``. The exit code is 0 when all went well."""
    source = Path(real_dialects.__file__).read_text()
    with started(find_or_install()) as chromium, served(DIST) as page:
        with python_in(chromium, page) as run:
            told = run(source + IN_A_WORKER.format(address=address, model=model))
        code, lines = json.loads(told)
        print("\n".join(f"from {page}: {line}" for line in lines.splitlines()))
        return code or _play(chromium, page, address, model, team)


def _play(chromium: Browser, page: str, address: str, model: str, team: str) -> int:
    """A visitor's team, all of whose members are the real model."""
    with chromium.new_context(viewport={"width": 1280, "height": 800}) as context:
        tab = context.new_page()
        tab.set_default_timeout(PATIENCE_MS)
        tab.goto(f"{page}/index.html")
        expect(tab.locator("#run")).to_be_enabled(timeout=PATIENCE_MS)
        tab.set_input_files(
            "#file", {"name": "team.toml", "mimeType": "text/plain", "buffer": team.encode()}
        )
        expect(tab.locator(".node")).to_have_count(2, timeout=PATIENCE_MS)
        tab.fill("#task", "Once upon a time")
        tab.get_by_text("Model server").click()
        tab.fill("#base-url", f"{address}/v1")
        tab.fill("#model", model)
        tab.click("#run")
        outcome = tab.locator("#outcome:not([hidden])")
        expect(outcome).to_have_class(re.compile("answered|failed"), timeout=PATIENCE_MS)
        tab.screenshot(path=PICTURE)
        answered = "answered" in (outcome.get_attribute("class") or "")
        print(f"from {page}: the page's answer: {tab.locator('#answer').inner_text()!r}")
        print(f"figures: {' '.join(tab.locator('#figures').inner_text().split())}; see {PICTURE}")
    return 0 if answered else 1
