"""Structures keep their names, none vanishes without a word, and overlaps do not depend on numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydicom.uid import generate_uid

from data_contracts import Action, IngestCode, IngestPolicy, StoreManifest, load_record
from medkd.dicom.labels.names import Called, Names, sayable, structure_key
from tests.dicom.drawn import Ingested, box, coded, draw_segmentation, draw_series, draw_structures, point, reread, write_nifti_mask

BIG = np.zeros((8, 20, 24), bool)
BIG[1:7, 2:16, 3:20] = True
SMALL = np.zeros((8, 20, 24), bool)
SMALL[3:5, 4:9, 6:12] = True


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "study"


def regions(series, order, **kinds):
    large, small = box(series, range(1, 7), (1.5, 15.5), (2.5, 19.5)), box(series, range(3, 5), (3.5, 8.5), (5.5, 11.5))
    drawn = {"Liver": large, "GTV_1": small}
    return [(number, name, kinds.get(name, "ORGAN"), drawn[name]) for number, name in enumerate(order, start=3)]


@pytest.mark.parametrize("order", [("Liver", "GTV_1"), ("GTV_1", "Liver")])
def test_regions_keep_their_names_and_the_smaller_one_wins_whatever_their_numbers(folder, order):
    series = draw_series(folder / "ct")
    draw_structures(folder / "rs.dcm", series, regions(series, order), drawn_on=series)
    found = Ingested(folder)
    assert found.structures() == {"Liver": int(BIG.sum() - SMALL.sum()), "GTV_1": int(SMALL.sum())}
    assert {segment.name: segment.voxels for segment in found.labelled().label.segments} == {
        "Liver": int(BIG.sum()),
        "GTV_1": int(SMALL.sum()),
    }
    payload = json.loads(found.outcome("rs.dcm").evidence)["OVERLAPPING_SEGMENTS"]
    assert payload["overlaps"] == [{"winner": "GTV_1", "loser": "Liver", "voxels": int(SMALL.sum())}]
    assert json.loads(found.labelled().label.evidence[IngestCode.OVERLAPPING_SEGMENTS])["voxels"] == int(SMALL.sum())


@pytest.mark.parametrize("numbers", [(1, 2), (2, 1), (9, 4)])
def test_the_smaller_segment_wins_whatever_its_number(folder, numbers):
    series = draw_series(folder / "ct")
    big, small = numbers
    draw_segmentation(folder / "seg.dcm", series, {big: BIG, small: SMALL}, {big: "Liver", small: "Tumor"}, listed=[series])
    assert Ingested(folder).structures() == {"Liver": int(BIG.sum() - SMALL.sum()), "Tumor": int(SMALL.sum())}


def test_of_three_structures_within_one_another_each_smaller_one_wins(folder):
    series = draw_series(folder / "ct")
    inmost = np.zeros_like(SMALL)
    inmost[3, 5, 7:9] = True
    draw_segmentation(folder / "seg.dcm", series, {1: inmost, 2: BIG, 3: SMALL}, {1: "Necrosis", 2: "Liver", 3: "Tumor"}, listed=[series])
    assert Ingested(folder).structures() == {
        "Necrosis": 2,
        "Liver": int(BIG.sum() - SMALL.sum()),
        "Tumor": int(SMALL.sum()) - 2,
    }


@pytest.mark.parametrize(
    ("contours", "words"),
    [
        ("small", "hold no voxel centre"),
        ("line", "hold no voxel centre"),
        ("single", "hold no voxel centre"),
        ("none", "never drawn"),
        ("outside", "hold no voxel centre"),
    ],
)
def test_a_region_that_holds_no_voxel_is_flagged_with_its_name(folder, contours, words):
    series = draw_series(folder / "ct")
    drawn = {
        "small": box(series, [3], (5.2, 5.7), (6.2, 6.7)),
        "line": [(3, [point(series[3], 4, 4), point(series[3], 9, 4)])],
        "single": [(3, [point(series[3], 4, 4)])],
        "none": [],
        "outside": box(series, [3], (40, 50), (40, 50)),
    }[contours]
    large = box(series, range(1, 7), (1.5, 15.5), (2.5, 19.5))
    draw_structures(folder / "rs.dcm", series, [(1, "Eye_L", "ORGAN", large), (2, "Lens_L", "ORGAN", drawn)], drawn_on=series)
    found = Ingested(folder)
    assert found.outcome("rs.dcm").findings == (IngestCode.STRUCTURE_LOST,)
    lost = json.loads(found.outcome("rs.dcm").evidence)["STRUCTURE_LOST"]["structures"]
    assert list(lost) == ["Lens_L"]
    assert words in lost["Lens_L"]
    assert found.structures() == {"Eye_L": int(BIG.sum()), "Lens_L": 0}


def test_a_slice_of_a_region_that_holds_no_voxel_is_flagged_too(folder):
    series = draw_series(folder / "ct")
    drawn = [*box(series, [2, 3], (3.5, 8.5), (5.5, 11.5)), *box(series, [4], (5.2, 5.7), (6.2, 6.7))]
    draw_structures(folder / "rs.dcm", series, [(1, "Lens_L", "ORGAN", drawn)], drawn_on=series)
    found = Ingested(folder)
    assert "slices 4 of 3" in json.loads(found.outcome("rs.dcm").evidence)["STRUCTURE_LOST"]["structures"]["Lens_L"]


def test_a_region_that_leaves_the_image_is_cut_off_and_flagged(folder):
    series = draw_series(folder / "ct")
    drawn = box(series, [2, 3], (3.5, 8.5), (15.5, 31.0))
    draw_structures(folder / "rs.dcm", series, [(1, "BODY", "EXTERNAL", drawn)], drawn_on=series)
    found = Ingested(folder)
    assert found.structures() == {"BODY": 2 * 5 * 8}
    assert "beyond the image on slices 2, 3" in json.loads(found.outcome("rs.dcm").evidence)["STRUCTURE_LOST"]["structures"]["BODY"]


def test_lost_structures_can_be_refused_and_an_empty_segment_is_one(folder):
    series = draw_series(folder / "ct")
    empty = np.zeros_like(SMALL)
    draw_segmentation(folder / "seg.dcm", series, {1: SMALL, 2: empty}, {1: "Liver", 2: "Spleen"}, listed=[series])
    assert Ingested(folder).outcome("seg.dcm").findings == (IngestCode.STRUCTURE_LOST,)
    strict = IngestPolicy(actions={IngestCode.STRUCTURE_LOST: Action.REJECT})
    refused = Ingested(folder, strict, out="strict").outcome("seg.dcm")
    assert refused.code is IngestCode.STRUCTURE_LOST
    assert "Spleen" in refused.evidence


def test_a_contour_that_is_written_twice_does_not_take_itself_back(folder):
    series = draw_series(folder / "ct")
    once = box(series, range(1, 7), (1.5, 15.5), (2.5, 19.5))
    again = [(place, np.roll(points, 2, axis=0)[::-1]) for place, points in once]
    draw_structures(folder / "rs.dcm", series, [(1, "Liver", "ORGAN", once + again)], drawn_on=series)
    assert Ingested(folder).structures() == {"Liver": int(BIG.sum())}


def test_exclusive_contours_take_one_another_back(folder):
    series = draw_series(folder / "ct")
    drawn = [*box(series, range(1, 7), (1.5, 15.5), (2.5, 19.5)), *box(series, range(3, 5), (3.5, 8.5), (5.5, 11.5))]
    draw_structures(folder / "rs.dcm", series, [(1, "Liver", "ORGAN", drawn)], drawn_on=series, kind="CLOSEDPLANAR_XOR")
    assert (Ingested(folder).label() == (BIG & ~SMALL)).all()


def test_contours_of_a_region_that_overlap_in_part_are_united(folder):
    series = draw_series(folder / "ct")
    drawn = [
        *box(series, [3], (1.5, 8.5), (2.5, 9.5)),
        *box(series, [3], (4.5, 12.5), (6.5, 15.5)),
        *box(series, [3], (2.5, 3.5), (4.5, 6.5)),
    ]
    draw_structures(folder / "rs.dcm", series, [(1, "Liver", "ORGAN", drawn)], drawn_on=series)
    wanted = np.zeros_like(BIG)
    wanted[3, 2:9, 3:10] = True
    wanted[3, 5:13, 7:16] = True
    wanted[3, 3, 5:7] = False
    assert (Ingested(folder).label() == wanted).all()


def open_some(path, kind, region, which):
    def change(dataset):
        for contour in list(dataset.ROIContourSequence[region].ContourSequence)[which]:
            contour.ContourGeometricType = kind

    reread(path, change)


@pytest.mark.parametrize("kind", ["OPEN_PLANAR", "OPEN_NONPLANAR", "CLOSED_NONPLANAR", "POINT", "JANE_DOE"])
def test_an_open_contour_is_left_out_alone_and_flagged_with_the_name_of_its_region(folder, kind):
    series = draw_series(folder / "ct")
    draw_structures(folder / "rs.dcm", series, regions(series, ("Liver", "GTV_1")), drawn_on=series)
    open_some(folder / "rs.dcm", kind, 0, slice(0, 2))
    found = Ingested(folder)
    payload = json.loads(found.outcome("rs.dcm").evidence)["OPEN_CONTOUR"]["structures"]
    assert payload == {"Liver": {"of no defined kind" if kind == "JANE_DOE" else kind: 2}}
    assert {s.name: s.voxels for s in found.labelled().label.segments} == {"Liver": int(BIG[3:].sum()), "GTV_1": int(SMALL.sum())}
    assert IngestCode.STRUCTURE_LOST not in found.outcome("rs.dcm").findings


def test_a_region_of_open_contours_alone_is_a_structure_lost(folder):
    series = draw_series(folder / "ct")
    draw_structures(folder / "rs.dcm", series, regions(series, ("Liver", "GTV_1")), drawn_on=series)
    open_some(folder / "rs.dcm", "OPEN_PLANAR", 1, slice(None))
    found = Ingested(folder)
    evidence = json.loads(found.outcome("rs.dcm").evidence)
    assert evidence["STRUCTURE_LOST"]["structures"] == {"GTV_1": "no closed contour: 2 OPEN_PLANAR"}
    assert evidence["OPEN_CONTOUR"]["structures"] == {"GTV_1": {"OPEN_PLANAR": 2}}
    assert (found.label() == BIG).all()
    strict = IngestPolicy(actions={IngestCode.OPEN_CONTOUR: Action.REJECT})
    refused = Ingested(folder, strict, out="strict").outcome("rs.dcm")
    assert refused.code is IngestCode.OPEN_CONTOUR
    assert "GTV_1 (2 OPEN_PLANAR)" in refused.evidence


def test_a_contour_that_is_short_of_a_coordinate_is_flagged(folder):
    series = draw_series(folder / "ct")
    draw_structures(folder / "rs.dcm", series, regions(series, ("Liver", "GTV_1")), drawn_on=series)

    def shorten(dataset):
        contour = dataset.ROIContourSequence[0].ContourSequence[0]
        contour.ContourData = contour.ContourData[:-1]

    reread(folder / "rs.dcm", shorten)
    payload = json.loads(Ingested(folder).outcome("rs.dcm").evidence)["OPEN_CONTOUR"]["structures"]
    assert payload == {"Liver": {"CLOSED_PLANAR of 11 coordinates": 1}}


def test_names_of_people_are_not_said_but_found_by_whoever_knows_them(folder):
    series = draw_series(folder / "ct")
    drawn = box(series, range(1, 7), (1.5, 15.5), (2.5, 19.5))
    small = box(series, range(3, 5), (3.5, 8.5), (5.5, 11.5))
    named = [
        (1, "Tumour of Quixote", "GTV", drawn),
        (2, "Sancho", "GTV", small),
        (3, "Patient1 liver", "", box(series, [6], (3, 8), (5, 9))),
    ]
    draw_structures(folder / "rs.dcm", series, named, drawn_on=series)
    found = Ingested(folder)
    segments = found.labelled().label.segments
    text = (found.out / "manifest.json").read_text() + (found.out / "quarantine" / "memory.json").read_text()
    for word in ("quixote", "sancho", "patient1"):
        assert word not in text.lower()
    assert structure_key(b"k", "tumour_of QUIXOTE") == segments[0].keys[0]
    assert structure_key(b"k", "Sancho") in segments[1].keys
    assert structure_key(b"other", "Sancho") not in segments[1].keys
    # Two regions of one type are told apart, by the same word in every patient.
    assert len({segment.name for segment in segments}) == 3
    assert all(segment.name.startswith("gtv ") for segment in segments[:2])


@pytest.mark.parametrize(
    "name",
    ["Liver", "Kidney_L", "SpinalCord", "PTV_5040", "GTV-1", "lung upper lobe left", "BODY", "Lens_R", "A_Carotid_L", "vertebra T12"],
)
def test_names_of_anatomy_and_of_planning_are_said_as_they_were_written(name):
    assert sayable(name) == name


@pytest.mark.parametrize(
    "name", ["Liver Smith", "GTV 19600101", "Liver 2024-01-02", "Müller", "<b>Liver</b>", "Mark", "J_K", "Tumor J", "x" * 80, "4711", ""]
)
def test_names_that_may_name_somebody_are_not_said(name):
    assert sayable(name) == ""


def test_a_word_that_is_part_of_the_patients_name_is_not_said():
    (segment,) = Names().segments([Called(1, label="Heart", kind="ORGAN")])
    assert segment.name == "Heart"
    assert sayable("Heart", frozenset({"heart"})) == ""


def test_codes_say_what_a_label_does_not(folder):
    series = draw_series(folder / "ct")
    codes = {1: coded("10200004", "Liver"), 2: coded("Doe^Jane", "Doe^Jane", "99X"), 3: coded("78961009", "Spleen")}
    inmost = np.zeros_like(SMALL)
    inmost[6, 17:19, 21:23] = True
    masks = {1: BIG & ~SMALL, 2: SMALL, 3: inmost}
    draw_segmentation(folder / "seg.dcm", series, masks, {1: "Segment_1", 2: "Segment_2", 3: "xyz"}, listed=[series], codes=codes)
    found = Ingested(folder)
    assert [segment.name for segment in found.labelled().label.segments] == ["Liver", "segment", "Spleen"]
    assert [segment.code for segment in found.labelled().label.segments] == ["SCT:10200004", "", "SCT:78961009"]
    assert "Doe" not in (found.out / "manifest.json").read_text()


def smooth(levels, shape=(8, 20, 24)):
    grid = np.stack(np.meshgrid(*(np.arange(size) for size in shape), indexing="ij"), -1)
    field = np.sin(grid[..., 0] / 3) + np.cos(grid[..., 1] / 5) + np.sin(grid[..., 2] / 4 + 1)
    return np.rint((field - field.min()) / np.ptp(field) * (levels - 1))


def parcels(size, count, shape=(8, 20, 24)):
    """Return touching cubes with a number each, in no order."""
    grid = np.stack(np.meshgrid(*(np.arange(one) // size for one in shape), indexing="ij"), -1)
    cubes = grid @ np.array([49, 7, 1])
    return np.random.default_rng(1).permutation(np.arange(1, 400))[cubes] % count + 1


@pytest.mark.parametrize(
    "values",
    [
        smooth(256).astype(np.uint8),
        smooth(30).astype(np.uint8),
        smooth(200).astype(np.int16),
        smooth(256).astype(np.float32),
        (smooth(256) * 8 - 1000).astype(np.int16),
        np.where(BIG, smooth(120), 0).astype(np.uint8),
        np.clip(smooth(400), 0, 255).astype(np.uint8),
        np.random.default_rng(0).integers(0, 256, BIG.shape).astype(np.uint8),
        smooth(256).astype(np.float32) / 255,
    ],
    ids=["8 bits", "few levels", "16 bits", "whole floats", "HU", "cut out", "saturated", "noise", "shares"],
)
def test_an_image_beside_its_series_is_not_a_label(folder, values):
    series = draw_series(folder, modality="MR")
    write_nifti_mask(folder / "T1w.nii.gz", series, values)
    outcome = Ingested(folder).outcome("T1w.nii.gz")
    assert outcome.code is IngestCode.NOT_A_LABEL
    assert f"{len(np.unique(values))} values" in outcome.evidence


def vertebrae():
    values = np.zeros((8, 60, 24), dtype=np.uint8)
    for number in range(24):
        values[2:6, 2 * number + 2 : 2 * number + 4, 8:14] = number + 1
    return values


@pytest.mark.parametrize(
    "values",
    [
        SMALL.astype(np.uint8),
        SMALL.astype(np.uint8) * 255,
        BIG.astype(np.float32) + SMALL,
        parcels(4, 40).astype(np.int16),
        parcels(3, 100).astype(np.uint8),
        np.where(BIG, parcels(2, 12), 0).astype(np.uint8),
    ],
    ids=["one", "255", "floats", "parcels", "small parcels", "tiny parcels"],
)
def test_label_maps_are_labels_however_many_structures_they_hold(folder, values):
    series = draw_series(folder)
    write_nifti_mask(folder / "seg.nii.gz", series, values)
    assert (Ingested(folder).label() == values).all()


def test_thin_structures_numbered_in_a_row_are_a_label(folder):
    series = draw_series(folder, matrix=(60, 24))
    write_nifti_mask(folder / "seg.nii.gz", series, vertebrae())
    assert (Ingested(folder).label() == vertebrae()).all()


def test_a_nifti_with_one_structure_is_called_by_its_file(folder):
    series = draw_series(folder)
    write_nifti_mask(folder / "liver.nii.gz", series, BIG.astype(np.uint8))
    write_nifti_mask(folder / "kidney_left.nii.gz", series, SMALL.astype(np.uint8))
    volume = Ingested(folder).labelled()
    names = {segment.name for label in (volume.label, *volume.further_labels) for segment in label.segments}
    assert names == {"liver", "kidney_left"}


def test_objects_that_state_different_classes_state_none(folder):
    series = draw_series(folder / "ct")

    def stating(name, stated):
        dataset = draw_segmentation(folder / name, series, {1: SMALL}, {1: "Lesion"}, listed=[series])
        dataset.SegmentSequence[0].SegmentDescription = f"class={stated}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.save_as(folder / name, enforce_file_format=True)

    stating("a.dcm", "benign")
    draw_segmentation(folder / "b.dcm", series, {1: BIG}, {1: "Liver"}, listed=[series])
    assert Ingested(folder).labelled().class_label == "benign"
    stating("c.dcm", "malignant")
    found = Ingested(folder, out="second")
    assert found.labelled().class_label is None
    assert len(load_record(found.out / "manifest.json", StoreManifest).volumes[0].further_labels) == 2
