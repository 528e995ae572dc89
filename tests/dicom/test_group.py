"""Slices that may share a volume are grouped, others are named by what is odd about them."""

from __future__ import annotations

import pydicom
import pytest

from data_contracts import IngestCode, Outcome
from medkd.dicom.group import group_slices
from medkd.dicom.read_header import read_file
from medkd.dicom.slices import slices_of
from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import VARIANTS
from tests.dicom.ingesting import ingest_folder
from tests.dicom.invented import slice_at
from tests.dicom.stacks import stack
from tests.dicom.voxels import ingested, offsets


@pytest.fixture
def change(tmp_path):
    """Return a maker: a case whose files are changed one by one; gives the folder."""

    def make(edit, case="regular"):
        paths = write_case(tmp_path / "case", case, VARIANTS[0])
        datasets = sorted(((pydicom.dcmread(path), path) for path in paths), key=lambda pair: float(pair[0].ImagePositionPatient[2]))
        for index, (dataset, path) in enumerate(datasets):
            edit(index, dataset)
            dataset.save_as(path)
        return tmp_path / "case"

    return make


def outcome(folder):
    report = ingest_folder(folder, folder.parent / "store", secret=b"k")
    return report.codes(), len(report.series), report.count(Outcome.ACCEPTED)


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (lambda d: setattr(d, "ImageOrientationPatient", [0, 1, 0, 0, 0, 1]), "MIXED_ORIENTATION"),
        (lambda d: setattr(d, "PixelSpacing", [1.5, 1.3]), "MIXED_SPACING"),
        (lambda d: (setattr(d, "Rows", 17), setattr(d, "Columns", 76)), "MIXED_MATRIX"),
    ],
)
def test_an_odd_slice_is_named_by_what_is_odd_and_its_gap_by_what_is_missing(change, edit, code):
    codes, volumes, _ = outcome(change(lambda index, dataset: edit(dataset) if index == 5 else None))
    assert codes == {code: 1, "MISSING_SLICES": 13}
    assert volumes == 0


def test_an_odd_slice_at_the_end_costs_itself_alone(change):
    codes, volumes, accepted = outcome(change(lambda i, d: setattr(d, "PixelSpacing", [1.5, 1.3]) if i == 13 else None))
    assert (codes, volumes, accepted) == ({"MIXED_SPACING": 1}, 1, 13)


def test_orientations_that_differ_by_rounding_are_one(change):
    """Half of the slices say 0.70710678, the other half 0.7071: the same direction on both sides of a rounding edge."""

    def edit(index, dataset):
        value = "0.70705" if index % 2 else "0.707049"
        dataset.ImageOrientationPatient = [value, "0.70710678", 0, "-0.70710678", value, 0]

    paths = sorted(change(edit).iterdir())
    slices = [item for path in paths for item in slices_of(read_file(path, path.name))]
    assert [len(group.slices) for group in group_slices(slices)] == [14]


@pytest.mark.parametrize(
    ("keyword", "values"),
    [("EchoTime", (4.6, 2.3)), ("TemporalPositionIdentifier", (1, 2)), ("TriggerTime", (0, 40)), ("AcquisitionNumber", (1, 2))],
)
def test_slices_at_one_position_are_told_apart_by_what_the_header_says(change, tmp_path, keyword, values):
    def edit(index, dataset):
        for name in ("TemporalPositionIdentifier", "AcquisitionNumber", "AcquisitionTime", "EchoTime", "TriggerTime"):
            if name in dataset:
                del dataset[name]
        time = int(dataset.pixel_array.mean() > means[float(dataset.ImagePositionPatient[2])])
        setattr(dataset, keyword, values[time])

    paths = write_case(tmp_path / "probe", "two_time_points", VARIANTS[0])
    places: dict[float, list[float]] = {}
    for path in paths:
        dataset = pydicom.dcmread(path)
        places.setdefault(float(dataset.ImagePositionPatient[2]), []).append(dataset.pixel_array.mean())
    means = {place: sum(pair) / 2 for place, pair in places.items()}
    codes, volumes, accepted = outcome(change(edit, case="two_time_points"))
    assert (codes, volumes, accepted) == ({}, 2, 28)


def test_an_attribute_that_only_some_slices_carry_tells_nothing_apart(change):
    def edit(_, dataset):
        first = dataset.TemporalPositionIdentifier == 1
        for name in ("TemporalPositionIdentifier", "AcquisitionNumber", "AcquisitionTime"):
            del dataset[name]
        if first:
            dataset.EchoTime = 4.6

    assert outcome(change(edit, case="two_time_points")) == ({"TEMPORAL_STACK": 28}, 0, 0)


def test_time_points_that_nothing_tells_apart_are_refused(change):
    def edit(_, dataset):
        for name in ("TemporalPositionIdentifier", "AcquisitionNumber", "AcquisitionTime"):
            del dataset[name]

    assert outcome(change(edit, case="two_time_points")) == ({"TEMPORAL_STACK": 28}, 0, 0)


def test_a_time_of_its_own_for_every_slice_splits_nothing(change):
    def edit(index, dataset):
        dataset.AcquisitionTime = dataset.ContentTime = f"1000{index:02d}"

    assert outcome(change(edit)) == ({}, 1, 14)


def test_a_frame_of_reference_of_its_own_is_a_volume_of_its_own(change):
    def edit(index, dataset):
        if index >= 7:
            dataset.FrameOfReferenceUID = "1.2.3"

    codes, volumes, accepted = outcome(change(edit))
    assert (codes, volumes, accepted) == ({}, 2, 14)


def test_an_enhanced_object_without_its_functional_groups_is_refused(change, tmp_path):
    def edit(_, dataset):
        del dataset.PerFrameFunctionalGroupsSequence

    path = write_case(tmp_path / "e", "enhanced", VARIANTS[0])[0]
    dataset = pydicom.dcmread(path)
    edit(0, dataset)
    dataset.save_as(path)
    assert outcome(tmp_path / "e")[0] == {"ENHANCED_UNSUPPORTED": 1}


def test_two_time_points_in_one_enhanced_object_are_two_volumes(tmp_path):
    from medkd.phantom.dicom_faults import CASES, FaultyCase
    from medkd.phantom.scan_faults import lay_two_times, make_enhanced

    CASES["enhanced_times"] = FaultyCase(lay_two_times, (make_enhanced,))
    try:
        write_case(tmp_path / "e", "enhanced_times", VARIANTS[1])
        assert outcome(tmp_path / "e") == ({}, 2, 1)
    finally:
        del CASES["enhanced_times"]


def test_pixels_of_two_patients_that_are_the_same_are_both_refused(tmp_path):
    for patient in (1, 2):
        write_case(tmp_path / "both" / str(patient), "regular", VARIANTS[0], seed=patient)
    codes, volumes, _ = outcome(tmp_path / "both")
    assert (codes, volumes) == ({IngestCode.PIXEL_IDENTICAL_ACROSS_PATIENTS.value: 28}, 0)


@pytest.mark.parametrize("shown", ["P", "R"])
def test_another_image_type_is_another_volume_and_said(tmp_path, shown):
    def label(dataset, n):
        dataset.Modality, dataset.ImageType = "MR", ["ORIGINAL", "PRIMARY", ("M", shown)[n], "ND"]

    report, volumes = ingested(stack(tmp_path / "in", 2, label))
    assert offsets(volumes) == [0, 1]
    assert len({line.words for line in report.series}) == 2


@pytest.mark.parametrize(
    ("values", "groups"),
    [
        ({}, 1),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, 1]}, 2),
        ({"ImageOrientationPatient": [1, 0, 0.0005, 0, 1, 0]}, 1),
        ({"PixelSpacing": [1.5, 1.3]}, 2),
        ({"Rows": 5}, 2),
        ({"FrameOfReferenceUID": "1.3.9"}, 2),
        ({"PatientID": "P2"}, 2),
        ({"RescaleType": "MGML"}, 2),
        ({"AcquisitionTime": "101112"}, 1),
    ],
)
def test_slices_share_a_group_where_they_may_share_a_volume(values, groups):
    assert len(group_slices([slice_at(0), slice_at(2), slice_at(4, **values)])) == groups


def test_a_few_slices_say_in_what_they_differ_from_a_volume_of_their_series():
    stack = [slice_at(z) for z in (0, 2, 4)]
    (_, lone) = group_slices([*stack, slice_at(6, PixelSpacing=[1.5, 1.3])])
    assert lone.lone is IngestCode.MIXED_SPACING
