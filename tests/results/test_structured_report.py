from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from data_contracts import ClassAnswer, Geometry, LesionFinding
from medkd.dicom.write_seg import complete, write_seg
from medkd.dicom.write_series import image_of_slice
from medkd.explanation.artefact import read_explanation
from medkd.inference.components import find_components
from medkd.results.certify import certify
from medkd.results.common import Identity
from medkd.results.structured_report import SCHEME, first_map, write_report
from medkd.volumes.orientation import Grid
from tests.results.explained import UIDS, explained_study
from tests.volumes.grids import orientations


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
    assert measured(report, "Maximum 3D diameter") == [(pytest.approx(one.diameter_mm, abs=1e-6), "mm") for one in record.lesions]
    assert measured(report, "Long axis") == [(pytest.approx(one.axes_mm[0], abs=1e-6), "mm") for one in record.lesions]
    assert measured(report, "Short axis") == [(pytest.approx(one.axes_mm[1], abs=1e-6), "mm") for one in record.lesions]
    assert all(one.axes_mm[1] - 1e-9 <= one.axes_mm[0] <= one.diameter_mm for one in record.lesions)
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


def sides_of(report):
    """Return the side that a report gives each finding, by its tracking identifier."""
    groups = [node for path, node in items(report) if path[-1] == "Measurement Group"]
    found = {}
    for group in groups:
        below = list(items(group))
        (name,) = [node.TextValue for path, node in below if path[-1] == "Tracking Identifier"]
        found[name] = [node.ConceptCodeSequence[0].CodeMeaning for path, node in below if path[-1] == "Laterality"]
    return found


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    folder, _, _ = explained_study(tmp_path_factory.mktemp("explained"))
    return read_explanation(folder)[0]


def some_extended(cases, step):
    """Return cases of which every step-th is always asked, and the others by the extended tests."""
    return [pytest.param(case, marks=[pytest.mark.extended] * (place % step != 0)) for place, case in enumerate(cases)]


@pytest.mark.parametrize("axes", some_extended(orientations(), 7))
def test_the_side_is_the_patients_in_all_48_orientations(explained, axes, tmp_path):
    """Boxes lie 60 mm to the patient's left, to the right and in the middle, whichever way slices, rows and columns run."""
    geometry = Geometry(
        shape=(9, 9, 9),
        affine_lps_mm=((*(20 * axes[0]), 7.0), (*(20 * axes[1]), -3.0), (*(20 * axes[2]), 11.0), (0, 0, 0, 1)),
        spacing_mm=(20.0, 20.0, 20.0),
        residual_mm=0.0,
    )
    middle = np.asarray(geometry.position_lps_mm(4, 4, 4))
    labels = np.zeros(geometry.shape, np.uint8)
    places = {"Left": middle + np.array((60, 0, 0)), "Right": middle - np.array((60, 0, 0)), "Midline": middle + np.array((0, 60, 0))}
    for value, place in enumerate(places.values(), 1):
        labels[tuple(np.rint(np.linalg.inv(axes) @ (place - geometry.position_lps_mm(0, 0, 0)) / 20).astype(int))] = value
    lesions = []
    for value in (1, 2, 3):
        ((lesion, _),) = find_components(labels == value, geometry, smallest=1)
        lesions.append(LesionFinding.model_validate({**lesion.model_dump(), "class_name": "bright", "tracking_id": f"lesion-{value}"}))
    volume = explained.volume.model_copy(update={"geometry": geometry})
    record = explained.model_copy(update={"volume": volume, "lesions": tuple(lesions), "maps": ()})
    grid = Grid(geometry.shape, np.asarray(geometry.affine_lps_mm))
    images = [image_of_slice(plane.astype(np.int16), grid, index, "CT") for index, plane in enumerate(labels)]
    for image in images:
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = UIDS
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    complete(images)
    tracking = {one.number: (one.tracking_id, f"2.25.{one.number}") for one in lesions}
    seg = pydicom.dcmread(write_seg(labels, {1: "a", 2: "b", 3: "c"}, images, "m", tmp_path / "seg.dcm"))
    path = write_report(record, images, seg, tracking, Identity("e", "s"), tmp_path / "sr.dcm")
    assert sides_of(pydicom.dcmread(path)) == {f"lesion-{value}": [side] for value, side in enumerate(places, 1)}


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
