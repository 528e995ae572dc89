"""A verified report is a new object that names the old one, and only of what a reader accepted."""

from __future__ import annotations

import shutil

import pydicom
import pytest

from data_contracts import (
    ControlCase,
    DataError,
    FeedbackError,
    FindingVerdict,
    OwnReadAnswer,
    VoxelMask,
)
from medkd.feedback.acceptance import status_of
from medkd.feedback.keep import Reviewer, findings_of, keep_form, keep_own_read
from medkd.feedback.log import FeedbackLog
from medkd.feedback.sign_report import sign_report
from medkd.results.readers import validate
from medkd.storage.store import sha256_file
from tests.feedback.published import published_report

OWN = OwnReadAnswer(answer="present", seconds=3.0)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Return the report of an explained study and the folder of its published results."""
    folder = tmp_path_factory.mktemp("published")
    return published_report(folder)


@pytest.fixture
def judged(log, published, make_form, reader):
    """Return what keeps a judgement of the published report, and its digest."""
    report, _ = published
    count = iter(range(1, 100))

    def keep(prediction="agree", **changes):
        if log.own_read(reader.key, report.digest()) is None:
            keep_own_read(log, report, OWN, reader)
        verdicts = tuple(
            FindingVerdict(finding=name, prediction=prediction, explanation="accepted" if name.startswith("lesion") else "not_judged")
            for name in findings_of(report)
        )
        fields = {"report": report.digest(), "study_key": report.volume.study_key, "verdicts": verdicts, "own_read": OWN, **changes}
        return keep_form(log, report, make_form(next(count), **fields), reader).digest()

    return keep


def test_what_was_accepted_is_a_new_object_that_names_the_old_one(log, judged, published, reader, tmp_path):
    report, results = published
    before = sha256_file(results / "measurements.dcm")
    digest = judged()
    out = sign_report(results, report, log.entries(), digest, tmp_path / "signed" / "verified.dcm")
    old, new = pydicom.dcmread(results / "measurements.dcm"), pydicom.dcmread(out)
    assert (new.CompletionFlag, new.VerificationFlag) == ("COMPLETE", "VERIFIED")
    observer = new.VerifyingObserverSequence[0]
    assert str(observer.VerifyingObserverName) == reader.key
    assert (
        observer.VerificationDateTime.strftime("%Y-%m-%dT%H:%M:%SZ") == log.entry(digest).at
        if hasattr(observer.VerificationDateTime, "strftime")
        else True
    )
    predecessor = new.PredecessorDocumentsSequence[0]
    assert predecessor.StudyInstanceUID == old.StudyInstanceUID
    named = predecessor.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert (named.ReferencedSOPClassUID, named.ReferencedSOPInstanceUID) == (old.SOPClassUID, old.SOPInstanceUID)
    assert new.SOPInstanceUID != old.SOPInstanceUID == pydicom.dcmread(results / "measurements.dcm").SOPInstanceUID
    assert new.ContentSequence == old.ContentSequence
    assert old.VerificationFlag == "UNVERIFIED"
    assert sha256_file(results / "measurements.dcm") == before
    assert validate(out) == (0, "")
    again = sign_report(results, report, log.entries(), digest, tmp_path / "again.dcm")
    assert again.read_bytes() == out.read_bytes()
    assert status_of(report, log.entries()) == "VERIFIED"


def refused(code, published, log, digest, tmp_path):
    report, results = published
    with pytest.raises(FeedbackError) as caught:
        sign_report(results, report, log.entries(), digest, tmp_path / "out" / "sr.dcm")
    assert caught.value.code == code
    assert not (tmp_path / "out").exists()
    assert status_of(report, log.entries()) == "UNVERIFIED"
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"decision": "reject"}, "'reject'"),
        ({"decision": "correct"}, "'correct'"),
        ({"prediction": "disagree"}, "'disagree' of lesion-1"),
        ({"prediction": "unsure"}, "'unsure' of lesion-1"),
        ({"missed": (VoxelMask(shape=(20, 24, 28), runs=((0, 1),)),)}, "missed"),
    ],
)
def test_what_was_not_accepted_is_not_signed(log, judged, published, tmp_path, changes, said):
    assert said in refused("SR_NOT_ACCEPTED", published, log, judged(**changes), tmp_path)


def test_what_was_superseded_is_not_signed(log, judged, published, tmp_path):
    first = judged()
    judged(decision="reject", supersedes=first)
    assert "superseded by entry 2" in refused("SR_NOT_ACCEPTED", published, log, first, tmp_path)


def test_a_report_that_was_wrong_on_purpose_is_not_signed(log, judged, published, reader, tmp_path):
    report, _ = published
    log.append(
        ControlCase(report=report.digest(), genuine="a" * 64, study_key=report.volume.study_key, kind="mirrored", reviewer_key=reader.key)
    )
    assert "wrong on purpose" in refused("SR_NOT_ACCEPTED", published, log, judged(), tmp_path)


def test_entry_report_and_set_are_of_one_explanation(log, judged, published, make_form, report, tmp_path):
    refused("SR_NOT_ACCEPTED", published, log, "0" * 64, tmp_path)
    other = keep_form(log, report, make_form(99), Reviewer("r2", "radiologist"), offline=True)
    refused("SR_OF_ANOTHER", published, log, other.digest(), tmp_path)
    away = FeedbackLog(tmp_path / "away")
    accepted = keep_form(away, report, make_form(), Reviewer("r3", "radiologist"), offline=True)
    with pytest.raises(FeedbackError, match="of another one"):
        sign_report(published[1], report, away.entries(), accepted.digest(), tmp_path / "x.dcm")


def test_a_set_that_was_altered_is_not_signed(log, judged, published, tmp_path):
    report, results = published
    digest = judged()
    copied = shutil.copytree(results, tmp_path / "copy")
    payload = bytearray((copied / "measurements.dcm").read_bytes())
    payload[-3] ^= 1
    (copied / "measurements.dcm").write_bytes(payload)
    with pytest.raises(DataError, match="as it was published"):
        sign_report(copied, report, log.entries(), digest, tmp_path / "x.dcm")
