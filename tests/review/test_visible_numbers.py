"""Every number that a page shows is in its record, rounded as it is shown; what is not comes from a short list."""

from __future__ import annotations

import html
import json
import re

import numpy as np
import pytest

from medkd.review.caveats import INSIDE_GAP, LOW_INSIDE, OUTSIDE_MILD, SMALL_ML, SMALL_MM, compute_caveats
from medkd.review.render_html import render_html
from tests.review.conftest import explained
from tests.review.language import in_language, visible
from tests.review.test_reliability import calibration_of
from tests.review.training import compared

NUMBER = re.compile(r"(?<![\w.])[-+−]?\d+(?:\.\d+)?", re.ASCII)
#: Bounds of caveats, windows and keys by their number, and the grid of the axes of a diagram.
KNOWN = {0, 1, 2, 3, 4, 5, 9, 10, 0.5, 0.8, 20, 0.9, SMALL_ML, SMALL_MM, 100 * LOW_INSIDE, 100 * INSIDE_GAP, 100 * OUTSIDE_MILD}


def numbers_of(value):
    """Yield every number of a JSON value, and the length of every list."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from numbers_of(key)
            yield from numbers_of(one)
    elif isinstance(value, list):
        yield float(len(value))
        for one in value:
            yield from numbers_of(one)
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int | float):
        yield float(value)
    else:
        yield from (float(one.replace("−", "-")) for one in NUMBER.findall(value))


def assert_known(text, report):
    """Assert that each number of a text is one of the record: itself, counted from 1, as a percentage, or a difference that the record defines."""
    record = json.loads(report.canonical_json())
    found = np.array(sorted(set(numbers_of(record))))
    changes = (
        []
        if report.prior is None
        else [value for one in report.prior.changes for value in (one.change_ml, one.change_mm) if value is not None]
    )
    known = np.concatenate([found, found + 1, 100 * found, np.array(changes), np.array(sorted(KNOWN), float)])
    unknown = []
    for shown in NUMBER.findall(text):
        digits = len(shown.partition(".")[2])
        if np.abs(known - float(shown.replace("−", "-"))).min() > 0.5 * 10.0**-digits + 1e-9:
            unknown.append(shown)
    assert not unknown, unknown


def shown_text(page, language):
    """Return what is read of a page: without digests, identifiers and what scripts and pictures hold."""
    page = in_language(page, language)
    page = re.sub(r"<code>.*?</code>|<svg.*?</svg>|<option.*?</option>", " ", page, flags=re.S)
    return html.unescape(visible(page))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_number_of_a_page_is_in_its_record(followed, arrays, prior, language):
    far = compared(followed, arrays, (40.0,) * 4, same_patient=1)
    caveats = compute_caveats(followed.explanations, far.similar)
    full = followed.model_copy(update={"caveats": caveats, "calibrations": (calibration_of(followed),), "similar": far.similar})
    assert_known(shown_text(render_html(full, arrays, prior), language), full)


def test_every_number_of_a_panels_page_is_in_its_record(of_a_panel):
    report, arrays = of_a_panel
    assert_known(shown_text(render_html(report, arrays), "en"), report)


def test_a_number_of_nowhere_is_found(report, arrays):
    page = render_html(explained(report, trained_on="MR, hippocampus"), arrays)
    with pytest.raises(AssertionError, match=r"37\.25"):
        assert_known(shown_text(page, "en") + " 37.25 ml", report)
