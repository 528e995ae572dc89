"""The reports of the demo, opened from their files in a real browser."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.xdist_group("demo")


def test_every_report_opens_without_a_request_and_without_a_word_on_the_console(smoke, browser):
    requests, problems = [], []
    for report in smoke.summary["reports"]:
        page = browser.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto((smoke.project / report).as_uri())
        page.wait_for_selector("body[data-ready]")
        page.check("input[value=unsure]")
        page.click("#lock")
        page.keyboard.press("h")
        assert page.locator(".mark.left").first.inner_text() == "R"
        assert page.locator("#similar tbody tr").count() >= 5
        page.close()
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert problems == []
