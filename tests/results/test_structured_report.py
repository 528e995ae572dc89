from __future__ import annotations

import pydicom
import pytest

from data_contracts import ClassAnswer
from medkd.explanation.artefact import read_explanation
from medkd.results.certify import certify
from medkd.results.common import Identity, complete
from medkd.results.structured_report import SCHEME, first_map, write_report


def items(node, path=()):
    """Return every content item as (meanings of the names above it, item)."""
    name = node.ConceptNameCodeSequence[0].CodeMeaning if "ConceptNameCodeSequence" in node else ""
    yield (*path, name), node
    for child in node.get("ContentSequence", ()):
        yield from items(child, (*path, name))


def measured(report, name):
    return [
        (float(node.MeasuredValueSequence[0].NumericValue), node.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue)
        for path, node in items(report)
        if node.get("ValueType") == "NUM" and path[-1] == name
    ]


@pytest.fixture
def written(written_study):
    folder, found, place = written_study
    record, _ = read_explanation(folder)
    return record, found, pydicom.dcmread(place / "measurements.dcm")


def test_each_lesion_has_its_measurements_and_names_its_segment(written):
    record, found, report = written
    assert measured(report, "Volume") == [(pytest.approx(one.volume_ml, abs=1e-6), "mL") for one in record.lesions]
    assert measured(report, "Long axis") == [(pytest.approx(one.diameter_mm, abs=1e-6), "mm") for one in record.lesions]
    inside = [first_map(record, one.number).measure("relevance_mass_accuracy") for one in record.lesions]
    assert measured(report, "Share of the attribution inside the finding") == [(pytest.approx(value, abs=1e-6), "1") for value in inside]
    segments = [
        (node.ReferencedSOPSequence[0].ReferencedSOPInstanceUID, node.ReferencedSOPSequence[0].ReferencedSegmentNumber)
        for _, node in items(report)
        if node.get("ValueType") == "IMAGE" and "ReferencedSegmentNumber" in node.ReferencedSOPSequence[0]
    ]
    segmentation = next(one for one in found.objects if one.kind == "segmentation")
    assert segments == [(segmentation.sop_instance_uid, place) for place, _ in enumerate(record.lesions, 1)]


def test_it_says_that_nobody_has_verified_it_and_which_model_measured(written):
    record, _, report = written
    assert (report.CompletionFlag, report.VerificationFlag) == ("PARTIAL", "UNVERIFIED")
    names = {node.TextValue for path, node in items(report) if path[-1] == "Algorithm Name"}
    assert names == {record.model.name}
    assert SCHEME in {one.CodingSchemeDesignator for one in report.CodingSchemeIdentificationSequence}
    tests = {node.ConceptCodeSequence[0].CodeMeaning for path, node in items(report) if path[-1] == "Tests of the attribution"}
    failed = {first_map(record, one.number).method.explainer in record.failed_explainers for one in record.lesions}
    assert tests == {"Failed a test: not to be read" if each else "Failed none" for each in failed}


def test_an_answer_of_a_classifier_names_its_slices(study, tmp_path):
    folder, _, files = study()
    record, _ = read_explanation(folder)
    answer = ClassAnswer(number=1, class_name="malignant", probability=0.75, first_slice=2, last_slice=4, key_slice=3)
    asked = record.model_copy(update={"lesions": (), "answers": (answer,), "maps": ()})
    images = [pydicom.dcmread(file) for file in files]
    complete(images)
    path = write_report(asked, images, None, {1: ("answer-1", "2.25.1")}, Identity("e", "s"), tmp_path / "sr.dcm")
    report = pydicom.dcmread(path)
    assert measured(report, "Probability by the model") == [(0.75, "1")]
    named = [node.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for _, node in items(report) if node.get("ValueType") == "IMAGE"]
    assert named == [str(image.SOPInstanceUID) for image in images[2:5]]
    findings = {node.ConceptCodeSequence[0].CodeMeaning for path, node in items(report) if path[-1] == "Finding"}
    assert findings == {"malignant"}


def test_nothing_found_is_said_of_every_slice(study, tmp_path):
    folder, _, files = study()
    record, _ = read_explanation(folder)
    images = [pydicom.dcmread(file) for file in files]
    complete(images)
    asked = record.model_copy(update={"lesions": (), "maps": ()})
    path = write_report(asked, images, None, {}, Identity("e", "s"), tmp_path / "sr.dcm")
    report = pydicom.dcmread(path)
    assert measured(report, "Number of findings") == [(0.0, "1")]
    assert sum(node.get("ValueType") == "IMAGE" for _, node in items(report)) == len(files)
    assert certify(path).errors == 0
