"""A written segmentation is read back where it was drawn: by pydicom, and by our own ingestion."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from data_contracts import DataError, Geometry, StoreManifest, load_record
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.dicom.write_seg import SAME_PLACE_MM, complete, source_images, write_seg
from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import VARIANTS
from medkd.storage.store import Store

NAMES = {1: "Liver", 2: "Lesion"}
#: Slices lie obliquely and files are named in no order of space.
OBLIQUE = replace(VARIANTS[1], slices=7)


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """Return the files of an oblique series, the voxels that an ingestion makes of it, and their geometry."""
    folder = tmp_path_factory.mktemp("series")
    write_case(folder / "files", "reversed", OBLIQUE)
    ingest(IngestRequest(folder / "files", folder / "store"), secret=b"k")
    (volume,) = load_record(folder / "store" / "manifest.json", StoreManifest).volumes
    values = Store(folder / "store").read_tensors(volume.array)["volume"].numpy().astype(np.float32)
    return sorted((folder / "files").iterdir()), values, volume.geometry


@pytest.fixture
def labels(scan):
    """Return a label map of two classes that is like none of its mirrorings."""
    drawn = np.zeros(scan[1].shape, dtype=np.uint8)
    drawn[2:6, 4:9, 3:20] = 1
    drawn[5:7, 20:30, 10:12] = 2
    return drawn


def flipped(geometry):
    """Return the same grid with its slices in the opposite order."""
    affine = np.asarray(geometry.affine_lps_mm) @ np.array([[-1, 0, 0, geometry.shape[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    return geometry.model_copy(update={"affine_lps_mm": tuple(tuple(float(v) for v in row) for row in affine)})


def copied(paths, folder, change):
    """Write the files again, each changed by a function, and return them beside the first."""
    folder.mkdir(exist_ok=True)
    for place, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{place}"
        change(dataset)
        dataset.save_as(folder / f"copy-{place:02}.dcm")
    return [*paths, *sorted(folder.iterdir())]


def brighter(dataset):
    dataset.SeriesInstanceUID = "1.2.3.9"
    dataset.PixelData = (np.frombuffer(dataset.PixelData, dtype="<i2") + 90).astype("<i2").tobytes()


def refused(*asked):
    with pytest.raises(DataError) as caught:
        source_images(*asked)
    assert caught.value.code == "SEG_SOURCE"
    return str(caught.value)


@pytest.mark.parametrize("turn", [False, True])
def test_images_come_in_the_order_of_the_volumes_slices(scan, turn):
    paths, values, geometry = scan
    values, geometry = (values[::-1], flipped(geometry)) if turn else (values, geometry)
    for index, image in enumerate(source_images(paths, values, geometry)):
        assert [float(v) for v in image.ImagePositionPatient] == pytest.approx(geometry.position_lps_mm(index, 0, 0), abs=1e-4)
        assert np.abs(image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept) - values[index]).max() < 1e-3


@pytest.mark.parametrize("turn", [False, True])
def test_pydicom_finds_each_segment_on_the_slices_that_it_was_drawn_on(scan, labels, tmp_path, turn):
    paths, values, geometry = scan
    if turn:
        values, geometry, labels = values[::-1], flipped(geometry), labels[::-1]
    images = source_images(paths, values, geometry)
    read = pydicom.dcmread(write_seg(labels, NAMES, images, "net/1", tmp_path / "a" / "seg.dcm"))
    assert {one.SegmentNumber: one.SegmentLabel for one in read.SegmentSequence} == NAMES
    found = np.zeros((3, *labels.shape), dtype=bool)
    uids = [image.SOPInstanceUID for image in images]
    for frame, group in zip(read.pixel_array, read.PerFrameFunctionalGroupsSequence, strict=True):
        place = uids.index(group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID)
        position = [float(v) for v in group.PlanePositionSequence[0].ImagePositionPatient]
        assert position == pytest.approx(geometry.position_lps_mm(place, 0, 0), abs=1e-4)
        found[group.SegmentIdentificationSequence[0].ReferencedSegmentNumber, place] |= frame > 0
    assert np.array_equal(found[1], labels == 1)
    assert np.array_equal(found[2], labels == 2)


def test_it_is_of_the_images_patient_and_study_in_a_series_of_its_own_and_says_what_it_is_for(scan, labels, tmp_path):
    images = source_images(*scan)
    first, second = (
        pydicom.dcmread(write_seg(labels, NAMES, images, "net/1", tmp_path / f"{name}.dcm"), stop_before_pixels=True) for name in "ab"
    )
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert first[keyword].value == images[0][keyword].value
    assert len({first.SeriesInstanceUID, second.SeriesInstanceUID, images[0].SeriesInstanceUID}) == 3
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.ContentDescription == "Research use only. Not a medical device."
    assert first.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0].AlgorithmName == "net/1"
    assert oct((tmp_path / "a.dcm").stat().st_mode & 0o777) == "0o600"


def test_what_de_identified_files_leave_out_is_empty_and_no_failure(scan, labels, tmp_path):
    images = source_images(*scan)
    for image in images:
        for keyword in ("PatientBirthDate", "PatientSex", "StudyTime", "AccessionNumber", "ReferringPhysicianName"):
            image.pop(keyword, None)
    written = pydicom.dcmread(write_seg(labels, NAMES, images, "net", tmp_path / "seg.dcm"))
    assert (written.PatientBirthDate, written.PatientSex, written.AccessionNumber) == ("", "", "")
    assert written.PatientID == images[0].PatientID != ""


def test_our_own_ingestion_binds_it_to_the_volume_as_it_was_drawn(scan, labels, tmp_path):
    paths, values, geometry = scan
    source = tmp_path / "source"
    source.mkdir()
    for path in paths:
        (source / path.name).write_bytes(path.read_bytes())
    write_seg(labels, NAMES, source_images(paths, values, geometry), "net/1", source / "seg.dcm")
    ingest(IngestRequest(source, tmp_path / "store"), secret=b"k")
    (volume,) = load_record(tmp_path / "store" / "manifest.json", StoreManifest).volumes
    bound = Store(tmp_path / "store").read_tensors(volume.label.array)["label"].numpy()
    value = {segment.name: segment.value for segment in volume.label.segments}
    assert set(value) == set(NAMES.values())
    for number, name in NAMES.items():
        assert np.array_equal(bound == value[name], labels == number), name
    assert volume.label.max_deviation_mm < 0.01


def test_a_class_that_is_not_marked_is_no_segment(scan, labels, tmp_path):
    only = np.where(labels == 2, 2, 0).astype(np.uint8)
    read = pydicom.dcmread(write_seg(only, NAMES, source_images(*scan), "net/1", tmp_path / "seg.dcm"))
    assert [(one.SegmentNumber, one.SegmentLabel) for one in read.SegmentSequence] == [(1, "Lesion")]
    assert read.pixel_array.sum() == (labels == 2).sum()


def small(images):
    """Return the images' first five rows and columns: two of them hold 50 bits, in 7 bytes."""
    cut = [copy.deepcopy(image) for image in images]
    for image in cut:
        pixels = image.pixel_array[:5, :5]
        image.Rows, image.Columns, image.PixelData = 5, 5, pixels.tobytes()
    return cut


@pytest.mark.parametrize(("marked", "frames"), [(2, 7), (3, 3)])
def test_an_odd_number_of_bytes_is_filled_with_empty_images(scan, tmp_path, marked, frames):
    labels = np.zeros((7, 5, 5), dtype=np.uint8)
    labels[1 : 1 + marked, 1:3, 2:5] = 1
    read = pydicom.dcmread(write_seg(labels, NAMES, small(source_images(*scan)), "net/1", tmp_path / "seg.dcm"))
    assert read.NumberOfFrames == frames
    assert len(read.PixelData) == -(-frames * 25 // 8)  # nothing is padded
    assert read.pixel_array.sum() == 6 * marked


def test_where_no_number_of_images_helps_they_stay_left_out(scan, tmp_path):
    labels = np.zeros((7, 5, 5), dtype=np.uint8)
    labels[1:3, 1:3, 2:5] = 1
    images = small(source_images(*scan))[:6]  # 6 images hold 150 bits, in 19 bytes
    read = pydicom.dcmread(write_seg(labels[:6], NAMES, images, "net/1", tmp_path / "seg.dcm"))
    assert read.NumberOfFrames == 2


def test_where_nothing_is_marked_there_is_no_segmentation(scan, labels, tmp_path):
    with pytest.raises(DataError) as caught:
        write_seg(labels * 0, NAMES, source_images(*scan), "net/1", tmp_path / "seg.dcm")
    assert caught.value.code == "SEG_EMPTY"
    assert not (tmp_path / "seg.dcm").exists()


@pytest.mark.parametrize("step", [0, 90])
def test_two_series_at_the_same_places_are_told_apart_by_their_pixels(scan, tmp_path, step):
    paths, values, geometry = scan
    both = copied(paths, tmp_path / "more", brighter)
    images = source_images(both, values + step, geometry)
    assert {image.SeriesInstanceUID == "1.2.3.9" for image in images} == {step == 90}


def test_images_at_the_right_places_with_other_pixels_are_none_where_there_are_several(scan, tmp_path):
    paths, values, geometry = scan
    assert "7 have none (the first is slice 1)" in refused(copied(paths, tmp_path / "more", brighter), values + 45, geometry)


@pytest.mark.parametrize("slice_", [0, 3, 6])
def test_a_slice_without_an_image_is_named(scan, slice_):
    paths, values, geometry = scan
    place = geometry.position_lps_mm(slice_, 0, 0)
    left = [path for path in paths if pydicom.dcmread(path).ImagePositionPatient != pytest.approx(place, abs=1e-4)]
    assert len(left) == 6
    assert f"each of the 7 slices, 1 have none (the first is slice {slice_ + 1})" in refused(left, values, geometry)


def test_images_of_two_series_are_no_series(scan, tmp_path):
    paths, values, geometry = scan
    mixed = copied(paths, tmp_path / "more", lambda dataset: setattr(dataset, "SeriesInstanceUID", "1.2.3.9"))
    assert "they are of 2 series" in refused([*mixed[:3], *mixed[7 + 3 :]], values, geometry)


@pytest.mark.parametrize(("share", "found"), [(0.8, True), (1.2, False)])
def test_an_image_may_lie_as_far_off_as_rounding_explains(scan, share, found):
    paths, values, geometry = scan
    affine = np.asarray(geometry.affine_lps_mm) + share * SAME_PLACE_MM * np.array([[0, 0, 0, 1.0], *[[0] * 4] * 3])
    moved = Geometry.model_validate({**geometry.model_dump(), "affine_lps_mm": affine.tolist()})
    if found:
        assert len(source_images(paths, values, moved)) == 7
    else:
        assert "7 have none" in refused(paths, values, moved)


def test_what_is_no_image_of_that_size_is_passed_over(scan, tmp_path):
    paths, values, geometry = scan
    (tmp_path / "note.txt").write_text("no DICOM")
    smaller = copied(paths[:2], tmp_path / "more", lambda dataset: setattr(dataset, "Rows", 17))[2:]
    assert len(source_images([tmp_path / "note.txt", tmp_path / "nowhere", *smaller, *paths], values, geometry)) == 7


def test_what_a_file_leaves_out_is_empty_and_what_it_says_stays():
    image = Dataset()
    image.PatientID = "P1"
    complete([image])
    assert image.PatientID == "P1"
    assert "PatientBirthDate" in image
    assert not image.PatientBirthDate
