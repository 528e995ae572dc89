"""Frames of a segmentation lie where they say, on the voxels of their volume; what does not is refused, or sampled where the policy says so."""

from __future__ import annotations

import json
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom import Sequence
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from data_contracts import Action, IngestCode, IngestError, IngestPolicy, StoreManifest, load_record
from medkd.dicom.findings import Findings
from medkd.dicom.labels.segmentation import bind_segmentation
from medkd.dicom.read_header import read_file
from medkd.phantom.faulty_scan import VARIANTS
from tests.dicom.drawn import Ingested, draw_segmentation, draw_series, item, point, reread
from tests.dicom.labelled import write_labelled


@pytest.fixture
def bound(phantom, ingested, tmp_path):
    """Return a maker: change the segmentation of the first study, then bind it to its volume."""
    study = phantom[2][0]
    line = next(s for s in ingested[0].series if Path(s.first_file).parts[0] == study.folder.name)
    volume = next(v for v in load_record(ingested[1] / "manifest.json", StoreManifest).volumes if v.array.key == line.volume)

    def bind(change):
        dataset = pydicom.dcmread(study.folder / "SEG0001.dcm")
        change(dataset)
        dataset.save_as(tmp_path / "seg.dcm")
        return bind_segmentation(read_file(tmp_path / "seg.dcm", "seg.dcm"), volume.geometry, Findings(IngestPolicy()))

    return bind


def test_an_untouched_label_binds_with_its_coded_name(bound):
    label = bound(lambda _: None)
    assert label.segments[0].name == "Lesion"
    assert label.class_label in {"benign", "malignant"}
    assert label.deviation_mm < 0.01
    assert label.array.any()


def move(dataset):
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        x, y, z = frame.PlanePositionSequence[0].ImagePositionPatient
        frame.PlanePositionSequence[0].ImagePositionPatient = [x, y, float(z) + 1.0]


def rescale(dataset):
    dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [2.0, 2.0]


def unheard_of(dataset):
    dataset.SegmentationType = "PAINTED"


def empty(dataset):
    dataset.PixelData = bytes(len(dataset.PixelData))


def rename(dataset):
    dataset.SegmentSequence[0].SegmentNumber = 9


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (move, "LABEL_GEOMETRY_MISMATCH"),
        (rescale, "LABEL_GEOMETRY_MISMATCH"),
        (unheard_of, "LABEL_UNSUPPORTED"),
        (empty, "EMPTY_LABEL"),
        (rename, "UNKNOWN_SEGMENT"),
    ],
)
def test_a_label_that_does_not_fit_is_refused(bound, change, code):
    with pytest.raises(IngestError) as caught:
        bound(change)
    assert caught.value.code == code


def test_free_text_of_a_segment_is_not_kept(bound):
    def name(dataset):
        dataset.SegmentSequence[0].SegmentLabel = "Jane Doe"
        dataset.SegmentSequence[0].SegmentDescription = "seen by Dr. Doe"

    label = bound(name)
    assert "Doe" not in label.segments[0].canonical_json().decode()
    assert label.class_label is None


MASK = np.zeros((8, 20, 24), bool)
MASK[2:6, 3:14, 5:19] = True
# No symmetry that a wrong turn would keep.
MASK[3, 4, 6] = MASK[2, 3:8, 5:7] = MASK[5, 9:14, 15:19] = False
AXES = {"axial": (1, 0, 0, 0, 1, 0), "sagittal": (0, 1, 0, 0, 0, -1), "oblique": (0.8, 0.6, 0, -0.6, 0.8, 0)}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "study"


def rewrite(path, frames, groups, change=None):
    """Put other frames and their functional groups into a written segmentation."""

    def put(dataset):
        dataset.NumberOfFrames, (dataset.Rows, dataset.Columns) = len(frames), frames[0].shape
        dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
        if dataset.SegmentationType == "BINARY":
            packed = np.packbits(np.array(frames, dtype=np.uint8).ravel(), bitorder="little").tobytes()
        else:
            packed = np.array(frames, dtype=np.uint8).tobytes()
        dataset.PixelData = packed + b"\0" * (len(packed) % 2)
        if change is not None:
            change(dataset)

    reread(path, put)


def reformatted(series, mask, along):
    """Return frames of a mask in planes across the slices, as programs write it that let people draw on reformatted images.

    Args:
        series: its images.
        mask: [slice, row, column].
        along: axis that the frames follow one another on: 1 (each frame one row of the images) or 2 (one column).
    """
    first, last = (np.array(series[place].ImagePositionPatient, float) for place in (0, -1))
    row_step, column_step = (np.array(series[0].ImageOrientationPatient[part], float) for part in (slice(3, 6), slice(0, 3)))
    upwards = (last - first) / np.linalg.norm(last - first)
    frames, groups = [], []
    for place in np.flatnonzero(mask.any(axis=(0, 3 - along))):
        plane = mask[:, place, :] if along == 1 else mask[:, :, place]
        corner = point(series[-1], *((place, 0) if along == 1 else (0, place)))
        across = column_step if along == 1 else row_step
        # The first row lies on the last slice: on a screen the head is up.
        frames.append(plane[::-1])
        spacing = [2.0, float(series[0].PixelSpacing[1 if along == 1 else 0])]
        groups.append(
            item(
                SegmentIdentificationSequence=[item(ReferencedSegmentNumber=1)],
                PlanePositionSequence=[item(ImagePositionPatient=[round(float(value), 6) for value in corner])],
                PlaneOrientationSequence=[item(ImageOrientationPatient=[*map(float, across), *map(float, -upwards)])],
                PixelMeasuresSequence=[item(PixelSpacing=spacing)],
            )
        )
    return frames, groups


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("along", [1, 2])
@pytest.mark.parametrize("turned", [False, True], ids=["upright", "turned"])
def test_frames_across_the_slices_are_bound_exactly(folder, axes, along, turned):
    series = draw_series(folder / "ct", axes=AXES[axes])
    draw_segmentation(folder / "seg.dcm", series, {1: MASK}, {1: "Liver"}, listed=[series])
    frames, groups = reformatted(series, MASK, along)
    if turned:  # rows become columns
        frames = [frame.T for frame in frames]
        for group in groups:
            oriented, measured = group.PlaneOrientationSequence[0], group.PixelMeasuresSequence[0]
            oriented.ImageOrientationPatient = [*oriented.ImageOrientationPatient[3:], *oriented.ImageOrientationPatient[:3]]
            measured.PixelSpacing = measured.PixelSpacing[::-1]
    rewrite(folder / "seg.dcm", frames, groups)
    assert (Ingested(folder).label() == MASK).all()


def test_frames_lie_where_they_say_in_whatever_order_they_are_written(folder):
    series = draw_series(folder / "ct")
    other = np.roll(MASK, (1, 4), axis=(0, 2)) & ~MASK
    draw_segmentation(folder / "seg.dcm", series, {1: MASK, 2: other}, {1: "Liver", 2: "Spleen"}, listed=[series])
    dataset = pydicom.dcmread(folder / "seg.dcm")
    order = np.random.default_rng(0).permutation(int(dataset.NumberOfFrames))
    groups = dataset.PerFrameFunctionalGroupsSequence
    rewrite(folder / "seg.dcm", [dataset.pixel_array[place] for place in order], [groups[place] for place in order])
    assert (Ingested(folder).label() == MASK + 2 * other).all()


def fractional(folder, series, values, most, turn=None):
    """Write fractions (whole numbers up to ``most``) of one segment."""
    drawn = values > 0
    draw_segmentation(folder / "seg.dcm", series, {1: drawn}, {1: "Liver"}, listed=[series], turn=turn)

    def change(dataset):
        dataset.SegmentationType, dataset.SegmentationFractionalType, dataset.MaximumFractionalValue = "FRACTIONAL", "OCCUPANCY", most
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        frames = [values[place] for place in np.flatnonzero(drawn.any(axis=(1, 2)))]
        turned = [frame if turn is None else turn(frame, np.zeros(3), np.zeros(6), np.ones(2))[0] for frame in frames]
        dataset.PixelData = np.array(turned, np.uint8).tobytes()

    reread(folder / "seg.dcm", change)


def upside_down(frame, corner, axes, spacing):
    return frame[::-1], corner + axes[3:] * spacing[0] * (len(frame) - 1), np.concatenate([axes[:3], -axes[3:]]), spacing


def finer(frame, corner, axes, spacing):
    fine = np.repeat(np.repeat(frame, 2, axis=0), 2, axis=1)
    return fine, corner - axes[3:] * spacing[0] / 4 - axes[:3] * spacing[1] / 4, axes, spacing / 2


@pytest.mark.parametrize("most", [1, 100, 255])
@pytest.mark.parametrize("turn", [None, upside_down, finer], ids=["on the grid", "flipped", "resampled"])
def test_a_voxel_of_which_half_or_more_belongs_to_a_segment_is_labelled_whatever_the_maximum_and_the_grid(folder, most, turn):
    series = draw_series(folder / "ct")
    values = np.where(MASK, np.random.default_rng(1).integers(0, most + 1, MASK.shape), 0)
    values[4, 5, 7], values[4, 5, 8] = most // 2, (most + 1) // 2
    fractional(folder, series, values, most, turn)
    found = Ingested(folder, IngestPolicy(actions={IngestCode.LABEL_GEOMETRY_MISMATCH: Action.REPAIR}))
    # In whole numbers: no rounding of fractions.
    assert (found.label() == (2 * values >= most)).all()
    label = found.labelled().label
    assert json.loads(label.evidence[IngestCode.FRACTIONAL_LABEL])["type"] == "OCCUPANCY"
    kept = found.store.read_tensors(label.array)["fraction/1"].numpy()
    assert np.abs(kept / 255 - values / most).max() <= 0.5 / 255


def test_a_segmentation_on_thicker_slices_of_larger_pixels_is_sampled_where_the_policy_repairs_it(folder):
    """Each pixel of the label is two by two voxels and two slices: what was drawn in whole pixels comes back whole."""
    series = draw_series(folder / "ct")
    coarse = np.zeros((4, 10, 12), bool)
    coarse[1:3, 2:7, 3:9] = True
    coarse[1, 2, 3] = coarse[2, 5:7, 7:9] = False
    draw_segmentation(folder / "seg.dcm", series, {1: MASK}, {1: "Liver"}, listed=[series])
    frames, groups = [], []
    for place in np.flatnonzero(coarse.any(axis=(1, 2))):
        between = (point(series[2 * place], 0.5, 0.5) + point(series[2 * place + 1], 0.5, 0.5)) / 2
        frames.append(coarse[place])
        groups.append(
            item(
                SegmentIdentificationSequence=[item(ReferencedSegmentNumber=1)],
                PlanePositionSequence=[item(ImagePositionPatient=[float(value) for value in between])],
                PlaneOrientationSequence=[item(ImageOrientationPatient=[1.0, 0, 0, 0, 1, 0])],
                PixelMeasuresSequence=[item(PixelSpacing=[3.0, 2.0], SliceThickness=4.0)],
            )
        )
    rewrite(folder / "seg.dcm", frames, groups)
    assert Ingested(folder).outcome("seg.dcm").code is IngestCode.LABEL_GEOMETRY_MISMATCH
    found = Ingested(folder, IngestPolicy(actions={IngestCode.LABEL_GEOMETRY_MISMATCH: Action.REPAIR}), "repaired")
    assert (found.label() == coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2)).all()


@pytest.mark.parametrize(
    ("kind", "syntax"),
    [("FRACTIONAL", RLELossless), ("FRACTIONAL", JPEGLSLossless), ("LABELMAP", RLELossless), ("LABELMAP", JPEG2000Lossless)],
    ids=lambda value: value if isinstance(value, str) and value.isupper() else value.name,
)
def test_compressed_frames_are_the_plain_ones(tmp_path, kind, syntax):
    study = write_labelled(tmp_path / "study", VARIANTS[0])
    mask = study.balls()[0].astype(np.uint8)
    values = mask if kind == "LABELMAP" else mask.astype(np.float32)
    study.segmentation(values, hd.seg.SegmentationTypeValues[kind], transfer_syntax_uid=syntax)
    assert pydicom.dcmread(study.folder / "label.dcm").file_meta.TransferSyntaxUID == syntax
    assert (Ingested(study.folder).label() == mask).all()
