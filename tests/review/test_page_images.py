"""Several images of a study on one page: what they are called, how each is shown, and that they lie in the page one by one."""

from __future__ import annotations

import base64
import dataclasses
import io
import json

import numpy as np
import pytest
from PIL import Image

from medkd.review.caveats import compute_caveats
from medkd.review.page_data import page_data
from medkd.review.page_images import greys_of, images_of, names_of, window_of
from medkd.review.render_html import MOST_BYTES
from medkd.review.study_file import NAME, open_study_file, write_study_file
from medkd.review.texts import in_each


@pytest.fixture
def two(change, report, arrays):
    """Return a report of a model that saw a second image, upside down and ten times as bright, and its arrays."""
    first = report.explanations[0].volume
    other = first.model_copy(update={"series_key": "other", "modality": "MR", "unit": "a.u."})
    both = change(report, further=(other,), image_names=("t2", "t1"))
    second = (10 * arrays.volume[:, ::-1]).astype(np.float32)
    return both.model_copy(update={"caveats": compute_caveats(both.explanations)}), dataclasses.replace(arrays, further=(second,))


def pixels(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("L"))


def test_images_are_called_by_what_the_model_calls_them(two, report, change):
    assert [in_each(name)["en"] for name in names_of(two[0].explanations)] == ["t2", "t1"]
    assert names_of(report.explanations) == []
    unnamed = change(report, further=images_of(two[0].explanations)[1:])
    assert [in_each(name) for name in names_of(unnamed.explanations)] == [
        {"en": "image 1", "zh": "图像 1"},
        {"en": "image 2", "zh": "图像 2"},
    ]


def test_each_image_has_levels_and_windows_of_its_own(two):
    report, arrays = two
    first, second = greys_of(report, 0, arrays.volume), greys_of(report, 1, arrays.further[0])
    assert first.windows[0][1:] == report.window
    assert second.windows[0][1:] == window_of(report.explanations, arrays.further[0])
    standardised = tuple(one.model_copy(update={"window": None}) for one in report.explanations)
    low, high = window_of(standardised, arrays.further[0])
    assert (low, high) == pytest.approx(np.percentile(arrays.further[0], (1, 99)))
    of_standardised = greys_of(report.model_copy(update={"explanations": standardised}), 1, arrays.further[0])
    assert of_standardised.windows[0][1:] == (low, high) != report.window
    assert second.payload()["windows"][0]["high"] == second.windows[0][2]


def test_the_page_holds_the_slices_of_every_image_in_every_plane(two):
    report, arrays = two
    payload = page_data(report, arrays, None, MOST_BYTES).payload
    (second,) = payload["further"]
    levels = greys_of(report, 1, arrays.further[0]).levels
    for place in (0, 5, 11):
        assert np.array_equal(pixels(second["pictures"]["axial"][place]), levels.encode(arrays.further[0][place]))
    assert {plane: len(own) for plane, own in second["pictures"].items()} == {plane: len(own) for plane, own in payload["pictures"].items()}
    assert page_data(report, dataclasses.replace(arrays, further=()), None, MOST_BYTES).payload["further"] == []


def test_a_page_that_is_full_holds_all_images_less_finely(two):
    report, arrays = two
    alone = page_data(report, dataclasses.replace(arrays, further=()), None, MOST_BYTES)
    room = int(1.6 * len(json.dumps(alone.payload)))
    assert page_data(report, dataclasses.replace(arrays, further=()), None, room).quality == alone.quality
    both = page_data(report, arrays, None, room)
    assert both.quality != alone.quality
    assert len(both.payload["further"][0]["pictures"]["axial"]) == len(arrays.volume)


def test_the_file_of_a_study_holds_every_image(two, tmp_path):
    report, arrays = two
    found = open_study_file(write_study_file(tmp_path / NAME, report, arrays))
    assert found.images == 2
    assert np.abs(found.volume(1) - arrays.further[0]).max() < 0.1
    assert np.abs(found.volume() - arrays.volume).max() < 0.01
    table = found.table(lambda values: np.clip(values / 10, 0, 255).astype(np.uint8), 1)
    shaded = table[found.codes(0, 4, 1).view(np.uint16)]
    assert np.abs(shaded.astype(int) - np.clip(arrays.further[0][4] / 10, 0, 255)).max() <= 1.1
    assert found.sample(1).max() > 5 * found.sample().max()


def test_a_key_or_the_list_shows_another_image_in_its_own_windows(two, open_page, report, arrays):
    page = open_page(*two)
    source = lambda: page.locator(".pane[data-role=plain] .base").get_attribute("src")  # noqa: E731
    first, window = source(), page.locator("#window-now").inner_text()
    assert page.locator("#image").is_visible()
    assert page.locator("#image option").all_inner_texts() == ["t2", "t1"]
    page.keyboard.press("i")
    assert page.locator("#image").input_value() == "1"
    second = source()
    assert second != first
    assert page.evaluate("medkd.image() === medkd.data.further[0]")
    assert page.locator("#preset option").count() == len(page.evaluate("medkd.data.further[0].windows"))
    page.keyboard.press("2")
    assert page.locator("#window-now").inner_text() != window
    page.check("input[value=present]")
    page.click("#lock")
    assert page.evaluate("medkd.state.image") == 1, "the own read changes nothing of what is looked at"
    assert page.locator(".pane[data-role=student] svg path").count() > 0
    page.locator("#image").select_option("0")
    page.locator("#slice").focus()
    page.keyboard.press("i")
    page.keyboard.press("i")
    assert page.evaluate("medkd.state.image") == 0
    assert page.locator("#window-now").inner_text() == window
    page.click("label[for=language-zh]")
    page.keyboard.press("i")
    assert page.locator("#preset option").first.inner_text().startswith("1 报告窗")
    assert page.problems == []


def test_a_page_of_one_image_has_no_list_and_the_key_does_nothing(open_page, report, arrays):
    page = open_page(report, arrays)
    assert page.locator("#image").is_hidden()
    page.keyboard.press("2")
    window = page.locator("#window-now").inner_text()
    page.keyboard.press("i")
    assert page.locator("#window-now").inner_text() == window
