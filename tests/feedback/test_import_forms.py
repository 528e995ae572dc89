"""Saved forms in the log: each by itself, none twice, and refused ones named with their reasons."""

from __future__ import annotations

import json

import numpy as np
import pytest

from data_contracts import CorrectedMask, FeedbackError, FindingVerdict, SourceError
from medkd.feedback.import_forms import forms_in, import_forms, open_log, read_form, reports_in
from medkd.feedback.keep import Reviewer, keep_form, keep_own_read
from medkd.feedback.log import LINES, FeedbackLog
from medkd.volumes.voxel_masks import mask_of


@pytest.fixture
def saved(tmp_path):
    """Return what saves forms as pages do, in a folder."""
    folder = tmp_path / "forms"
    folder.mkdir()

    def save(name, form):
        (folder / name).write_text(json.dumps(form.model_dump(mode="json"), indent=1))
        return folder / name

    return save


@pytest.fixture
def take(log, report, reader, tmp_path):
    """Return what imports the folder of saved forms."""
    return lambda **options: import_forms(log, forms_in(tmp_path / "forms"), {report.digest(): report}, reader, **options)


def test_a_folder_of_forms_is_taken_in_once(take, log, saved, make_form):
    saved("a.json", make_form(1))
    first = take()
    assert [name for name, _ in first.kept] == ["a.json"]
    assert (first.known, first.refused) == ((), ())
    again = take()
    assert (again.kept, again.known) == ((), first.kept)
    assert len(log) == 2


def test_an_imported_form_is_the_record_that_a_server_keeps(take, log, saved, make_form, report, reader, tmp_path):
    saved("a.json", make_form(1, comment="The map lies on the rib."))
    take()
    served = FeedbackLog(tmp_path / "served")
    keep_own_read(served, report, make_form().own_read, reader)
    keep_form(served, report, make_form(1, comment="The map lies on the rib."), reader)
    for offline, online in zip(log.entries(), served.entries(), strict=True):
        changing = {"at", "previous", "record"}
        assert offline.model_dump(exclude=changing) == online.model_dump(exclude=changing)
        assert offline.record.model_dump(exclude={"own_read"}) == online.record.model_dump(exclude={"own_read"})


def test_what_is_refused_is_named_and_stops_nothing(take, log, saved, make_form, tmp_path):
    saved("a.json", make_form(1, comment="Discussed with Dr. Miller."))
    saved("b.json", make_form(2, report="e" * 64))
    saved("c.json", make_form(3))
    (tmp_path / "forms" / "d.json").write_text("no JSON")
    (tmp_path / "forms" / "e.json").write_text('{"schema_version": "feedback_form/1", "comment": "' + "Jane Doe " * 300 + '"}')
    (tmp_path / "forms" / "f.json").write_text('{"schema_version": "review/4"}')
    found = take()
    assert [name for name, _ in found.kept] == ["c.json"]
    assert [(one.file, one.code) for one in found.refused] == [
        ("a.json", "IDENTIFIER_IN_TEXT"),
        ("b.json", "FEEDBACK_REPORT"),
        ("d.json", "CONTRACT_UNREADABLE"),
        ("e.json", "FORM_INVALID"),
        ("f.json", "CONTRACT_VERSION"),
    ]
    said = " ".join(one.reason for one in found.refused)
    assert "Miller" not in said
    assert "Jane" not in said
    assert len(log) == 2


def test_a_second_form_on_a_report_supersedes_only_where_that_is_asked(take, log, saved, make_form, report, reader):
    saved("a.json", make_form(1))
    take()
    saved("b.json", make_form(2, decision="reject"))
    assert [one.code for one in take().refused] == ["FEEDBACK_GIVEN"]
    corrected = take(correct=True)
    assert [name for name, _ in corrected.kept] == ["b.json"]
    assert [name for name, _ in corrected.known] == ["a.json"]
    assert log.latest(reader.key, report.volume.study_key).record.decision == "reject"
    assert len(take().known) == 2  # again, without being asked to correct anything
    assert len(log) == 3


def test_masks_from_a_viewer_are_added_to_the_form(take, saved, make_form, log):
    rejected = (FindingVerdict(finding="lesion-1", prediction="agree", explanation="rejected"), *make_form().verdicts[1:])
    saved("a.json", make_form(1, verdicts=rejected))
    voxels = np.zeros((4, 6, 8), bool)
    voxels[1, 2, 3:6] = True
    mask = CorrectedMask(meaning="forbidden", voxels=mask_of(voxels), source="dicom_seg")
    take(masks={"lesion-1": (mask,)})
    assert log.entries()[1].record.verdicts[0].masks == (mask,)


def test_an_altered_log_is_no_form_s_fault(log, saved, make_form, own_read, report, reader):
    saved("a.json", make_form(1))
    log.append(own_read)
    path = log.folder / LINES
    path.write_bytes(path.read_bytes().replace(b"present", b"absent_"))
    opened = FeedbackLog(log.folder)
    with pytest.raises(FeedbackError, match="entry 0 "):
        import_forms(opened, forms_in(log.folder.parent / "forms"), {report.digest(): report}, reader)


def test_another_reader_s_form_under_the_same_id_is_refused(take, log, saved, make_form, report):
    saved("a.json", make_form(1))
    take()
    other = import_forms(log, forms_in(log.folder.parent / "forms"), {report.digest(): report}, Reviewer("r2", "radiologist"))
    assert [one.code for one in other.refused] == ["FEEDBACK_FORM_TAKEN"]
    assert len(log) == 2


def test_places_without_logs_forms_or_reports_are_said(tmp_path):
    for call in (open_log, forms_in, reports_in):
        with pytest.raises(SourceError, match=r"there (is|are) none"):
            call(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_reports_are_found_by_their_digests(report, tmp_path):
    report.write(tmp_path / "s1" / "report.json")
    assert list(reports_in(tmp_path)) == list(reports_in(tmp_path / "s1" / "report.json")) == [report.digest()]


def test_a_form_that_nobody_drew_is_too_large(tmp_path):
    with (tmp_path / "big.json").open("wb") as stream:
        stream.truncate(65 * 2**20)
    with pytest.raises(FeedbackError, match="at most 67108864 bytes"):
        read_form(tmp_path / "big.json")
