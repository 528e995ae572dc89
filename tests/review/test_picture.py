from __future__ import annotations

import io

import numpy as np
from PIL import Image

from medkd.review.picture import _GAP, _TOP, _ZOOM, render_picture
from medkd.review.shown import StudyArrays


def test_the_picture_is_a_png_and_the_same_report_gives_the_same_bytes(report, arrays):
    first, second = render_picture(report, arrays), render_picture(report, arrays)
    assert first == second
    assert Image.open(io.BytesIO(first)).width > 900


def test_a_study_without_a_finding_has_a_picture_too(nothing_found, arrays):
    assert Image.open(io.BytesIO(render_picture(nothing_found, arrays))).format == "PNG"


def pixels_of(report, arrays):
    return np.asarray(Image.open(io.BytesIO(render_picture(report, arrays)))).astype(int)


def test_a_map_that_failed_is_pale_and_has_its_mark_and_the_key_slice_has_none(report, arrays, change):
    plain = pixels_of(report, arrays)
    marked = pixels_of(change(report, failed=("randomisation",)), arrays)
    left = _GAP + 48 * _ZOOM + _GAP  # the student's map is the second of the pictures, each 48 columns wide
    assert (plain[:, :left] == marked[:, :left]).all()
    assert tuple(marked[_TOP + 1, left + 1]) == (90, 12, 16)
    inside = np.s_[_TOP + 30 : _TOP + 40 * _ZOOM, left : left + 48 * _ZOOM]
    assert np.ptp(marked[inside], axis=-1).mean() < 0.7 * np.ptp(plain[inside], axis=-1).mean()


def test_a_finding_of_the_student_alone_is_labelled_on_the_key_slice(report, arrays, change):
    def corner(share):
        return tuple(pixels_of(change(report, lesion={"share_in_teacher": share}), arrays)[_TOP + 1, _GAP + 1])

    assert corner(0.0) == (90, 12, 16)
    assert corner(0.5) == corner(None) != (90, 12, 16)


def test_a_chinese_picture_has_other_words_and_the_same_slices(report, arrays, chinese_font):
    english = np.asarray(Image.open(io.BytesIO(render_picture(report, arrays))).convert("RGB"))
    chinese = np.asarray(Image.open(io.BytesIO(render_picture(report, arrays, "zh"))).convert("RGB"))
    assert english.shape == chinese.shape
    slices = np.s_[_TOP : _TOP + 40 * _ZOOM]
    assert (english[slices] == chinese[slices]).all()
    assert (english[:_TOP] != chinese[:_TOP]).any()


def test_what_is_no_number_is_drawn_as_nothing(report, arrays):
    kept = {
        name: np.where(np.arange(48) < 15, np.nan, values) if name.startswith("map/") else values
        for name, values in arrays.explained[0].items()
    }
    assert render_picture(report, StudyArrays(arrays.volume, (kept,), arrays.label))[:4] == b"\x89PNG"
