"""A kept report made again, from the folder of a study's results."""

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import DataError, ReviewReport, load_record
from medkd.review import remake_report as module
from medkd.review.remake_report import open_report, remake_report
from medkd.review.render_html import render_html
from medkd.storage.store import write_bytes


@pytest.fixture
def kept(report, arrays, prior, tmp_path, monkeypatch):
    """Return the folders of a study's and of a prior study's results; what lies in their artefacts is given, not read."""
    studies = {"now": (report, arrays), "then": (prior.report, prior.arrays)}
    for name, (own, _) in studies.items():
        write_bytes(tmp_path / name / "report.json", own.canonical_json())
        for one in own.explanations:
            (tmp_path / name / "explanations" / one.digest()[:12]).mkdir(parents=True)
        (tmp_path / name / "store").mkdir()
    monkeypatch.setattr(module, "report_of", lambda places, _: studies[places[0].parents[1].name])
    return tmp_path / "now", tmp_path / "then"


def test_the_page_of_a_kept_report_is_the_same_again(kept, report, arrays, tmp_path):
    made = remake_report(kept[0], tmp_path / "out")
    assert made.page.read_text(encoding="utf-8") == render_html(report, arrays)
    assert load_record(tmp_path / "out" / "report.json", ReviewReport) == report
    assert not made.pdfs


def test_with_a_prior_study_the_record_says_what_changed(kept, followed, tmp_path):
    made = remake_report(kept[0], tmp_path / "out", prior=kept[1])
    assert made.report == followed
    assert load_record(tmp_path / "out" / "report.json", ReviewReport) == followed
    assert 'data-role="prior"' in made.page.read_text(encoding="utf-8")
    again = remake_report(kept[0], tmp_path / "out")
    assert again.report.prior is None


def test_nothing_is_written_where_the_prior_is_of_another_patient(kept, prior, tmp_path):
    one = prior.report.explanations[0]
    other = one.model_copy(update={"volume": one.volume.model_copy(update={"patient_key": "p9"})})
    write_bytes(kept[1] / "report.json", prior.report.model_copy(update={"explanations": (other,)}).canonical_json())
    (kept[1] / "explanations" / other.digest()[:12]).mkdir(parents=True)
    with pytest.raises(DataError, match="p9"):
        remake_report(kept[0], tmp_path / "out", prior=kept[1])
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_report_or_its_explanations_is_named(kept, tmp_path):
    with pytest.raises(DataError) as caught:
        open_report(tmp_path / "nowhere")
    assert caught.value.code == "NO_REPORT"
    (kept[0] / "store").rmdir()
    with pytest.raises(DataError, match="store is not there") as caught:
        open_report(kept[0])
    assert caught.value.code == "NO_EXPLANATIONS"
    assert np.asarray(open_report(kept[0], kept[1] / "store")[1].volume).shape == (12, 40, 48)
