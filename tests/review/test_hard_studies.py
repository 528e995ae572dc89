"""Pages of studies that are not as the usual one: a planted hotspot, pictures without a place in the patient, many lesions, no lesion, slices far apart."""

from __future__ import annotations

import time

import numpy as np
import pytest

from data_contracts import OutsideFocus
from medkd.review.caveats import compute_caveats
from medkd.review.compose_report import compose_report
from medkd.review.render_html import MOST_BYTES, render_html
from medkd.review.shown import StudyArrays
from tests.explanation.pictures import SPACING, explained_picture
from tests.review.conftest import CAM, explained
from tests.review.test_visible_numbers import shown_text


def lock(page):
    page.check("input[name=read] >> nth=0")
    page.click("#lock")


@pytest.fixture
def planted(report, arrays, change):
    """Return a report, and its arrays, of which most attribution lies in a hotspot six slices from the lesion, outside of it."""
    kept = {name: np.array(values, copy=True) for name, values in arrays.explained[0].items()}
    kept[CAM["student"]][10, 30:34, 40:44] = 9.0
    outside = OutsideFocus(
        explainer="grad_cam",
        slice_index=10,
        row=31,
        column=41,
        position_lps_mm=report.volume.space.position_lps_mm(10, 31, 41),
        share_outside=0.85,
    )
    own = change(report, lesion={"outside": outside})
    return own.model_copy(update={"caveats": compute_caveats(own.explanations)}), StudyArrays(arrays.volume, (kept,), arrays.label)


def test_a_planted_hotspot_has_a_caveat_and_a_jump_that_shows_it(open_page, planted):
    page = open_page(*planted)
    lock(page)
    page.keyboard.press("h")
    assert "85% of the positive attribution (grad_cam) lies outside every lesion" in page.locator("#caveats").inner_text()
    student = ".pane[data-role=student]"
    key_slice = page.evaluate("medkd.data.heat[0].grad_cam.planes.student.axial[4]")
    for jump in ("#findings button.go[data-spot]", "#summary button.go[data-spot]"):
        page.locator("#findings").get_by_role("button", name="go to lesion 1").click()
        assert page.locator(f"{student} .heat").get_attribute("src") == key_slice
        page.locator(jump).click()
        assert page.locator("#where").inner_text().startswith("slice 11 of 12")
        assert page.locator(f"{student} .heat").is_visible()
        stack, spot = (page.locator(f"{student} {one}").bounding_box() for one in (".stack", "path.spot"))
        assert (spot["x"] + spot["width"] / 2 - stack["x"]) / stack["width"] == pytest.approx(41.5 / 48, abs=0.02)
        assert (spot["y"] + spot["height"] / 2 - stack["y"]) / stack["height"] == pytest.approx(31.5 / 40, abs=0.02)
    page.keyboard.press("c")
    assert page.locator("#where").inner_text().startswith("slice 32 of 40")
    stack, spot = (page.locator(f"{student} {one}").bounding_box() for one in (".stack", "path.spot"))
    assert (spot["x"] + spot["width"] / 2 - stack["x"]) / stack["width"] == pytest.approx(41.5 / 48, abs=0.02)
    assert (spot["y"] + spot["height"] / 2 - stack["y"]) / stack["height"] == pytest.approx(1.5 / 12, abs=0.03), "the head is up"
    assert page.problems == []


def test_without_a_hotspot_there_is_neither_caveat_nor_jump(open_page, report, arrays, change):
    clean = change(report, lesion={"outside": None})
    page = open_page(clean.model_copy(update={"caveats": compute_caveats(clean.explanations)}), arrays)
    lock(page)
    assert "outside every" not in page.locator("#caveats").inner_text()
    assert page.locator("button.go[data-spot]").count() == 0


@pytest.mark.parametrize(("spacing", "unit"), [(SPACING, " mm"), pytest.param(None, " pixels", marks=pytest.mark.extended)])
def test_a_picture_has_no_planes_and_its_ruler_says_what_it_measures(open_page, spacing, unit):
    shown, _, made = explained_picture("segmentation", spacing=spacing)
    arrays = StudyArrays(shown.float().numpy(), ({name: values.numpy() for name, values in made.arrays.items()},))
    page = open_page(compose_report((made.record,), arrays), arrays)
    lock(page)
    page.keyboard.press("h")
    assert not page.locator("#planes-label").is_visible()
    assert page.locator(".mark").count() == 0
    page.keyboard.press("c")
    page.keyboard.press("r")
    box = page.locator(".pane[data-role=plain] .stack").bounding_box()
    for column in (10, 40):
        page.mouse.click(box["x"] + column / 64 * box["width"], box["y"] + box["height"] / 2)
    length = page.locator("#measured").inner_text()
    assert length.endswith(unit)
    assert float(length.removesuffix(unit)) == pytest.approx(30 * (SPACING.between_columns_mm if spacing else 1), abs=0.3)
    assert ("at the detector" if spacing else "No spacing is stated") in page.locator("#images").inner_text()
    assert page.problems == []


def test_two_hundred_lesions_fit_into_a_page(report, arrays):
    one = report.explanations[0]
    lesions = tuple(one.lesions[0].model_copy(update={"tracking_id": f"lesion-{number}"}) for number in range(1, 201))
    maps = tuple(
        ref.model_copy(update={"tensor": ref.tensor.replace("map/1/", f"map/{number}/")}) for number in range(1, 201) for ref in one.maps
    )
    names = {"map": list(CAM.values()), "mask": ["mask/1"]}
    kept = dict(arrays.explained[0])
    for number in range(2, 201):
        kept |= {name.replace("map/1/", f"map/{number}/"): kept[name] for name in names["map"]} | {f"mask/{number}": kept["mask/1"]}
    many = explained(report, lesions=lesions, maps=maps)
    many = many.model_copy(update={"caveats": compute_caveats(many.explanations)})
    started = time.process_time()
    page = render_html(many, StudyArrays(arrays.volume, (kept,), arrays.label))
    assert len(page.encode()) <= MOST_BYTES
    assert time.process_time() - started < 10
    assert "The student outlines 200 lesions." in shown_text(page, "en")


def test_slices_far_apart_are_as_tall_as_they_are(open_page, report, arrays):
    space = report.volume.geometry
    affine = np.asarray(space.affine_lps_mm) * (5, 1, 1, 1)
    geometry = space.model_copy(update={"affine_lps_mm": tuple(map(tuple, affine.tolist()))})
    page = open_page(explained(report, volume=report.volume.model_copy(update={"geometry": geometry})), arrays)
    page.keyboard.press("c")
    box = page.locator(".pane[data-role=plain] .stack").bounding_box()
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    assert box["height"] / box["width"] == pytest.approx(12 * lengths[0] / (48 * lengths[2]), rel=0.02)


def test_maps_that_hold_nan_are_shown_as_far_as_they_are_numbers(open_page, report, arrays):
    kept = {name: np.array(values, copy=True) for name, values in arrays.explained[0].items()}
    kept[CAM["student"]][4, :15] = np.nan
    page = open_page(report, StudyArrays(arrays.volume, (kept,), arrays.label))
    lock(page)
    page.keyboard.press("h")
    assert "no numbers" in page.locator(".pane[data-role=student] .failed").inner_text()
    assert page.locator(".pane[data-role=student] .heat").is_visible()
    assert "nan" not in page.locator("#scale").inner_text().lower()
    assert page.problems == []
