from __future__ import annotations

import io

from PIL import Image

from medkd.review.picture import render_picture


def test_the_picture_is_a_png_and_the_same_report_gives_the_same_bytes(report, arrays):
    first, second = render_picture(report, arrays), render_picture(report, arrays)
    assert first == second
    assert Image.open(io.BytesIO(first)).width > 900


def test_a_study_without_a_finding_has_a_picture_too(nothing_found, arrays):
    assert Image.open(io.BytesIO(render_picture(nothing_found, arrays))).format == "PNG"
