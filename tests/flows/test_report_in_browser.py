"""The report opened from a file in a real browser: nothing is asked of the network, nothing is shown before the own read."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.xdist_group("demo")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture
def page(smoke, chromium_path):
    """Return an opened report, with the list of its requests and of its console messages and errors."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        opened = browser.new_page(viewport={"width": 1360, "height": 900})
        opened.requests, opened.problems = [], []
        opened.on("request", lambda request: opened.requests.append(request.url))
        opened.on("console", lambda message: opened.problems.append(message.text))
        opened.on("pageerror", lambda error: opened.problems.append(str(error)))
        # The page with the most findings shows the most.
        path = max((smoke.project / p for p in smoke.summary["reports"]), key=lambda p: p.stat().st_size)
        opened.goto(path.as_uri())
        opened.wait_for_selector("body[data-ready]")
        yield opened
        browser.close()


def lock(page):
    page.check("input[value=present]")
    page.click("#lock")


def test_nothing_is_asked_of_the_network_and_the_console_stays_silent(page):
    lock(page)
    for key in ("h", "ArrowDown", "ArrowUp", "PageDown", "n", "p"):
        page.keyboard.press(key)
    assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in page.requests if url.startswith("file:")]) == 1
    assert page.problems == []


def test_the_banner_stays_in_sight(page):
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    box = page.locator(".banner").first.bounding_box()
    assert 0 <= box["y"] < 40


def test_the_own_read_comes_first(page):
    assert page.locator("#lock").is_disabled()
    assert page.locator(".ai:visible").count() == 0
    assert page.locator("svg path").count() == 0
    page.keyboard.press("h")
    assert page.locator(".heat:visible").count() == 0
    lock(page)
    assert page.locator("#findings").is_visible()
    assert page.locator("#caveats li").count() >= 1
    assert page.locator("input[name=read]").first.is_disabled()


def test_heat_is_off_until_it_is_asked_for(page):
    lock(page)
    assert page.locator(".heat:visible").count() == 0
    if page.locator("button.go").count() == 0:
        pytest.skip("the untrained student of this smoke run found no lesion")
    page.keyboard.press("h")
    assert page.locator("#scale").is_visible()


def test_keys_turn_the_slices(page):
    first = page.locator(".base").first.get_attribute("src")
    where = page.locator("#where").inner_text()
    page.keyboard.press("ArrowDown")
    assert page.locator("#where").inner_text() != where
    assert page.locator(".base").first.get_attribute("src") != first
    page.keyboard.press("PageDown")
    page.keyboard.press("PageDown")
    assert page.locator("#where").inner_text().startswith("slice 12 of 12")


def test_left_and_right_are_marked(page):
    pane = page.locator(".pane").first
    assert pane.locator(".mark.left").inner_text() == "R"
    assert pane.locator(".mark.right").inner_text() == "L"
    assert pane.locator(".mark.top").inner_text() == "A"


def test_a_narrow_window_has_one_column(page):
    lock(page)
    page.set_viewport_size({"width": 700, "height": 900})
    boxes = [pane.bounding_box() for pane in page.locator(".pane").all()]
    assert len({round(box["x"]) for box in boxes}) == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
