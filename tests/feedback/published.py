"""A report whose structured report is published: what can be signed."""

from __future__ import annotations

from pathlib import Path

import pydicom

from data_contracts import ResultObject, ResultSet, ReviewReport
from data_contracts.private import private_folder
from medkd.dicom.confidentiality.secret import pseudonym, site_secret
from medkd.dicom.write_seg import complete, write_seg
from medkd.explanation.artefact import read_explanation
from medkd.results.certify import certify
from medkd.results.common import Identity
from medkd.results.structured_report import write_report
from medkd.results.write_results import RECORD
from medkd.storage.store import sha256_file
from tests.results.explained import UIDS, explained_study


def published_report(folder: Path) -> tuple[ReviewReport, Path]:
    """Return the report of an explained study below a folder, and the folder of its published results; images go to ``dicom``, the report to ``report.json``."""
    kept, _, files = explained_study(folder)
    record, arrays = read_explanation(kept)
    frame = pseudonym(site_secret(), "frame", UIDS[2])  # as an ingestion of these images would call it
    record = record.model_copy(update={"volume": record.volume.model_copy(update={"frame_of_reference_key": frame})})
    images = [pydicom.dcmread(file) for file in files]
    complete(images)
    identity = Identity(record.digest(), str(images[0].StudyInstanceUID))
    tracking = {one.number: (one.tracking_id, identity.uid("finding", str(one.number))) for one in record.lesions}
    labels = arrays["segmentation/student"].numpy().astype("uint8")
    labels[8:] *= 2  # the two boxes, as segments of their own
    seg = pydicom.dcmread(write_seg(labels, {1: "bright 1", 2: "bright 2"}, images, "m", folder / "seg.dcm"), stop_before_pixels=True)
    results = private_folder(folder / "results")
    path = write_report(record, images, seg, tracking, identity, results / "measurements.dcm")
    header = pydicom.dcmread(path)
    written = ResultObject(
        kind="report",
        file=path.name,
        sha256=sha256_file(path),
        sop_class_uid=header.SOPClassUID,
        sop_instance_uid=header.SOPInstanceUID,
        about="measurements",
    )
    ResultSet(explanation=record.digest(), model=record.model, objects=(written,), certificate=(certify(path),)).write(results / RECORD)
    report = ReviewReport(explanations=(record,), window=(0.0, 1.0))
    report.write(folder / "report.json")
    return report, results
