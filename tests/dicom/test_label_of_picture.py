"""Labels of pictures: bound by the image that they name, never by a place in space."""

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import IngestPolicy, Outcome, StoreManifest, load_record
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.phantom.dicom_pictures import Picture, write_picture, write_picture_label
from medkd.storage.store import Store

PIXELS = np.random.default_rng(0).integers(0, 255, (3, 20, 30), dtype=np.uint8)
MASK = np.zeros((20, 30))
MASK[4:9, 5:20] = 1


def ingested(tmp_path):
    report = ingest(IngestRequest(tmp_path / "in", tmp_path / "store", IngestPolicy()), secret=b"k")
    return report, load_record(tmp_path / "store" / "manifest.json", StoreManifest).volumes


def labelled(tmp_path, frames=1, change=None):
    """Write a picture and its label, which a function of the test may change."""
    picture = write_picture(tmp_path / "in" / "us.dcm", Picture(PIXELS[0] if frames == 1 else PIXELS))
    single = picture
    if frames > 1:  # highdicom writes labels of one frame only
        single = write_picture(tmp_path / "single.dcm", Picture(PIXELS[0]))
    label = write_picture_label(tmp_path / "in" / "seg.dcm", single, MASK, "malignant")
    if change is not None:
        change(label, source_of(label))
        label.save_as(tmp_path / "in" / "seg.dcm")
    return picture


def source_of(label):
    return label.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]


def test_a_label_lies_on_the_pixels_of_the_picture_that_it_names(tmp_path):
    labelled(tmp_path)
    write_picture(tmp_path / "in" / "other.dcm", Picture(255 - PIXELS[1], number=5))
    report, volumes = ingested(tmp_path)
    assert report.count(Outcome.ACCEPTED) == 3
    (volume,) = [volume for volume in volumes if volume.labels]
    assert volume.class_label == "malignant"
    assert np.array_equal(Store(tmp_path / "store").read_tensors(volume.label.array)["label"][0], MASK)
    assert volume.label.geometry == volume.geometry


def test_a_frame_of_a_cine_is_named_by_its_number(tmp_path):
    def of_frame_2(label, source):
        del label
        source.ReferencedFrameNumber = 2

    labelled(tmp_path, 3, of_frame_2)
    _, (volume,) = ingested(tmp_path)
    label = Store(tmp_path / "store").read_tensors(volume.label.array)["label"].numpy()
    assert np.array_equal(label[1], MASK)
    assert not label[[0, 2]].any()


def nothing_named(label, source):
    del label, source


def beyond(label, source):
    del label
    source.ReferencedFrameNumber = 4


def smaller(label, source):
    del source
    label.Rows = 10


@pytest.mark.parametrize(("frames", "change"), [(3, nothing_named), (3, beyond), (1, smaller)])
def test_a_label_that_names_no_frame_or_has_other_pixels_is_refused(tmp_path, frames, change):
    labelled(tmp_path, frames, change)
    report, (volume,) = ingested(tmp_path)
    assert set(report.codes()) <= {"LABEL_GEOMETRY_MISMATCH", "LABEL_REFERENCES_MISSING", "DECODE_FAILED"}
    assert report.count(Outcome.QUARANTINED) == 1
    assert not volume.labels


def test_a_label_of_a_picture_that_did_not_come_is_bound_to_no_other(tmp_path):
    def of_another(label, source):
        source.ReferencedSOPInstanceUID = "1.2.3"
        for series in label.ReferencedSeriesSequence:
            series.SeriesInstanceUID = "1.2.4"
            series.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID = "1.2.3"
        label.pop("SourceImageSequence", None)

    labelled(tmp_path, 1, of_another)
    report, _ = ingested(tmp_path)
    assert report.codes() == {"LABEL_REFERENCES_MISSING": 1}


def test_nifti_beside_a_picture_is_no_label_of_it(tmp_path):
    import nibabel

    write_picture(tmp_path / "in" / "us.dcm", Picture(PIXELS[0]))
    nibabel.save(nibabel.Nifti1Image(MASK.T[..., None].astype(np.uint8), np.eye(4)), tmp_path / "in" / "lesion.nii.gz")
    report, (volume,) = ingested(tmp_path)
    assert report.codes() == {"LABEL_REFERENCES_MISSING": 1}
    assert not volume.labels
