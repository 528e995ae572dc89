"""Labels in every format come back as the mask they were drawn from, or are refused with their own code."""

from __future__ import annotations

import highdicom as hd
import numpy as np
import pytest

from data_contracts import Action, IngestCode, IngestPolicy, Outcome, StoreManifest, load_record
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import VARIANTS
from medkd.storage.store import Store
from tests.dicom.labelled import write_labelled

BY_NAME = {variant.name: variant for variant in VARIANTS}
KIND = hd.seg.SegmentationTypeValues


@pytest.fixture(params=["axial", "oblique", "sagittal"])
def study(request, tmp_path):
    return write_labelled(tmp_path / "study", BY_NAME[request.param])


@pytest.fixture
def axial(tmp_path):
    return write_labelled(tmp_path / "study", BY_NAME["axial"])


def ingested(study, policy=None):
    out = study.folder.parent / "store"
    report = ingest(IngestRequest(study.folder, out, policy or IngestPolicy()), secret=b"k")
    (volume,) = load_record(out / "manifest.json", StoreManifest).volumes
    arrays = {} if volume.label is None else {k: v.numpy() for k, v in Store(out).read_tensors(volume.label.array).items()}
    return report, volume, arrays


def refused(study, policy=None):
    report, volume, _ = ingested(study, policy)
    assert volume.label is None
    (outcome,) = [file for file in report.files if file.path.startswith("label")]
    assert outcome.outcome is Outcome.QUARANTINED
    return outcome.code


def test_a_binary_segmentation_is_its_mask(study):
    mask = study.balls()[0]
    study.segmentation(mask.astype(np.uint8), KIND.BINARY)
    _, volume, arrays = ingested(study)
    assert (arrays["label"] == mask).all()
    assert volume.label.source == "dicom-seg"
    assert volume.label.segments[0].name == "Liver"


def test_overlapping_segments_keep_their_own_masks(study):
    masks = study.balls()
    assert (masks[0] & masks[1]).any()
    study.segmentation(masks.transpose(1, 2, 3, 0).astype(np.uint8), KIND.BINARY)
    _, volume, arrays = ingested(study)
    assert volume.label.flags == (IngestCode.OVERLAPPING_SEGMENTS,)
    assert [(arrays[f"segment/{n}"] == masks[n - 1]).all() for n in (1, 2)] == [True, True]
    assert (arrays["label"] == np.where(masks[1], 2, masks[0])).all()


def test_overlaps_can_be_refused(axial):
    axial.segmentation(axial.balls().transpose(1, 2, 3, 0).astype(np.uint8), KIND.BINARY)
    assert refused(axial, IngestPolicy(actions={IngestCode.OVERLAPPING_SEGMENTS: Action.REJECT})) is IngestCode.OVERLAPPING_SEGMENTS


def test_a_fractional_segmentation_is_cut_at_one_half_and_keeps_its_fractions(study):
    fraction = study.balls()[0] * np.linspace(0.2, 1.0, study.shape[2])
    study.segmentation(fraction.astype(np.float32), KIND.FRACTIONAL, max_fractional_value=200)
    _, volume, arrays = ingested(study)
    assert volume.label.flags == (IngestCode.FRACTIONAL_LABEL,)
    assert np.abs(arrays["fraction/1"] / 255 - fraction).max() < 1 / 200
    clear = np.abs(fraction - 0.5) > 0.01
    assert (arrays["label"][clear] == (fraction >= 0.5)[clear]).all()


def test_a_label_map_segmentation_is_its_values(study):
    masks = study.balls()
    values = np.where(masks[1], 2, masks[0]).astype(np.uint8)
    study.segmentation(values, KIND.LABELMAP)
    _, volume, arrays = ingested(study)
    assert (arrays["label"] == values).all()
    assert [segment.name for segment in volume.label.segments] == ["Liver", "Spleen"]


def test_a_structure_set_is_filled_on_its_slices_holes_left_out(study):
    """Contours at half a voxel round a mask hold exactly the centres of its voxels."""
    mask = study.balls()[0].copy()
    mask[5, 13:16, 13:16] = False
    study.structure_set(mask)
    _, volume, arrays = ingested(study)
    assert (arrays["label"] == mask).all()
    assert volume.label.source == "rtstruct"
    assert [segment.name for segment in volume.label.segments] == ["gtv"]


@pytest.mark.parametrize("flip", [False, True])
def test_a_nifti_is_bound_by_its_affine_whatever_the_order_of_its_axes(study, flip):
    mask = study.balls()[0]
    study.nifti(mask, flip=flip)
    _, volume, arrays = ingested(study)
    assert (arrays["label"] == mask).all()
    assert volume.label.source == "nifti"


def test_labels_off_their_grid_are_refused(axial):
    mask = axial.balls()[0]
    axial.nifti(mask, shift_mm=1.5)
    assert refused(axial) is IngestCode.LABEL_GEOMETRY_MISMATCH
    (axial.folder / "label.nii.gz").unlink()
    axial.structure_set(mask, shift_mm=1.0)
    assert refused(axial) is IngestCode.CONTOUR_OFF_PLANE


def test_a_structure_set_that_refers_to_no_image_of_the_source_is_refused(axial):
    axial.structure_set(axial.balls()[0], references="1.2.3.4")
    assert refused(axial) is IngestCode.LABEL_REFERENCES_MISSING


def test_open_contours_are_refused(axial):
    axial.structure_set(axial.balls()[0], kind="OPEN_PLANAR")
    assert refused(axial) is IngestCode.OPEN_CONTOUR


@pytest.mark.parametrize("write", ["nifti", "structure_set"])
def test_empty_labels_are_refused(axial, write):
    getattr(axial, write)(np.zeros(axial.shape, dtype=bool))
    assert refused(axial) in (IngestCode.EMPTY_LABEL, IngestCode.LABEL_REFERENCES_MISSING)


def test_a_nifti_between_two_volumes_on_its_grid_is_not_guessed(axial):
    other = axial.folder / "other"
    write_case(other, "monochrome1", BY_NAME["axial"])
    axial.nifti(axial.balls()[0])
    report = ingest(IngestRequest(axial.folder, axial.folder.parent / "two"), secret=b"k")
    (outcome,) = [file for file in report.files if file.path.startswith("label")]
    assert outcome.code is IngestCode.LABEL_AMBIGUOUS
    assert '"volumes": 2' in outcome.evidence
    assert outcome.evidence.count("CT 14 x 34 x 38") == 2


def test_a_nifti_that_is_no_label_map_is_refused(axial):
    import nibabel

    axial.nifti(axial.balls()[0])
    image = nibabel.load(axial.folder / "label.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj) * 0.3, image.affine), axial.folder / "label.nii.gz")
    assert refused(axial) is IngestCode.LABEL_UNSUPPORTED


def test_several_labels_of_one_series_are_all_kept(axial):
    masks = axial.balls()
    axial.segmentation(masks[0].astype(np.uint8), KIND.BINARY)
    axial.nifti(masks[1])
    report, volume, arrays = ingested(axial)
    assert report.count(Outcome.ACCEPTED) == 16
    assert len(volume.further_labels) == 1
    assert {volume.label.source, volume.further_labels[0].source} == {"dicom-seg", "nifti"}
    assert (arrays["label"] == masks[0]).all()
    again, same, _ = ingested(axial)
    assert again.decoded_files == 0
    assert same == volume
