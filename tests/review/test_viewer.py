"""The viewer in a real browser without WebGL: planes, windows, ruler, maps, and what it does with broken pictures."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from medkd.review.render_html import render_html

PLAIN = ".pane[data-role=plain] .stack"


@pytest.fixture
def page(open_page, report, arrays):
    return open_page(report, arrays)


def lock(page):
    page.check("input[value=present]")
    page.click("#lock")


def picture(page, pane=PLAIN):
    """Return what is seen of a pane."""
    return np.asarray(Image.open(io.BytesIO(page.locator(pane).screenshot())).convert("RGB")).astype(int)


def where(page):
    return page.locator("#where").inner_text()


def marks(page, pane=PLAIN):
    return [page.locator(f"{pane} .mark.{edge}").inner_text() for edge in ("left", "right", "top", "bottom")]


def test_keys_and_buttons_choose_the_plane_and_letters_follow(page):
    assert marks(page) == ["R", "L", "A", "P"]
    page.keyboard.press("c")
    assert where(page).startswith("slice 21 of 40, y ")
    assert marks(page) == ["R", "L", "S", "I"]
    page.keyboard.press("s")
    assert where(page).startswith("slice 25 of 48, x ")
    assert marks(page) == ["A", "P", "S", "I"]
    page.get_by_role("button", name="axial").click()
    assert where(page).startswith("slice 7 of 12, z ")
    assert page.locator("button[aria-pressed=true]").inner_text() == "axial"
    assert page.problems == []


def test_a_plane_has_the_proportions_of_the_patient(page, report):
    slices, rows, columns = (float(one) for one in report.volume.geometry.spacing_mm)
    page.keyboard.press("c")
    box = page.locator(PLAIN).bounding_box()
    assert box["width"] / box["height"] == pytest.approx(48 * columns / (12 * slices), rel=0.02)
    page.keyboard.press("s")
    box = page.locator(PLAIN).bounding_box()
    assert box["width"] / box["height"] == pytest.approx(40 * rows / (12 * slices), rel=0.02)


def test_outlines_and_maps_lie_on_every_plane(page):
    lock(page)
    page.keyboard.press("h")
    for key, low, high in (("c", 12 / 48, 24 / 48), ("s", 10 / 40, 20 / 40)):
        page.keyboard.press(key)
        pane = page.locator(PLAIN).bounding_box()
        outline = page.locator(f"{PLAIN} path.student").bounding_box()
        assert (outline["x"] - pane["x"]) / pane["width"] == pytest.approx(low, abs=0.02)
        assert (outline["x"] + outline["width"] - pane["x"]) / pane["width"] == pytest.approx(high, abs=0.02)
        # The lesion's slices are 3 to 6 of 12, and the head is up.
        assert (outline["y"] - pane["y"]) / pane["height"] == pytest.approx(5 / 12, abs=0.05)
        assert page.locator(".pane[data-role=student] .heat").is_visible()
    assert page.problems == []


def test_a_jump_lands_on_the_lesion_in_every_plane(page):
    """The contour's middle lies within two pixels of the mask's: rows 10 to 20, columns 12 to 24, key slice 5."""
    lock(page)
    for plane, middle in (("axial", (18, 15)), ("coronal", (18, 12 - 5)), ("sagittal", (15, 12 - 5))):
        page.keyboard.press(plane[0])
        page.locator("#findings").get_by_role("button", name="go to lesion 1").click()
        box = page.evaluate(
            """() => { const box = document.querySelector('.pane[data-role=plain] path.student').getBBox(); return [box.x + box.width / 2, box.y + box.height / 2]; }"""
        )
        assert box == pytest.approx(middle, abs=2)
    page.keyboard.press("a")
    assert where(page).startswith("slice 5 of 12")


def test_three_planes_show_one_point_and_scroll_together(page):
    page.check("#all-planes")
    assert page.locator(".pane:visible").count() == 3
    box = page.locator(".pane[data-plane=axial] .stack").bounding_box()
    page.mouse.click(box["x"] + box["width"] * (30.5 / 48), box["y"] + box["height"] * (8.5 / 40))
    assert page.evaluate("medkd.state.point") == [6, 8, 30]
    box = page.locator(".pane[data-plane=coronal] .stack").bounding_box()
    page.mouse.click(box["x"] + box["width"] * (30.5 / 48), box["y"] + box["height"] * (3.5 / 12))
    assert page.evaluate("medkd.state.point") == [8, 8, 30], "the head is up: the fourth row is the ninth slice"
    page.mouse.click(box["x"] + box["width"] * (30.5 / 48), box["y"] + box["height"] * (5.5 / 12))
    for plane, name in (("coronal", "slice 9 of 40"), ("sagittal", "slice 31 of 48")):
        page.get_by_role("button", name=plane).click()
        assert where(page).startswith(name)
    before = page.locator(".pane[data-plane=sagittal] .base").get_attribute("src")
    page.locator(".pane[data-plane=sagittal] .stack").hover()
    page.mouse.wheel(0, 100)
    assert page.locator(".pane[data-plane=sagittal] .base").get_attribute("src") != before
    assert page.evaluate("medkd.state.point") == [6, 8, 31]
    assert page.problems == []


def grey_at(page, row, column):
    """Return the grey that is seen of a pixel of the axial slice of the fixture."""
    seen = picture(page)
    return seen[int((row + 0.5) / 40 * seen.shape[0]), int((column + 0.5) / 48 * seen.shape[1])].tolist()


def test_slices_show_the_window_and_keys_choose_another(page, report, arrays):
    for key, number in (("1", 0), ("2", 1), ("4", 3)):
        page.keyboard.press(key)
        low, high = page.evaluate(f"[medkd.data.windows[{number}].low, medkd.data.windows[{number}].high]")
        shown = [grey_at(page, row, column) for row, column in ((5, 5), (12, 20), (33, 40))]
        values = [arrays.volume[6, row, column] for row, column in ((5, 5), (12, 20), (33, 40))]
        expected = [np.clip((value - low) / (high - low), 0, 1) * 255 for value in values]
        step = 400 / 191 / (high - low) * 255  # of the grey levels within the report's window
        for seen, wanted in zip(shown, expected, strict=True):
            assert seen == pytest.approx([wanted] * 3, abs=step / 2 + 1.5)
        assert page.locator("#preset").evaluate("one => one.selectedIndex") == number
    assert page.problems == []


def test_a_drag_changes_the_window_and_a_key_brings_it_back(page):
    before = picture(page)
    box = page.locator(PLAIN).bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 60, steps=4)
    page.mouse.up()
    window = page.evaluate("medkd.state.window")
    assert window["high"] - window["low"] == pytest.approx(400 * np.exp(0.5), rel=0.01)
    assert (window["high"] + window["low"]) / 2 == pytest.approx(40 + 0.2 * 400, rel=0.01)
    assert np.abs(picture(page) - before).mean() > 5
    assert page.locator("#window-now").inner_text() == f"{window['low']:.0f} to {window['high']:.0f}"
    page.keyboard.press("1")
    assert (picture(page) == before).all()


def test_heat_on_and_off_restores_every_pixel(page):
    lock(page)
    pane = ".pane[data-role=student] .stack"
    page.mouse.move(0, 0)
    before = picture(page, pane)
    page.keyboard.press("h")
    assert (picture(page, pane) != before).any()
    page.keyboard.press("h")
    assert (picture(page, pane) == before).all()


def test_a_slice_whose_map_is_not_in_the_page_says_so(open_page, report, arrays, monkeypatch):
    page = open_page(report, arrays)
    page.evaluate("Object.assign(medkd.data.heat[0].grad_cam.held, {axial: [4]})")
    lock(page)
    page.keyboard.press("h")
    assert not page.locator(".pane[data-role=student] .failed").is_visible()
    page.keyboard.press("ArrowDown")
    assert "no map of this slice" in page.locator(".pane[data-role=student] .failed").inner_text()


def test_the_ruler_measures_in_the_patient(page, report):
    page.keyboard.press("r")
    assert "first end" in page.locator("#measured").inner_text()
    box = page.locator(PLAIN).bounding_box()
    for column, row in ((10, 10), (34, 26)):
        page.mouse.click(box["x"] + column / 48 * box["width"], box["y"] + row / 40 * box["height"])
    space = report.volume.space
    expected = np.linalg.norm(np.subtract(space.position_lps_mm(6, 25.5, 33.5), space.position_lps_mm(6, 9.5, 9.5)))
    length = float(re.fullmatch(r"([\d.]+) mm", page.locator("#measured").inner_text())[1])
    assert length == pytest.approx(expected, abs=0.5)
    assert page.locator(f"{PLAIN} .ruler-label").inner_text() == f"{length:.1f} mm"
    page.keyboard.press("ArrowDown")
    assert not page.locator(f"{PLAIN} .ruler-label").is_visible()
    assert page.problems == []


def test_everything_can_be_done_by_keys(page):
    """The own read, its lock, a plane, a window, maps, the ruler and a jump, without a pointer."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "read":
            break
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "lock"
    page.keyboard.press("Enter")
    assert page.evaluate("document.body.dataset.locked") == "true"
    assert page.evaluate("document.activeElement.id") == "summary"
    page.keyboard.press("h")
    page.keyboard.press("r")
    page.keyboard.press("Enter")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.locator("#measured").inner_text().endswith(" mm")
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.className") != "go look":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert where(page).startswith("slice ")
    for key in ("2", "c", "ArrowDown", "Shift+ArrowDown", "?", "s", "a"):
        page.keyboard.press(key)
    assert page.problems == []


def test_contours_can_be_told_apart_in_grey(page):
    lock(page)
    dashes = {
        name: page.locator(f"{PLAIN} path.{name}").evaluate("one => getComputedStyle(one).strokeDasharray")
        for name in ("student", "teacher", "reference")
    }
    assert len(set(dashes.values())) == 3


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_phone_has_no_horizontal_scroll(open_page, report, arrays, language):
    page = open_page(report, arrays, address="#zh" if language == "zh" else "", viewport={"width": 390, "height": 844})
    lock(page)
    page.keyboard.press("h")
    # The names of some explainers, and what they failed, are as wide as a list of choices may be.
    page.evaluate("document.querySelector('#explainer').options[0].text = 'integrated_gradients (failed: randomisation)'")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.check("#all-planes")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_broken_picture_is_named_before_anybody_signs(open_page, report, arrays):
    sound = open_page(report, arrays)
    sound.wait_for_selector("body[data-checked]")
    assert sound.evaluate("document.body.dataset.broken") is None
    assert not sound.locator("#broken").is_visible()
    html = render_html(report, arrays)
    # A slice that nobody has turned to yet.
    page = open_page(report, arrays, html=re.sub(r'("sagittal":\["data:image/png;base64,)[^"]*', r"\1iVBORw0KGgo=", html, count=1))
    page.wait_for_selector("body[data-broken=true]")
    assert "broken" in page.locator("#broken").inner_text()


def test_the_page_needs_no_webgl(page):
    assert page.evaluate("document.createElement('canvas').getContext('webgl')") is None
    assert page.locator(f"{PLAIN} .base").evaluate("one => one.naturalWidth") == 48


def test_the_prior_study_stands_beside_the_current_one(open_page, followed, arrays, prior):
    page = open_page(followed, arrays, prior=prior)
    beside = page.locator(".pane[data-role=prior]")
    assert beside.is_visible()
    assert beside.locator("svg path").count() == 0, "its outlines are a model's too"
    first = beside.locator(".base").get_attribute("src")
    page.keyboard.press("ArrowDown")
    assert beside.locator(".base").get_attribute("src") != first
    lock(page)
    assert beside.locator("svg path.student").count() == 1
    said = page.locator("#prior").inner_text()
    assert "No registration was made" in said
    assert f"{followed.prior.changes[0].change_ml:+.2f}" in said
    page.keyboard.press("c")
    assert not beside.is_visible(), "only acquired slices are shown side by side"
    assert page.problems == []
