from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from data_contracts import IngestError, IngestPolicy, StoreManifest, load_record
from medkd.dicom.findings import Findings
from medkd.dicom.labels.segmentation import bind_segmentation
from medkd.dicom.read_header import read_file


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
