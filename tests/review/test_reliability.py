"""The block on reliability: what the calibration's record holds, drawn and said, and how stable the maps are."""

from __future__ import annotations

import re

import pytest

from data_contracts import Calibration, ConformalBound, Estimate, MeasureValue, ReliabilityBin, ReviewReport, read_record
from medkd.review.compose_report import compose_report
from medkd.review.reliability import SIDE, diagrams_of, stability_of
from medkd.review.render_html import render_html
from tests.review.conftest import explained
from tests.review.language import in_language, visible


def calibration_of(report):
    """Return a calibration of the asked version with a bin each before and after."""
    return Calibration(
        weights_digest=report.explanations[0].model.weights_digest,
        cohort_digest="0" * 64,
        subset="validation",
        method="temperature",
        temperature=1.5,
        scales=(1.0, 1.0),
        biases=(0.0, 0.0),
        patients=40,
        cases=80,
        samples=80,
        ece_before=Estimate(mean=0.2, low=0.1, high=0.3, n=40),
        ece_after=Estimate(mean=0.05, low=0.01, high=0.1, n=40),
        bins_before=(ReliabilityBin(confidence=0.9, accuracy=0.7, count=20), ReliabilityBin(confidence=0.6, accuracy=0.5, count=5)),
        bins_after=(ReliabilityBin(confidence=0.75, accuracy=0.7, count=20),),
        bound=ConformalBound(alpha=0.1, unit="lesion", patients=40, units=60, threshold=0.3, missed=0.05, false_positives=0.02),
    )


def test_a_bin_lies_at_its_confidence_and_accuracy_and_is_as_large_as_it_is_full(report):
    (found,) = diagrams_of(report.model_copy(update={"calibrations": (calibration_of(report),)}))
    (first, second), (after,) = found.before, found.after
    assert first[:2] == (0.9 * SIDE, pytest.approx(0.3 * SIDE))
    assert after[:2] == (0.75 * SIDE, pytest.approx(0.3 * SIDE))
    assert second[2] == pytest.approx(first[2] / 2, abs=0.1)


def test_the_page_draws_and_says_it_in_both_languages(report, arrays):
    page = render_html(report.model_copy(update={"calibrations": (calibration_of(report),)}), arrays)
    block = page[page.index('id="reliability"') :]
    assert re.search(r'<circle class="bins after"[^>]* cx="150.0" cy="60.0"', block)
    english, chinese = (visible(in_language(block, language)) for language in ("en", "zh"))
    assert "expected calibration error 0.200 [0.100, 0.300] before, 0.050 [0.010, 0.100] after" in english
    assert "at most 10% of a patient&#39;s lesions" in english
    assert "40 名验证集患者" in chinese
    plain = visible(in_language(render_html(report, arrays), "en"))
    assert "No calibration of the models is known." in plain


def test_only_calibrations_of_asked_versions_become_part_of_a_report(report, arrays):
    own = calibration_of(report)
    other = own.model_copy(update={"weights_digest": "f" * 64})
    assert compose_report(report.explanations, arrays, (other, own)).calibrations == (own,)
    without = compose_report(report.explanations, arrays)
    assert b"calibrations" not in without.canonical_json()
    kept = compose_report(report.explanations, arrays, (own,))
    assert read_record(kept.canonical_json(), ReviewReport) == kept


def test_stability_is_that_of_the_worst_map(report):
    assert stability_of(report) == []
    one = report.explanations[0]
    student = next(ref for ref in one.maps if ref.model_role == "student")
    maps = tuple(
        student.model_copy(update={"measures": (MeasureValue(name="max_sensitivity", value=value, higher_is_better=False),)})
        for value in (0.2, 0.7, None)
    )
    ((model, explainer, said, value),) = stability_of(explained(report, maps=maps))
    assert (model, explainer, said.key, value) == (one.model.name, "grad_cam", "stability.max_sensitivity", "0.70")
