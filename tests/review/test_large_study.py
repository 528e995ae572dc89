"""A study of 512 × 512 × 200: its page fits, is made in time and opens at once."""

from __future__ import annotations

import time

import pytest

from medkd.review.render_html import MOST_BYTES, render_html
from tests.review.thorax import study_of_thorax

#: Seconds that a page may take to be made, and to be ready in a browser.
MADE_S, READY_S = 10.0, 1.5


@pytest.mark.extended
def test_a_large_study_fits_is_made_in_time_and_opens_at_once(open_page, report):
    own, arrays = study_of_thorax(report, (200, 512, 512), (1.5, 0.75, 0.75))
    started = time.process_time()
    html = render_html(own, arrays)
    assert time.process_time() - started <= MADE_S
    assert len(html.encode()) <= MOST_BYTES
    assert "Slices are drawn smaller: each pixel is the mean of 2 × 2" in html
    page = open_page(own, arrays, html=html)
    ready = page.evaluate("performance.getEntriesByType('mark').find((one) => one.name === 'ready').startTime") / 1000
    assert ready <= READY_S
    assert page.evaluate("Object.keys(medkd.data.fine.axial).length") == 17
    page.check("input[value=present]")
    page.click("#lock")
    for plane in "csa":
        page.keyboard.press(plane)
        page.locator("#findings").get_by_role("button", name="go to lesion 1").click()
        middle = page.evaluate(
            "(() => { const box = document.querySelector('.pane[data-role=plain] path.student').getBBox(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        slices, rows, columns = 0.45 * 200, 0.46 * 512, 0.3 * 512
        expected = {"a": (columns, rows), "c": (columns, 200 - slices), "s": (rows, 200 - slices)}[plane]
        assert middle == pytest.approx(expected, abs=2)
    assert page.problems == []


@pytest.mark.extended
def test_a_study_of_middle_size_keeps_its_key_slices_whole(open_page, report):
    own, arrays = study_of_thorax(report, (12, 512, 512), (10.0, 0.75, 0.75))
    html = render_html(own, arrays)
    assert len(html.encode()) <= MOST_BYTES
    page = open_page(own, arrays, html=html)
    page.check("input[value=present]")
    page.click("#lock")
    assert page.locator(".pane[data-role=plain] .base").evaluate("one => one.naturalWidth") == 512
    assert page.problems == []
