"""The page with a browser that has a model of its own, which ``language_model.js`` plays."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.surfaces.kit import PACK, zipped
from tests.web.conftest import Watch
from tests.web.test_page import SOON_MS, opened, team_file

pytestmark = pytest.mark.loopback

PLAYED = (Path(__file__).parent.parent / "wasm" / "language_model.js").read_text()
DOWNLOADING = "Downloading the browser\N{RIGHT SINGLE QUOTATION MARK}s model\N{HORIZONTAL ELLIPSIS}"
SCRIPT = """
LanguageModel.script = (system, said, now, form) => {
  const send = (to, body) => JSON.stringify({
    say: "I write.", calls: [{ name: "send_message", arguments: { to: `pair/${to}/${to}`, body } }],
  });
  const end = (say) => JSON.stringify({ say, calls: [] });
  if (!form || !system.includes("send_message")) throw new TypeError("there are tools");
  if (now.includes("COMMS MESSAGE from pair/lead")) return send("lead", "It is done.");
  if (now.includes("COMMS MESSAGE from pair/worker")) return end("The **browser** says: done.");
  if (now.includes("send_message answered")) return end("I wait.");
  return send("worker", "Please do it.");
};
"""


@pytest.fixture
def with_model(browser: Browser, address: str) -> Iterator[Callable[[str], Page]]:
    """The page of a browser with a model, after some more JavaScript; with a team of two."""
    with browser.new_context() as context:
        tab = context.new_page()
        watch = Watch(tab, address)

        def opening(more: str = "") -> Page:
            tab.add_init_script(PLAYED + SCRIPT + more)
            opened(tab, address)
            team_file(tab, "pair.zip", zipped(PACK))
            expect(tab.locator(".node")).to_have_count(2)
            tab.fill("#task", "Please begin")
            return tab

        yield opening
        assert watch.faults == []


def choose(page: Page) -> None:
    page.get_by_text("Built-in", exact=True).click()
    expect(page.locator("#own-hint")).to_be_visible()
    expect(page.locator("#pace-field")).to_be_hidden()
    expect(page.locator("#server")).to_be_hidden()


def test_a_team_plays_with_the_browser_s_own_model(with_model: Callable[[str], Page]) -> None:
    page = with_model("")
    choose(page)
    page.click("#run")
    outcome = page.locator("#outcome:not([hidden])")
    expect(outcome).to_have_class(re.compile("answered"), timeout=SOON_MS)
    expect(page.locator("#answer")).to_have_text("The browser says: done.")
    expect(page.locator("#figures")).to_contain_text("tokens")
    assert re.search(r"tokens\s*[1-9]", page.locator("#figures").inner_text())
    page.locator(".node", has_text="worker").click()
    expect(page.locator("#detail")).to_contain_text("Model of the browser")
    assert page.evaluate("LanguageModel.alive") == 1  # the one that keeps it loaded


def test_its_download_is_seen(with_model: Callable[[str], Page]) -> None:
    page = with_model("LanguageModel.state = 'downloadable';")
    page.evaluate("""() => {
      window.told = [];
      new MutationObserver(() => {
        const bar = document.querySelector("#answer progress");
        const title = document.querySelector("#outcome-title").textContent;
        if (bar) window.told.push([title, bar.value]);
      }).observe(document.querySelector("#outcome"), { childList: true, subtree: true });
    }""")
    choose(page)
    page.click("#run")
    expect(page.locator("#outcome")).to_have_class(re.compile("answered"), timeout=SOON_MS)
    told = page.evaluate("window.told")
    assert {title for title, _ in told} == {DOWNLOADING}
    assert {share for _, share in told} == {0, 0.5, 1}


def test_stop_is_heard_while_it_is_downloaded(with_model: Callable[[str], Page]) -> None:
    page = with_model("""
      LanguageModel.state = "downloadable";
      LanguageModel.slow = new Promise((done) => { self.arrives = done; });
    """)
    choose(page)
    page.click("#run")
    expect(page.locator("#outcome-title")).to_have_text(DOWNLOADING)
    page.wait_for_function("LanguageModel.state === 'available'")
    page.click("#stop")
    outcome = page.locator("#outcome")
    expect(outcome).to_have_class(re.compile("stopped"))
    page.evaluate("arrives()")
    page.wait_for_function("LanguageModel.alive === 1")
    page.evaluate("new Promise((done) => setTimeout(done))")
    expect(outcome).to_have_class(re.compile("stopped"))
    assert page.evaluate("LanguageModel.asked.length") == 0
    page.click("#run")
    expect(outcome).to_have_class(re.compile("answered"), timeout=SOON_MS)


def test_stop_ends_its_thinking(with_model: Callable[[str], Page]) -> None:
    page = with_model("LanguageModel.hanging = true;")
    choose(page)
    page.click("#run")
    page.wait_for_function("LanguageModel.asked.length === 1 && LanguageModel.alive === 2")
    page.click("#stop")
    expect(page.locator("#outcome")).to_have_class(re.compile("stopped"), timeout=SOON_MS)
    page.wait_for_function("LanguageModel.alive === 1")


def test_what_it_cannot_do_is_told_with_the_way_out(with_model: Callable[[str], Page]) -> None:
    page = with_model("LanguageModel.quota = 2;")
    choose(page)
    page.click("#run")
    outcome = page.locator("#outcome")
    expect(outcome).to_have_class(re.compile("failed"), timeout=SOON_MS)
    expect(outcome).to_contain_text("longer than the browser's model can read")
    expect(outcome).to_contain_text("of 2.")
    expect(outcome).to_contain_text("PROVIDER_ERROR")


def test_a_model_that_does_not_load_is_told_and_may_be_tried_again(
    with_model: Callable[[str], Page],
) -> None:
    page = with_model("""
      const { create } = LanguageModel;
      let tried = 0;
      LanguageModel.create = (...args) => tried++ ? create(...args)
        : Promise.reject(new DOMException("no room on the disk", "NetworkError"));
    """)
    choose(page)
    page.click("#run")
    outcome = page.locator("#outcome")
    expect(outcome).to_have_class(re.compile("failed"))
    expect(outcome).to_contain_text("did not load its model: no room on the disk")
    page.click("#run")
    expect(outcome).to_have_class(re.compile("answered"), timeout=SOON_MS)


@pytest.mark.parametrize(
    "without", ["LanguageModel.state = 'unavailable';", "delete self.LanguageModel;"]
)
def test_where_it_cannot_run_it_is_not_offered(
    with_model: Callable[[str], Page], without: str
) -> None:
    page = with_model(without)
    expect(page.get_by_text("Built-in", exact=True)).to_be_hidden()
    loaded = page.evaluate("performance.getEntriesByType('resource').map((r) => r.name)")
    assert any(name.endswith("/model.js") for name in loaded) is ("state" in without)
