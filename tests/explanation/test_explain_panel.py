from __future__ import annotations

import logging
from pathlib import Path

import pytest

from data_contracts import Entry, ReviewPanel, SanityReport, TaskKind, read_record
from medkd.explanation import explain_panel as module
from medkd.explanation.defaults import DEFAULT_EXPLAINERS
from medkd.explanation.explain_panel import explain_studies, panel_requests
from medkd.explanation.explain_study import Decided, StudyImages
from medkd.storage.workspace import local_workspace

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden" / "review_panel_3.json"


@pytest.fixture
def panel():
    return read_record(GOLDEN.read_bytes(), ReviewPanel)


def test_the_segmenter_and_the_classifier_are_asked_by_the_explainers_of_their_tasks(panel):
    assert [one.explainers for one in panel_requests(panel)] == [
        DEFAULT_EXPLAINERS[TaskKind.SEGMENTATION], DEFAULT_EXPLAINERS[TaskKind.CLASSIFICATION],
    ]  # fmt: skip


def test_explainers_are_asked_by_the_options_that_the_panel_gives_them(panel):
    named = (Entry(name="integrated_gradients", options={"steps": 4}),)
    own = panel.model_copy(update={"classification": panel.classification.model_copy(update={"explainers": named})})
    assert [one.explainers for one in panel_requests(own)] == [DEFAULT_EXPLAINERS[TaskKind.SEGMENTATION], named]


def test_a_series_that_cannot_be_read_is_refused_with_its_reason_and_the_others_go_on(panel, make_volume, tmp_path, monkeypatch, caplog):
    _, volume = make_volume([])
    monkeypatch.setattr(module, "_loaded", lambda *_: None)
    with caplog.at_level(logging.WARNING, "medkd"):
        found = explain_studies(local_workspace(tmp_path / "run"), (volume, volume), "studies", panel, panel_requests(panel))
    assert found.studies == ()
    assert [(one.series_key, one.code) for one in found.refused] == [("s1", "STORE_MISSING")] * 2
    assert "series s1 is not explained: STORE_MISSING" in caplog.text


def test_explainers_that_were_tested_on_the_cohort_are_not_tested_again(panel, monkeypatch):
    asked = {}
    monkeypatch.setattr(module, "explain_study", lambda images, *_, **named: asked.update(named, images=images))
    report = SanityReport(explainer="cam", checks=(), trusted=True)
    one = panel.classification.model_copy(update={"sanity_reports": (report,)})
    images = StudyImages(None, None, "what the segmenter marks")
    module._by(one, None, panel_requests(panel)[1], images)
    assert asked == {"images": images, "decided": Decided(sanity_reports={"cam": report})}
