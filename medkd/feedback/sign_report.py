"""A structured report that a reader accepted, as a new DICOM object that says so: the one before stays as it is, and unverified."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import UID

from data_contracts import (
    DataError,
    Feedback,
    FeedbackEntry,
    FeedbackError,
    ResultSet,
    ReviewReport,
    load_record,
)
from data_contracts.private import private_folder
from medkd.feedback.acceptance import accepting, require_agreement
from medkd.results.certify import certify
from medkd.results.common import Identity, save
from medkd.results.readers import require_readers
from medkd.results.write_results import RECORD
from medkd.storage.store import sha256_file

#: Who answers for readers under pseudonyms: only whoever keeps the accounts knows who they are.
ORGANIZATION = "Readers of medkd feedback, by pseudonym"


def sign_report(results: Path, report: ReviewReport, entries: Iterable[FeedbackEntry], digest: str, out: Path) -> Path:
    """Write the structured report of a result set as verified by a reader who accepted it, once dciodvfy finds no error in it.

    The new object names the old one as its predecessor, the reader by pseudonym, and when the judgement was kept. Written again it is the same object.

    Args:
        results: folder of a published result set.
        report: that the reader judged; one of its explanations is the set's.
        entries: of the feedback log.
        digest: of the entry that accepts.
        out: file to write.

    Raises:
        FeedbackError: ``SR_NOT_ACCEPTED`` with what stands against it, ``SR_OF_ANOTHER`` where entry, report and set are not of one explanation.
        DataError: ``RESULTS_ALTERED`` where the set's report is not as it was published, ``RESULT_INVALID`` where dciodvfy finds an error.
        MissingDependencyError: ``RESULT_READERS``.
    """
    require_readers()
    entry = accepting(report, entries, digest)
    found = load_record(results / RECORD, ResultSet)
    explained = next((one for one in report.explanations if one.digest() == found.explanation), None)
    if explained is None:
        raise FeedbackError(
            "SR_OF_ANOTHER", f"expected a result set of an explanation of report {report.digest()[:12]}, {results} is of another one"
        )
    require_agreement(entry, explained)
    source = next((one for one in found.objects if one.kind == "report"), None)
    if source is None or not (results / source.file).is_file() or sha256_file(results / source.file) != source.sha256:
        raise DataError(
            "RESULTS_ALTERED",
            f"expected the structured report of {results} as it was published, it is missing or differs; publish the set again",
        )
    written = verified(pydicom.dcmread(results / source.file), found.explanation, entry)
    with tempfile.TemporaryDirectory(prefix=".signed-", dir=private_folder(out.parent)) as folder:
        certified = save(written, Path(folder) / out.name)
        certify(certified)
        certified.rename(out)
    return out


def verified(unverified: Dataset, explanation: str, entry: FeedbackEntry) -> Dataset:
    """Return a structured report as a reader verified it: a copy that names its predecessor (PS3.3 C.17.2).

    Args:
        unverified: the report; it is not changed.
        explanation: digest of the explanation that it is of.
        entry: of the judgement that accepts it.
    """
    written = copy.deepcopy(unverified)
    said, at = entry.record, entry.at
    if not isinstance(said, Feedback):
        raise FeedbackError("SR_NOT_ACCEPTED", f"expected a judgement, entry {entry.index} is a {entry.record.SCHEMA}")
    uid = UID(
        Identity(explanation, str(unverified.StudyInstanceUID)).uid("report", "verified", str(unverified.SOPInstanceUID), entry.digest())
    )
    written.SOPInstanceUID = written.file_meta.MediaStorageSOPInstanceUID = uid
    written.InstanceNumber = int(unverified.InstanceNumber) + 1
    date, time = at[:10].replace("-", ""), at[11:19].replace(":", "")
    written.ContentDate, written.ContentTime = date, time
    for keyword, value in (("InstanceCreationDate", date), ("InstanceCreationTime", time)):
        if keyword in written:
            setattr(written, keyword, value)
    written.CompletionFlag, written.VerificationFlag = "COMPLETE", "VERIFIED"
    written.VerifyingObserverSequence = DicomSequence([_observer(said, f"{date}{time}+0000")])
    written.PredecessorDocumentsSequence = DicomSequence([_reference(unverified)])
    return written


def _observer(said: Feedback, at: str) -> Dataset:
    observer = Dataset()
    observer.VerifyingObserverName = said.reviewer_key[:64]
    observer.VerifyingOrganization = ORGANIZATION
    observer.VerificationDateTime = at
    observer.VerifyingObserverIdentificationCodeSequence = DicomSequence([])  # a code would name the person
    return observer


def _reference(document: Dataset) -> Dataset:
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = document.SOPClassUID, document.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedSOPSequence = document.SeriesInstanceUID, DicomSequence([instance])
    study.StudyInstanceUID, study.ReferencedSeriesSequence = document.StudyInstanceUID, DicomSequence([series])
    return study
