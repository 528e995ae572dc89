"""Masks from DICOM segmentations and back: the same voxels in any orientation, and nothing that does not fit."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from data_contracts import CorrectedMask, FeedbackError, FindingVerdict, Geometry
from medkd.dicom.confidentiality.secret import pseudonym
from medkd.dicom.write_seg import write_seg
from medkd.dicom.write_series import image_of_slice
from medkd.feedback.keep import keep_form
from medkd.feedback.seg_masks import masks_from_seg, masks_to_seg, with_masks
from medkd.results.readers import validate
from medkd.volumes.orientation import Grid
from medkd.volumes.voxel_masks import mask_of, voxels_of
from tests.results.explained import UIDS
from tests.volumes.grids import orientations

SHAPE = (4, 6, 8)
TURNS = list(orientations())
#: All 48; every ninth is always asked.
ALL_TURNS = [pytest.param(axes, marks=[pytest.mark.extended] * (place % 9 != 0)) for place, axes in enumerate(TURNS)]


def placed(report, axes=TURNS[0], moved=(0.0, 0.0, 0.0)):
    """Return a report of a volume that lies so in the patient, and the images of its slices."""
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes * np.array((3.0, 1.5, 1.0)), np.array((-7.0, 11.0, 30.0)) + moved
    geometry = Geometry(shape=SHAPE, affine_lps_mm=tuple(map(tuple, affine.tolist())), spacing_mm=(3.0, 1.5, 1.0), residual_mm=0.0)
    explanations = tuple(
        one.model_copy(update={"volume": one.volume.model_copy(update={"geometry": geometry, "frame_of_reference_key": None})})
        for one in report.explanations
    )
    grid = Grid(SHAPE, affine)
    images = [image_of_slice(np.zeros(SHAPE[1:], np.int16), grid, index, "CT") for index in range(SHAPE[0])]
    for image in images:
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = UIDS
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        image.PatientID = image.PatientName = image.PatientBirthDate = image.PatientSex = image.AccessionNumber = image.StudyID = None
        image.StudyDate = image.StudyTime = image.ReferringPhysicianName = None
    return report.model_copy(update={"explanations": explanations}), images


@pytest.fixture
def drawn():
    """Return a label map of two regions that no symmetry maps onto themselves."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:3, 1:4, 5:8], labels[3, 5, 0:3] = 1, 2
    return labels


NAMES = {1: "lesion-1 forbidden", 2: "Missed"}


@pytest.mark.parametrize("labelmap", [False, True])
@pytest.mark.parametrize("axes", ALL_TURNS)
def test_what_was_drawn_is_read_voxel_by_voxel(report, drawn, tmp_path, axes, labelmap):
    own, images = placed(report, axes)
    path = write_seg(drawn, NAMES, images, "m", tmp_path / "seg.dcm", labelmap=labelmap)
    found = masks_from_seg(path, own)
    assert sorted(found) == ["lesion-1", "missed"]
    (mask,) = found["lesion-1"]
    assert (mask.meaning, mask.source) == ("forbidden", "dicom_seg")
    assert np.array_equal(voxels_of(mask.voxels), drawn == 1)
    assert np.array_equal(voxels_of(found["missed"][0].voxels), drawn == 2)


def test_a_viewer_may_turn_the_slices(report, drawn, tmp_path):
    """Drawn on images whose slices run the other way: the same places in the patient."""
    own, images = placed(report)
    path = write_seg(drawn[::-1].copy(), NAMES, images[::-1], "m", tmp_path / "seg.dcm")
    assert np.array_equal(voxels_of(masks_from_seg(path, own)["lesion-1"][0].voxels), drawn == 1)


@pytest.mark.parametrize("moved", [(0.3, 0.0, 0.0), (0.0, 0.7, 0.0), (0.0, 0.0, 1.4), (500.0, 0.0, 0.0)])
def test_what_lies_beside_the_voxels_is_refused_and_not_resampled(report, drawn, tmp_path, moved):
    own, _ = placed(report)
    _, beside = placed(report, moved=moved)
    path = write_seg(drawn, NAMES, beside, "m", tmp_path / "seg.dcm")
    with pytest.raises(FeedbackError, match="nothing is resampled") as caught:
        masks_from_seg(path, own)
    assert caught.value.code == "MASK_GEOMETRY"


@pytest.mark.parametrize("name", ["Jane Doe", "lesion-2 forbidden", "lesion-1", "forbidden", "lesion-1 perhaps"])
def test_a_segment_that_is_called_otherwise_is_refused_and_not_repeated(report, drawn, tmp_path, name):
    own, images = placed(report)
    path = write_seg(drawn, {1: "lesion-1 allowed", 2: name}, images, "m", tmp_path / "seg.dcm")
    with pytest.raises(FeedbackError) as caught:
        masks_from_seg(path, own)
    assert caught.value.code == "MASK_NAMES"
    assert "segment 2 is called otherwise" in str(caught.value)
    assert "Jane" not in str(caught.value)


def test_another_frame_of_reference_is_refused(report, drawn, tmp_path):
    own, images = placed(report)
    path = write_seg(drawn, NAMES, images, "m", tmp_path / "seg.dcm")

    def of(key):
        volume = own.volume.model_copy(update={"frame_of_reference_key": key})
        return own.model_copy(update={"explanations": tuple(one.model_copy(update={"volume": volume}) for one in own.explanations)})

    assert masks_from_seg(path, of(pseudonym(b"secret", "frame", UIDS[2])), b"secret")
    with pytest.raises(FeedbackError) as caught:
        masks_from_seg(path, of("f0123"), b"secret")
    assert caught.value.code == "MASK_FRAME"


def test_what_is_no_segmentation_is_refused(report, tmp_path):
    own, images = placed(report)
    images[0].save_as(tmp_path / "image.dcm", enforce_file_format=True)
    (tmp_path / "text").write_text("no DICOM")
    for name, said in (("image.dcm", "is CT Image Storage"), ("text", "InvalidDicomError"), ("missing", "FileNotFoundError")):
        with pytest.raises(FeedbackError, match=said) as caught:
            masks_from_seg(tmp_path / name, own)
        assert caught.value.code == "MASK_UNREADABLE"


def test_a_form_takes_up_what_was_drawn_in_a_viewer(report, make_form):
    mask = CorrectedMask(meaning="forbidden", voxels=mask_of(np.ones(SHAPE, bool)), source="dicom_seg")
    rejected = (FindingVerdict(finding="lesion-1", prediction="agree", explanation="rejected"), *make_form().verdicts[1:])
    form = with_masks(make_form(verdicts=rejected), {"lesion-1": (mask,), "missed": (mask,)})
    assert (form.verdicts[0].explanation, form.verdicts[0].masks, form.missed) == ("corrected", (mask,), (mask.voxels,))
    for masks in ({"lesion-1": (mask,)}, {"lesion-2": (mask,)}):
        with pytest.raises(FeedbackError) as caught:
            with_masks(make_form(), masks)
        assert caught.value.code == "MASK_VERDICT"


def test_masks_of_a_judgement_go_out_and_come_back(log, report, make_form, reader, drawn, tmp_path):
    own, images = placed(report, TURNS[18])
    masks = (
        CorrectedMask(meaning="forbidden", voxels=mask_of(drawn == 1)),
        CorrectedMask(meaning="allowed", voxels=mask_of(drawn == 2)),
        CorrectedMask(meaning="allowed", voxels=mask_of(np.ones(SHAPE, bool))),
    )
    lesion = FindingVerdict(finding="lesion-1", prediction="agree", explanation="corrected", masks=masks)
    form = make_form(report=own.digest(), verdicts=(lesion, *make_form().verdicts[1:]), missed=(mask_of(drawn == 2),))
    entry = keep_form(log, own, form, reader, offline=True)
    written = masks_to_seg(entry, images, tmp_path)
    assert len(written) == 3  # what overlaps is in files of its own
    back = [masks_from_seg(path, own) for path in written]
    lesions = [mask.voxels for found in back for mask in found.get("lesion-1", ())]
    assert sorted(one.runs for one in lesions) == sorted(mask.voxels.runs for mask in masks)
    assert [mask.voxels for found in back for mask in found.get("missed", ())] == [mask_of(drawn == 2)]
    assert [validate(path) for path in written] == [(0, "")] * 3
    segment = pydicom.dcmread(written[0]).SegmentSequence[0]
    assert segment.SegmentAlgorithmType == "MANUAL"
    uids = [pydicom.dcmread(path).SOPInstanceUID for path in written]
    assert [pydicom.dcmread(path).SOPInstanceUID for path in masks_to_seg(entry, images, tmp_path / "again")] == uids


def test_a_judgement_without_masks_has_none_to_write(log, report, make_form, reader, tmp_path):
    entry = keep_form(log, report, make_form(), reader, offline=True)
    _, images = placed(report)
    with pytest.raises(FeedbackError, match="holds none"):
        masks_to_seg(entry, images, tmp_path)
