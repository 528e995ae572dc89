from __future__ import annotations

import shutil

import pytest
from review_clients import one_report, write_studies

from data_contracts import Caveat
from medkd.review_server import studies
from medkd.review_server.studies import StudyIndex, priority_of


@pytest.fixture(autouse=True)
def look_at_once(monkeypatch):
    monkeypatch.setattr(studies, "LOOK_AGAIN_S", 0.0)


def test_studies_are_found_by_the_key_of_their_series(reports):
    index = StudyIndex(reports)
    assert list(index.all()) == ["series-000", "series-001", "series-002"]
    assert index.find("series-001").report.volume.study_key == "study-001"
    assert index.find("../series-001") is None


def test_what_is_added_changed_or_removed_is_seen(tmp_path):
    folder = write_studies(tmp_path / "reports", 1)
    index = StudyIndex(folder)
    first = index.find("series-000")
    assert index.find("series-000") is first, "an unchanged report is not read again"
    write_studies(folder, 2)
    assert len(index.all()) == 2
    report, _ = one_report(0)
    (folder / "series-000" / "report.json").write_bytes(report.model_copy(update={"window": (0.0, 1.0)}).canonical_json())
    assert index.find("series-000").digest != first.digest
    shutil.rmtree(folder / "series-001")
    assert list(index.all()) == ["series-000"]


def test_two_reports_of_a_series_have_keys_of_their_own(tmp_path):
    folder = write_studies(tmp_path / "reports", 1)
    report, _ = one_report(0)
    shutil.copytree(folder / "series-000", folder / "again")
    (folder / "again" / "report.json").write_bytes(report.model_copy(update={"window": (0.0, 1.0)}).canonical_json())
    keys = list(StudyIndex(folder).all())
    assert len(set(keys)) == 2
    assert all(key.startswith("series-000.") for key in keys)


def test_what_cannot_be_shown_says_why_and_what_is_no_report_is_left_out(tmp_path):
    folder = write_studies(tmp_path / "reports", 2)
    (folder / "series-000" / "study.safetensors").unlink()
    (folder / "other").mkdir()
    (folder / "other" / "report.json").write_text("{}")
    found = StudyIndex(folder).all()
    assert list(found) == ["series-000", "series-001"]
    assert found["series-000"].problem.startswith("STUDY_FILE")
    assert found["series-001"].problem == ""
    write_studies(tmp_path / "small", 1, shape=(4, 40, 48))
    shutil.copy(tmp_path / "small" / "series-000" / "study.safetensors", folder / "series-001" / "study.safetensors")
    assert "make the report again" in StudyIndex(folder).find("series-001").problem


def test_priority_follows_from_the_gravest_caveat_and_from_uncertainty():
    report, _ = one_report(0)
    calm = report.model_copy(update={"caveats": ()})
    mild = report.model_copy(update={"caveats": (Caveat(code="X", text="x", severity=2),)})
    grave = report.model_copy(update={"caveats": (Caveat(code="X", text="x", severity=3),)})
    one = report.explanations[0]
    alone = calm.model_copy(update={"explanations": (one.model_copy(update={"lesions": (one.lesions[0].model_copy(update={"share_in_teacher": 0.0}),)}),)})  # fmt: skip
    assert [priority_of(each)[0] for each in (grave, mild, calm, alone)] == [1, 2, 3, 2]
    assert priority_of(alone)[1] == 1.0
