"""The sign-off of a page that is a file of its own, in a real browser: what it saves, and what it refuses to save."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from data_contracts import FeedbackForm, read_record
from medkd.feedback.keep import Reviewer, keep_form
from medkd.feedback.log import FeedbackLog


@pytest.fixture
def page(open_page, report, arrays):
    page = open_page(report, arrays)
    assert not page.locator("#sign-off").is_visible(), "not before the own read"
    page.check("input[name=read][value=present]")
    page.click("#lock")
    return page


def fill(page, explanation="accepted"):
    page.check("input[name=decision][value=accept]")
    page.check("input[name='prediction.lesion-1'][value=agree]")
    page.check(f"input[name='explanation.lesion-1'][value={explanation}]")
    for item in ("understandable", "plausible", "certainty_fits", "useful"):
        page.check(f"input[name='likert.{item}'][value='4']")


def saved(page):
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename.startswith("feedback-")
    return read_record(Path(download.value.path()).read_bytes(), FeedbackForm)


def place(page, column, row):
    """Return where a voxel of the slice lies on the screen."""
    canvas = page.locator("canvas.drawing")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    return box["x"] + box["width"] * (column + 0.5) / 48, box["y"] + box["height"] * (row + 0.5) / 40


def drag(page, *voxels):
    page.mouse.move(*place(page, *voxels[0]))
    page.mouse.down()
    for voxel in voxels[1:]:
        page.mouse.move(*place(page, *voxel), steps=4)
    page.mouse.up()


def test_what_is_saved_is_kept_as_what_is_sent_would_be(page, report, tmp_path):
    fill(page)
    page.click(".verdict summary")
    page.check("input[name='reasons.lesion-1'][value=UNCLEAR]")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("h")
    page.wait_for_timeout(300)
    page.keyboard.press("h")
    page.fill("#comment", "  Seen on 3 slices. <script>alert(1)</script>\n")
    form = saved(page)
    assert form.report == report.digest()
    assert form.comment == "Seen on 3 slices. <script>alert(1)</script>"
    assert form.own_read.answer == "present"
    assert 0 < form.own_read.seconds <= form.seconds_on_page
    assert 0.2 <= form.seconds_with_overlay < form.seconds_on_page
    assert form.verdicts[0].reasons == ("UNCLEAR",)
    entry = keep_form(FeedbackLog(tmp_path / "log"), report, form, Reviewer("reviewer-1", "radiologist"), offline=True)
    assert entry.record.form == form.form
    assert page.problems == []


def test_saved_twice_it_is_the_same_form_and_changed_it_is_another(page):
    fill(page)
    one, again = saved(page), saved(page)
    assert one.form == again.form
    page.check("input[name=decision][value=reject]")
    assert saved(page).form != one.form


def test_what_is_missing_is_named_and_nothing_is_saved(page):
    page.on("download", lambda _: page.problems.append("saved"))
    page.click("#save")
    said = page.locator("#missing").inner_text()
    for name in ("The report as a whole", "lesion 1", "The prediction", "The explanation", "I understand"):
        assert name in said
    assert "go to" not in said
    fill(page, "corrected")
    page.click("#save")
    assert "lesion 1" in page.locator("#no-mask").inner_text()
    page.check("input[name='explanation.lesion-1'][value=accepted]")
    page.fill("#comment", "x" * 2001)
    assert page.locator("#comment-count").inner_text().startswith("2001 of 2000")
    page.click("#save")
    assert "(+1)" in page.locator("#too-long").inner_text()
    assert page.problems == []


def test_brush_polygon_and_eraser_mark_the_voxels_that_are_seen(page):
    fill(page, "corrected")
    page.select_option("#tool", "brush")
    page.fill("#brush-size", "1")
    drag(page, (10, 5), (15, 5))
    page.select_option("#draw-for", "lesion-1:forbidden")
    page.select_option("#tool", "polygon")
    for voxel in ((19.5, 19.5), (29.5, 19.5), (29.5, 29.5), (19.5, 29.5)):
        page.mouse.click(*place(page, *voxel))
    page.click("#close-polygon")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowDown")
    page.select_option("#draw-for", "missed:1")
    page.select_option("#tool", "brush")
    page.fill("#brush-size", "6")
    drag(page, (40, 30), (41, 30))
    page.select_option("#tool", "eraser")
    drag(page, (42, 30), (44, 30))
    page.click("#undo")
    form = saved(page)
    masks = {one.meaning: marked(one.voxels) for one in form.verdicts[0].masks}
    assert np.argwhere(masks["allowed"]).tolist() == [[4, 5, column] for column in range(10, 16)]
    assert np.argwhere(masks["forbidden"]).tolist() == [[4, row, column] for row in range(20, 30) for column in range(20, 30)]
    (missed,) = (marked(one) for one in form.missed)
    assert set(np.argwhere(missed)[:, 0]) == {5}, "on the next slice"
    assert missed[5, 30, 40]
    assert missed[5, 30, 43], "what was erased is back"
    assert page.problems == []


def marked(mask):
    values = np.zeros(np.prod(mask.shape), bool)
    for start, length in mask.runs:
        values[start : start + length] = True
    return values.reshape(mask.shape)


def test_drawing_waits_for_a_tool_and_for_the_plane_of_acquisition(page):
    assert page.locator("canvas.drawing.active").count() == 0
    page.select_option("#tool", "brush")
    assert page.locator("canvas.drawing.active").count() == 1
    page.click("button[data-show-plane=coronal]")
    assert not page.locator("canvas.drawing").is_visible()


def test_nothing_is_signed_where_a_picture_is_broken(open_page, report, arrays):
    page = open_page(report, arrays)
    page.check("input[name=read][value=present]")
    page.click("#lock")
    fill(page)
    page.evaluate("document.querySelector('.base').src = 'data:image/png;base64,AAAA'")
    page.wait_for_selector("body[data-broken]")
    assert page.locator("#save").is_disabled()
    assert "nothing can be signed" in page.locator("#sign-broken").inner_text()


def test_findings_without_an_answer_can_be_left_unsure_at_once(page):
    fill(page)
    page.evaluate("document.querySelectorAll(\"input[name='prediction.lesion-1']\").forEach((one) => { one.checked = false; })")
    page.click("#rest-unsure")
    assert saved(page).verdicts[0].prediction == "unsure"


def test_the_sign_off_speaks_chinese(page):
    page.locator("label[for=language-zh]").click()
    page.click("#save")
    assert "尚未回答" in page.locator("#missing").inner_text()
    fill(page)
    form = saved(page)
    assert form.language == "zh"
    assert json.loads(form.canonical_json())["decision"] == "accept"
