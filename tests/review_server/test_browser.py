"""The served review in a real browser: with scripts and without, in both languages, on a telephone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from review_clients import PASSWORD

from data_contracts.feedback import Feedback, OwnRead

AXE = Path(sys.prefix) / "axe" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture
def open_as(browser, address):
    """Return who logs in with a browser of its own; a page keeps its requests, and its console messages and errors."""
    opened = []

    def opener(name, **context):
        opened.append(browser.new_context(base_url=address, **{"viewport": {"width": 1360, "height": 900}, **context}))
        page = opened[-1].new_page()
        page.requests, page.problems = [], []
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("console", lambda message: page.problems.append(message.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.goto("/")
        page.fill("#name", name)
        page.fill("#password", PASSWORD)
        page.click("main button")
        page.wait_for_selector("#rows")
        return page

    yield opener
    for one in opened:
        one.close()


def read(page, key, answer="present"):
    page.goto(f"/study/{key}")
    page.check(f"input[name=read][value={answer}]")
    page.click("#lock")
    page.wait_for_selector("body[data-locked]")


def fill(page):
    page.check("input[name=decision][value=accept]")
    for number in (1, 2):
        page.check(f"input[name='prediction.lesion-{number}'][value=agree]")
        page.check(f"input[name='explanation.lesion-{number}'][value=accepted]")
    for item in ("understandable", "plausible", "certainty_fits", "useful"):
        page.check(f"input[name='likert.{item}'][value='4']")


def test_a_study_is_read_signed_and_corrected(open_as, address, services):
    page = open_as("anna")
    page.click("text=study-000")
    page.wait_for_selector("body[data-ready]")
    assert page.locator(".ai:visible").count() == 0
    assert not [url for url in page.requests if "/heat/" in url]
    page.keyboard.press("ArrowDown")
    read(page, "series-000")
    assert page.locator(".heat:visible").count() == 0, "maps are off"
    for role in ("plain", "student", "teacher", "difference"):
        picture = page.locator(f".pane[data-role={role}] .base")
        picture.evaluate("one => one.decode()")
        assert picture.evaluate("one => [one.naturalWidth, one.naturalHeight]") == [48, 40], role
        assert page.locator(f".pane[data-role={role}] svg path").count() >= 1, role
    page.reload()
    page.wait_for_selector("body[data-locked]")
    assert "present" in page.locator("#locked").inner_text()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("h")
    page.wait_for_selector(".pane[data-role=student] .heat:visible")
    page.locator(".pane[data-role=difference] .heat:visible").wait_for()
    page.click("#save")
    assert "lesion 2" in page.locator("#missing").inner_text()
    fill(page)
    page.evaluate("() => { const save = document.getElementById('save'); save.click(); save.click(); }")
    page.wait_for_selector("#sign-off .signed")
    page.check("input[name=decision][value=reject]")
    page.click("#save")
    page.wait_for_selector("#saved .done:visible")
    own, *said = [entry.record for entry in services.log.entries()]
    assert isinstance(own, OwnRead)
    assert own.read.seconds > 0
    assert [one.decision for one in said] == ["accept", "reject"], "a double click saves once"
    assert said[0].seconds_with_overlay > 0
    assert page.problems == []
    assert not [url for url in page.requests if not url.startswith((address, "data:", "blob:"))]


@pytest.mark.extended
def test_what_the_server_refuses_is_said_and_stays_in_the_form(open_as, services):
    page = open_as("anna")
    read(page, "series-000")
    fill(page)
    page.fill("#comment", "Compared with Mr. Smith, 2024-03-05")
    page.click("#save")
    page.wait_for_selector("#refused:visible")
    assert "comment" in page.locator("#refused").inner_text()
    assert "Smith" in page.locator("#comment").input_value()
    page.fill("#comment", "Compared with the earlier one")
    page.click("#save")
    page.wait_for_selector("#sign-off .signed")
    assert [type(entry.record) for entry in services.log.entries()] == [OwnRead, Feedback]


def test_a_slice_that_cannot_be_had_stops_the_sign_off(open_as):
    page = open_as("anna")
    read(page, "series-000")
    page.route("**/slice/**", lambda route: route.abort())
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("PageDown")
    page.wait_for_selector("body[data-broken]")
    assert page.locator("#save").is_disabled()


def test_without_scripts_a_study_is_read_and_signed_by_forms(open_as, services):
    page = open_as("anna", java_script_enabled=False)
    page.click("text=study-000")
    assert page.locator(".ai:visible").count() == 0
    assert page.locator(".plain-slice img").first.is_visible()
    page.get_by_text("Next slice").first.click()
    page.wait_for_url("**slice=7")
    assert "slice 8 of 12" in page.locator(".plain-slice").inner_text()
    page.check("input[name=read][value=absent]")
    page.click("#lock")
    page.wait_for_selector("#summary")
    assert page.locator("#findings").is_visible()
    fill(page)
    page.click("#save")
    page.wait_for_selector("#sign-off .signed")
    page.get_by_text("Back to the worklist").click()
    page.wait_for_selector("tr.status-signed")
    page.select_option("#status", "unread")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/?status=unread**")
    assert page.locator("#rows tbody tr").count() == 2
    assert [type(entry.record) for entry in services.log.entries()] == [OwnRead, Feedback]
    page.get_by_text("中文").click()
    page.get_by_role("heading", name="工作列表").wait_for()


def test_filters_answer_as_they_are_changed(open_as):
    page = open_as("anna")
    page.select_option("#status", "signed")
    page.get_by_text("No study fits the filters").wait_for()
    assert "status=signed" in page.url
    assert page.problems == []


@pytest.mark.parametrize("language", ["en", pytest.param("zh", marks=pytest.mark.extended)])
def test_no_page_has_a_violation(open_as, language):
    if not AXE.is_file():
        pytest.skip("axe-core is missing: run `make setup` where npm is")
    source = AXE.read_text(encoding="utf-8")
    page = open_as("chief")

    def violations():
        page.evaluate(source)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [f"{one['id']}: {[node['target'] for node in one['nodes']][:4]}" for one in found["violations"]]

    page.goto(f"/language/{language}?next=/")
    found = {"worklist": violations()}
    for place in ("/admin", "/scale", "/study/nowhere"):
        page.goto(place)
        found[place] = violations()
    page.goto("/study/series-000")
    page.wait_for_selector("body[data-ready]")
    assert page.evaluate("document.documentElement.lang").startswith(language)
    found["before"] = violations()
    read(page, "series-000")
    page.click("#save")
    found["after"] = violations()
    page.goto("/")
    page.locator("header form button").click()
    found["login"] = violations()
    assert {place: what for place, what in found.items() if what} == {}


@pytest.mark.extended
def test_on_a_telephone_nothing_is_wider_than_the_screen(open_as):
    page = open_as("chief", viewport={"width": 390, "height": 844})
    read(page, "series-000")
    for place in ("/", "/admin", "/scale", "/study/series-000"):
        page.goto(place)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, place
