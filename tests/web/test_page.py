"""The page in a real Chromium, as a visitor uses it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    FilePayload,
    Locator,
    Page,
    Response,
    Route,
    ViewportSize,
    expect,
)

from scripts.places import DIST
from scripts.serve import served
from tests.surfaces.kit import PACK, PAIR, zipped
from tests.web import chat_team
from tests.web.conftest import Watch

pytestmark = pytest.mark.loopback

PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PYODIDE = {"pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip"}
SECURE = "https://page.invalid"
"""An address that nobody has: the browser gets what is there from the test."""
MOST_BYTES = 600_000
"""Besides Pyodide, when it starts: our wheel, msgspec, and the page itself."""
DRAWN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
SOON_MS = 60_000
"""How long a page may take to start on a busy machine before its test fails."""


def opened(page: Page, address: str) -> Page:
    """The page, ready to run its example."""
    page.set_viewport_size(DESKTOP)
    page.goto(f"{address}/index.html")
    expect(page.locator("#run")).to_be_enabled(timeout=SOON_MS)
    return page


def team_file(page: Page, name: str, content: str | bytes) -> None:
    """Choose a team file of one's own."""
    raw = content.encode() if isinstance(content, str) else content
    payload: FilePayload = {"name": name, "mimeType": "application/octet-stream", "buffer": raw}
    page.set_input_files("#file", files=[payload])


@pytest.fixture(scope="module")
def started_tab(browser: Browser, address: str) -> Iterator[tuple[Page, Watch]]:
    """A tab whose Python is started once, for all tests that need no start of their own."""
    with browser.new_context() as context:
        tab = context.new_page()
        watch = Watch(tab, address)
        yield opened(tab, address), watch


@pytest.fixture
def tab(started_tab: tuple[Page, Watch]) -> Iterator[Page]:
    """That tab, with its controls as they are at the start, and nothing gone wrong in it."""
    page, watch = started_tab
    page.set_viewport_size(DESKTOP)
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")
    page.check("input[value=scripted]", force=True)
    yield page
    assert watch.faults == []


def with_pair(page: Page, *, pace: str = "0") -> Page:
    """The page with a team of two that plays a script."""
    page.select_option("#pace", pace)
    page.fill("#task", "?")
    team_file(page, "pair.zip", zipped(PACK))
    expect(page.locator("#task")).to_be_empty()
    expect(page.locator(".node")).to_have_count(2)
    expect(page.locator("#run")).to_be_enabled()
    page.fill("#task", "Please begin")
    return page


def run(page: Page) -> Locator:
    """Press Run; give the panel with the answer, once all that was said is drawn beside it."""
    page.click("#run")
    outcome = page.locator("#outcome:not([hidden])")
    expect(outcome).to_have_class(re.compile("answered"), timeout=SOON_MS)
    expect(outcome).to_be_visible()
    page.evaluate(DRAWN)
    return outcome


def sideways(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(page.evaluate(width))


def test_the_example_team_plays_to_its_answer_on_messages_board_and_picture(
    page: Page, address: str
) -> None:
    opened(page, address)
    expect(page.locator(".node .name")).to_have_text(
        ["commander", "sre", "backend", "support", "scribe"]
    )
    page.select_option("#pace", "0")
    outcome = run(page)
    expect(outcome).to_contain_text("Checkout works again")
    expect(page.locator(".column.completed .task")).to_have_count(5)
    expect(page.locator("#feed .sent")).not_to_have_count(0)
    expect(page.locator("#feed .sent header b").first).to_have_text("commander")
    expect(page.locator(".wire.used")).not_to_have_count(0)
    figures = dict(zip(*(page.locator(f"#figures {t}").all_inner_texts() for t in ("dt", "dd"))))  # noqa: B905
    assert int(figures["messages"]) == page.locator("#feed .sent").count()
    assert int(figures["turns"]) > 10


def test_the_start_is_shown_and_its_moments_are_marked(page: Page, address: str) -> None:
    page.goto(f"{address}/index.html")
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.locator("#run")).to_be_disabled()
    expect(page.locator("#run")).to_be_enabled(timeout=SOON_MS)
    expect(page.get_by_role("progressbar")).to_have_count(0)
    names = page.evaluate("performance.getEntriesByType('mark').map(({ name }) => name)")
    assert names == ["pyodide-ready", "mob-ready"]
    expect(page.locator("#runtime")).to_contain_text("Python 3.14")


def test_what_a_visitor_waits_for_besides_pyodide_is_small(page: Page, address: str) -> None:
    sizes: dict[str, int] = {}

    def loaded(response: Response) -> None:
        name = response.url.rpartition("/")[2]
        if name not in PYODIDE:
            sizes[name] = int(response.headers["content-length"])

    page.on("response", loaded)
    opened(page, address)
    assert {"index.html", "worker.js", "incident-room.zip"} <= set(sizes)
    assert not any(name.startswith("httpx2") for name in sizes)
    assert sum(sizes.values()) <= MOST_BYTES, sizes


def test_the_page_is_drawn_while_the_team_works(tab: Page) -> None:
    with_pair(tab, pace="35")
    tab.evaluate("""() => {
      window.frames_drawn = 0;
      const tick = () => {
        window.frames_drawn += document.body.dataset.phase === "running";
        requestAnimationFrame(tick);
      };
      tick();
    }""")
    run(tab)
    assert tab.evaluate("window.frames_drawn") > 60


def test_text_is_shown_while_it_is_still_being_said(tab: Page) -> None:
    with_pair(tab, pace="35")
    tab.click("#run")
    live = tab.locator("#feed .said.live")
    expect(live).not_to_have_count(0, timeout=SOON_MS)
    expect(tab.locator('.node[data-doing="speaking"]')).not_to_have_count(0)
    expect(tab.locator("#outcome")).to_contain_text("The work is done.", timeout=SOON_MS)
    expect(live).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_shows_all_of_it_without_scrolling_sideways(
    page: Page, address: str, theme: str
) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    opened(page, address)
    page.set_viewport_size(PHONE)
    page.select_option("#pace", "0")
    assert sideways(page) == 0
    page.check("input[value=server]", force=True)
    assert sideways(page) == 0
    page.check("input[value=scripted]", force=True)
    run(page)
    page.locator(".tool summary").first.click()
    assert sideways(page) == 0
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, dark[4:-1].split(","))) < 300) == (theme == "dark")


def test_the_chosen_theme_stays(page: Page, address: str) -> None:
    opened(page, address)
    shown = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(shown)
    page.click("#theme")
    page.click("#theme")
    expect(page.locator("#theme")).to_have_text("Theme: dark")
    dark = page.evaluate(shown)
    page.reload()
    assert (page.evaluate(shown), dark != light) == (dark, True)


def test_a_team_file_with_faults_shows_each_and_the_old_team_stays(
    tab: Page,
) -> None:
    with_pair(tab)
    typos = PAIR.replace("comms = true", "coms = true").replace("id =", "di =")
    team_file(tab, "typo.toml", typos)
    findings = tab.locator("#findings")
    expect(findings).to_contain_text("typo.toml cannot be played")
    expect(findings).to_contain_text("profiles.worker.tools.coms")
    expect(findings).to_contain_text("did you mean 'comms'?")
    expect(findings).to_contain_text("mob.di")
    expect(run(tab)).to_contain_text("The work is done.")


def test_a_file_that_is_no_team_says_what_one_is(tab: Page) -> None:
    team_file(tab, "holiday.png", b"\x89PNG")
    expect(tab.locator("#findings")).to_contain_text("a .zip of a pack, or a .toml or .json file")


def test_what_a_team_asks_for_in_vain_is_noted_and_it_plays_without(tab: Page) -> None:
    tab.select_option("#pace", "0")
    team_file(tab, "pair.toml", PAIR.replace("comms = true }", "comms = true, shell = true }"))
    expect(tab.locator("#findings")).to_contain_text("1 note about this team")
    expect(tab.locator("#task")).to_be_empty()
    tab.fill("#task", "Please begin")
    outcome = run(tab)
    expect(outcome).to_contain_text("I have heard from 1")
    expect(tab.locator("#feed .note")).to_have_text(
        "worker works without “shell”: there is no shell tool"
    )


def test_a_further_message_to_any_member_is_answered(tab: Page) -> None:
    with_pair(tab)
    run(tab)
    tab.click(".node:has-text('worker')")
    expect(tab.locator("#to")).to_have_value("worker")
    tab.fill("#text", "How was it?")
    tab.press("#text", "Enter")
    outcome = tab.locator("#outcome")
    expect(outcome).to_contain_text("worker answers")
    expect(outcome).to_contain_text("I have heard from 1")
    expect(tab.locator("#feed .asked")).to_have_count(2)
    expect(tab.locator("#feed .chip").first).to_have_text("plain rule")


def test_stop_ends_the_work_and_a_message_lets_it_go_on(tab: Page) -> None:
    with_pair(tab, pace="70")
    tab.click("#run")
    expect(tab.locator("#feed .said")).not_to_have_count(0, timeout=SOON_MS)
    tab.click("#stop")
    expect(tab.locator("#outcome")).to_contain_text("You stopped the team")
    expect(tab.locator('.node:not([data-doing="idle"])')).to_have_count(0)
    expect(tab.locator("#run")).to_be_focused()
    tab.fill("#text", "Please begin, again")
    tab.press("#text", "Enter")
    expect(tab.locator("#outcome")).to_contain_text("lead answers", timeout=SOON_MS)


def test_running_again_begins_a_new_story(tab: Page) -> None:
    with_pair(tab)
    run(tab)
    entries = tab.locator("#feed .entry").count()
    run(tab)
    expect(tab.locator("#feed .entry")).to_have_count(entries)


def test_a_chosen_member_stands_out_and_is_told_about(tab: Page) -> None:
    with_pair(tab)
    run(tab)
    tab.click(".node:has-text('worker')")
    expect(tab.locator("#detail")).to_contain_text("Does the work")
    expect(tab.locator("#feed .entry.dim")).not_to_have_count(0)
    expect(tab.locator("#feed .sent.dim")).to_have_count(0)
    tab.click("#filter button")
    expect(tab.locator("#feed .entry.dim")).to_have_count(0)


def test_the_story_can_be_taken_along(tab: Page, tmp_path: Path) -> None:
    with_pair(tab)
    run(tab)
    with tab.expect_download() as download:
        tab.click("#export")
    download.value.save_as(tmp_path / "replay.json")
    replay = json.loads((tmp_path / "replay.json").read_text())
    assert download.value.suggested_filename == "pair.replay.json"
    assert replay["result"]["text"] == "The work is done."
    assert replay["events"][0]["kind"]["type"] == "mob_created"
    roles = [message["role"] for message in replay["transcripts"]["worker"]]
    assert roles[:2] == ["system", "user"]


def test_every_control_has_a_name_and_the_answer_is_announced(tab: Page) -> None:
    tab.check("input[value=server]", force=True)
    nameless = tab.evaluate("""() =>
      [...document.querySelectorAll("button, input, select, textarea")]
      .filter((e) => e.checkVisibility() && !e.labels?.length)
      .filter((e) => !e.ariaLabel && !e.textContent.trim())
      .map((e) => e.outerHTML)""")
    assert nameless == []
    expect(tab.locator("#answer")).to_have_attribute("aria-live", "polite")


def test_who_wants_less_motion_gets_none(tab: Page) -> None:
    tab.emulate_media(reduced_motion="reduce")
    with_pair(tab)
    run(tab)
    expect(tab.locator(".letter")).to_have_count(0)
    assert tab.evaluate("document.getAnimations().length") == 0


def test_the_page_works_in_any_folder(page: Page) -> None:
    with served(DIST.parent) as top, page.context.browser.new_context() as context:  # type: ignore[union-attr]
        tab = context.new_page()
        watch = Watch(tab, f"{top}/dist/")
        opened(tab, f"{top}/dist")
        tab.select_option("#pace", "0")
        run(tab)
        assert watch.faults == []


# -- a model server ----------------------------------------------------------------------------


def ask_server(page: Page, base_url: str, key: str = "") -> None:
    page.check("input[value=server]", force=True)
    page.fill("#base-url", base_url)
    page.fill("#model", "some-model")
    page.fill("#api-key", key)
    page.click("#run")


def lenient(browser: Browser) -> Page:
    """A tab in which requests may fail, as they are told to."""
    return browser.new_context().new_page()


def test_a_model_server_answers_for_the_team_and_http_comes_only_then(
    browser: Browser, address: str
) -> None:
    tab = lenient(browser)
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    with chat_team.serving() as server:
        with_pair(opened(tab, address))
        assert not any("httpx2" in url for url in asked)
        ask_server(tab, server.base_url, "secret-1")
        outcome = tab.locator("#outcome")
        expect(outcome).to_contain_text("lead answers", timeout=SOON_MS)
    expect(tab.locator("#answer strong")).to_have_text("model")
    expect(tab.locator("#figures")).to_contain_text("tokens")
    assert any("httpx2" in url for url in asked)
    assert {(path, key) for path, key, _ in server.asked} == {
        ("/v1/chat/completions", "Bearer secret-1")
    }
    assert {body["model"] for *_, body in server.asked} == {"some-model"}
    stored = tab.evaluate("JSON.stringify([{ ...localStorage }, { ...sessionStorage }])")
    with tab.expect_download() as download:
        tab.click("#export")
    exported = Path(download.value.path()).read_text()
    assert "secret-1" not in stored + exported
    assert "some-model" in exported
    tab.context.close()


def test_a_server_that_does_not_let_the_page_in_is_explained(
    browser: Browser, address: str
) -> None:
    tab = lenient(browser)
    with chat_team.serving(cors=False) as server:
        with_pair(opened(tab, address))
        ask_server(tab, server.base_url)
        outcome = tab.locator("#outcome")
        expect(outcome).to_contain_text("could not be reached", timeout=SOON_MS)
    expect(outcome).to_contain_text("Somebody is there, and does not let this page in (CORS)")
    expect(outcome).to_contain_text("OLLAMA_ORIGINS")
    expect(tab.locator("#run")).to_be_enabled()
    tab.check("input[value=scripted]", force=True)
    expect(run(tab)).to_contain_text("The work is done.")
    tab.context.close()


def test_a_server_that_is_not_there_is_told_from_one_that_lets_nobody_in(
    browser: Browser, address: str
) -> None:
    tab = lenient(browser)
    with chat_team.serving(cors=True) as server:
        gone = server.base_url
    with_pair(opened(tab, address))
    ask_server(tab, gone)
    outcome = tab.locator("#outcome")
    expect(outcome).to_contain_text("Nothing answers there", timeout=SOON_MS)
    expect(outcome).not_to_contain_text("CORS")
    tab.context.close()


def test_http_from_an_https_page_is_explained(browser: Browser) -> None:
    def serve(route: Route) -> None:
        route.fulfill(path=DIST / urlsplit(route.request.url).path.removeprefix("/"))

    tab = lenient(browser)
    tab.context.route(f"{SECURE}/**", serve)
    with_pair(opened(tab, SECURE))
    ask_server(tab, "http://192.0.2.1/v1")
    outcome = tab.locator("#outcome")
    expect(outcome).to_contain_text("This page came over https", timeout=SOON_MS)
    expect(outcome).to_contain_text("Give the server https")
    tab.context.close()


def test_a_python_that_does_not_start_is_no_silent_page(browser: Browser, address: str) -> None:
    tab = lenient(browser)
    tab.route("**/python_stdlib.zip", lambda route: route.abort())
    tab.goto(f"{address}/index.html")
    outcome = tab.locator("#outcome")
    expect(outcome).to_contain_text("Python could not be started in this tab", timeout=SOON_MS)
    tab.context.close()
