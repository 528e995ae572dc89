"""What was acquired apart becomes volumes of its own, although no two images share a place."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from data_contracts import Action, IngestCode
from medkd.dicom.split_acquisitions import split_acquisitions
from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import hounsfield_at
from tests.dicom.invented import group_of, slice_at
from tests.dicom.stacks import CLASSIC, along, enhanced, of
from tests.dicom.voxels import ingested, offsets


@pytest.mark.parametrize("keyword", ["KVP", "ConvolutionKernel", "EchoTime", "FlipAngle"])
def test_halves_of_a_stack_that_were_acquired_differently_are_two_volumes(tmp_path, keyword):
    paths = write_case(tmp_path / "in", "regular")
    for path in paths:
        dataset = pydicom.dcmread(path)
        setattr(dataset, keyword, CLASSIC[keyword][int(along(dataset) > 50)])
        dataset.save_as(path)
    report, volumes = ingested(tmp_path / "in")
    assert (report.codes(), sorted(volume.geometry.shape[0] for volume, _ in volumes)) == ({}, [7, 7])


def test_a_slice_here_and_there_that_was_acquired_differently_is_flagged(tmp_path):
    for number, path in enumerate(sorted(write_case(tmp_path / "in", "regular"), key=lambda path: along(pydicom.dcmread(path)))):
        dataset = pydicom.dcmread(path)
        dataset.KVP = 80 if number in (3, 8, 9) else 120
        dataset.save_as(path)
    _, [(volume, _)] = ingested(tmp_path / "in")
    assert volume.flags == (IngestCode.MIXED_ACQUISITION,)
    assert "KVP" in volume.evidence[IngestCode.MIXED_ACQUISITION]


def test_rounding_parts_nothing(tmp_path):
    for number, path in enumerate(write_case(tmp_path / "in", "regular")):
        dataset = pydicom.dcmread(path)
        dataset.EchoTime = 4.6 if number % 2 else 4.61
        dataset.save_as(path)
    _, [(volume, _)] = ingested(tmp_path / "in")
    assert volume.flags == ()


def second_place(folder, gap, edit=None):
    """Write a series and a second stack of it ``gap`` mm further up."""
    paths = write_case(folder, "regular")
    for path in paths:
        dataset = pydicom.dcmread(path)
        x, y, z = (float(part) for part in dataset.ImagePositionPatient)
        dataset.ImagePositionPatient = [x, y, z + gap]
        shape = (dataset.Rows, dataset.Columns)
        rows, columns = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
        points = np.stack([x + columns * 1.25, y + rows * 1.5, np.full(shape, z + gap)], -1)
        dataset.PixelData = np.rint(hounsfield_at(points) + 1024).astype("<u2").tobytes()
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{dataset.SOPInstanceUID}.2"
        if edit:
            edit(dataset)
        dataset.save_as(folder / f"far-{path.name}")
    return folder


@pytest.mark.parametrize("gap", [300.0, -210.0, 60.0])
@pytest.mark.parametrize(("keyword", "value"), [("AcquisitionNumber", 2), ("ProtocolName", "abdomen"), ("ScanOptions", "HELICAL MODE")])
def test_acquisitions_that_lie_far_apart_are_volumes(tmp_path, gap, keyword, value):
    report, volumes = ingested(second_place(tmp_path / "in", gap, lambda dataset: setattr(dataset, keyword, value)))
    expected = {} if keyword == "AcquisitionNumber" or abs(gap) > 100 else {"MISSING_SLICES": 28}
    if keyword != "AcquisitionNumber":
        # Present in one stack alone, it tells nothing: the distance does, where it is large enough.
        assert report.codes() == expected
        return
    assert report.codes() == {}
    assert [volume.geometry.shape[0] for volume, _ in volumes] == [14, 14]
    assert not any(IngestCode.SEPARATE_STACKS in volume.flags for volume, _ in volumes)
    assert offsets(volumes) == [0, 0]


def test_stacks_that_only_their_distance_tells_apart_are_flagged(tmp_path):
    report, volumes = ingested(second_place(tmp_path / "in", 300.0))
    assert report.codes() == {}
    assert [volume.flags for volume, _ in volumes if IngestCode.SEPARATE_STACKS in volume.flags] != []
    assert all(IngestCode.SEPARATE_STACKS in volume.flags for volume, _ in volumes)
    strict = ingested(second_place(tmp_path / "again", 300.0), Action.REJECT)[0]
    assert "SEPARATE_STACKS" in strict.codes()


def test_slices_that_are_missing_are_still_missing(tmp_path):
    paths = sorted(write_case(tmp_path / "in", "regular"), key=lambda path: along(pydicom.dcmread(path)))
    for path in paths[5:9]:
        path.unlink()
    assert ingested(tmp_path / "in")[0].codes() == {"MISSING_SLICES": 10}


@pytest.mark.parametrize("gap", [0, 12, 90])
def test_stacks_of_one_object_are_volumes_whatever_lies_between_them(tmp_path, gap):
    frames = [(31 + 3 * k + s * (15 + gap), 0, {"FrameContentSequence": of(StackID=str(s + 1))}) for s in range(2) for k in range(5)]
    enhanced(tmp_path / "in" / "e.dcm", frames)
    report, volumes = ingested(tmp_path / "in")
    assert (report.codes(), offsets(volumes)) == ({}, [0, 0])
    assert [volume.geometry.shape[0] for volume, _ in volumes] == [5, 5]


def parts_of(*slices):
    parts = split_acquisitions(group_of([slice_at(z, **values) for z, values in slices]))
    return [(part.acquisition_key, len(part.slices), [code for code, _, _ in part.notes]) for part in parts]


def test_halves_of_another_voltage_are_parts_called_by_it():
    stack = [(z, {"KVP": 80 if z < 8 else 120}) for z in range(0, 16, 2)]
    assert parts_of(*stack) == [("KVP=80", 4, []), ("KVP=120", 4, [])]


def test_a_slice_here_and_there_of_another_voltage_is_noted():
    stack = [(z, {"KVP": 80 if z in (4, 10) else 120}) for z in range(0, 16, 2)]
    assert parts_of(*stack) == [("", 8, [IngestCode.MIXED_ACQUISITION])]


@pytest.mark.parametrize(
    ("gap", "parts"),
    [(6, [("", 6, [])]), (60, [("Stack=1", 3, [IngestCode.SEPARATE_STACKS]), ("Stack=2", 3, [IngestCode.SEPARATE_STACKS])])],
)
def test_a_gap_parts_stacks_where_most_would_have_to_be_invented(gap, parts):
    assert parts_of(*((z + offset, {}) for offset in (0, 4 + gap) for z in (0, 2, 4))) == parts


def test_stacks_that_the_header_tells_apart_are_called_by_it():
    stack = [(z + 40 * number, {"AcquisitionNumber": number + 1}) for number in (0, 1) for z in (0, 2, 4)]
    assert parts_of(*stack) == [("AcquisitionNumber=1", 3, []), ("AcquisitionNumber=2", 3, [])]
