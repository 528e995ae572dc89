"""axe-core finds nothing on a page, in either language, before the own read is locked and after; whole pages, with every rule."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from medkd.review.caveats import compute_caveats
from tests.review.test_reliability import calibration_of
from tests.review.training import compared

AXE = Path(sys.prefix) / "axe" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def axe():
    """Return axe-core's source, or skip."""
    if not AXE.is_file():
        pytest.skip("axe-core is missing: run `make setup` where npm is")
    return AXE.read_text(encoding="utf-8")


def violations(page, axe):
    """Return what axe finds, each with the elements it is found at."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{one['id']}: {[node['target'] for node in one['nodes']][:4]}" for one in found["violations"]]


@pytest.fixture
def full(followed, arrays):
    """Return a report with everything that a page may hold."""
    caveats = compute_caveats(followed.explanations)
    similar = compared(followed, arrays, same_patient=1).similar
    return followed.model_copy(update={"caveats": caveats, "calibrations": (calibration_of(followed),), "similar": similar})


@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.extended), "zh"])
def test_a_page_has_no_violation(open_page, full, arrays, prior, axe, language):
    page = open_page(full, arrays, prior=prior, address="#zh" if language == "zh" else "")
    assert violations(page, axe) == []
    page.check("input[value=present]")
    page.click("#lock")
    page.keyboard.press("h")
    page.click("#ruler")
    assert violations(page, axe) == []
    assert page.problems == []


@pytest.mark.extended
def test_a_phones_page_has_no_violation(open_page, of_a_panel, axe):
    page = open_page(*of_a_panel, viewport={"width": 390, "height": 844})
    page.check("input[value=present]")
    page.click("#lock")
    assert violations(page, axe) == []


def test_what_is_wrong_is_found(open_page, report, arrays, axe):
    page = open_page(report, arrays)
    page.evaluate("document.querySelector('.base').removeAttribute('alt')")
    assert any(one.startswith("image-alt") for one in violations(page, axe))
