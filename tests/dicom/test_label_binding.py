"""A label goes to the volume that it refers to; what refers to nothing is bound by its place, if that leaves one volume."""

from __future__ import annotations

import json

import numpy as np
import pytest

from data_contracts import IngestCode, Outcome
from tests.dicom.drawn import Ingested, box, draw_segmentation, draw_series, draw_structures, reread

MASK = np.zeros((8, 20, 24), bool)
MASK[2:5, 4:9, 6:12] = True


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "study"


def phases(folder, *, modality="CT"):
    """Write two series of one grid and one frame of reference; which one comes first by name says nothing."""
    return {name: draw_series(folder / name, series=name, modality=modality, add=add) for name, add in (("a", -150), ("b", 150))}


def bound_to(found):
    """Return the phase whose volume has the label, by its voxels."""
    return "b" if found.voxels(found.labelled()).mean() > 50 else "a"


def write(kind, path, series, **references):
    if kind == "seg":
        return draw_segmentation(path, series, {1: MASK}, {1: "Liver"}, **references)
    return draw_structures(path, series, [(1, "Liver", "ORGAN", box(series, range(2, 5), (3.5, 8.5), (5.5, 11.5)))], **references)


@pytest.mark.parametrize("kind", ["seg", "rt"])
@pytest.mark.parametrize("wanted", ["a", "b"])
@pytest.mark.parametrize("how", ["images of frames", "listed images", "both, and the other series is listed too"])
def test_a_label_goes_to_the_phase_it_refers_to(folder, kind, wanted, how):
    found = phases(folder, modality="MR" if kind == "rt" else "CT")
    series, other = found[wanted], found["b" if wanted == "a" else "a"]
    references = {
        "images of frames": {"drawn_on": series},
        "listed images": {"listed": [series]},
        "both, and the other series is listed too": {"drawn_on": series, "listed": [other, series]},
    }[how]
    write(kind, folder / "label.dcm", series, **references)
    result = Ingested(folder)
    assert bound_to(result) == wanted
    assert (result.label() == MASK).all()


def test_phases_within_one_series_are_told_apart_by_the_images_of_the_label(folder):
    first = draw_series(folder / "x", add=-150, AcquisitionNumber=1)
    second = draw_series(folder / "y", add=150, AcquisitionNumber=2)
    assert first[0].SeriesInstanceUID == second[0].SeriesInstanceUID
    draw_segmentation(folder / "label.dcm", second, {1: MASK}, {1: "Liver"}, drawn_on=second, listed=[second])
    assert bound_to(Ingested(folder)) == "b"


def test_a_series_that_is_listed_without_its_images_is_enough(folder):
    found = phases(folder)
    draw_segmentation(folder / "label.dcm", found["b"], {1: MASK}, {1: "Liver"}, listed=[("series", found["b"][0])])
    assert bound_to(Ingested(folder)) == "b"


@pytest.mark.parametrize("kind", ["seg", "rt"])
def test_a_label_that_names_no_image_is_bound_by_its_place(folder, kind):
    series = draw_series(folder / "near", series="near")
    draw_series(folder / "far", series="far", origin=(-10.0, -14.0, 300.0))
    write(kind, folder / "label.dcm", series)
    result = Ingested(folder)
    assert (result.label() == MASK).all()
    assert result.voxels(result.labelled()).mean() == pytest.approx(np.mean([s.pixel_array.mean() for s in series]), abs=0.01)


@pytest.mark.parametrize("kind", ["seg", "rt"])
def test_a_label_that_names_no_image_is_not_guessed_between_two_volumes(folder, kind):
    write(kind, folder / "label.dcm", phases(folder)["b"])
    outcome = Ingested(folder).outcome("label.dcm")
    assert outcome.code is IngestCode.LABEL_AMBIGUOUS
    assert outcome.evidence.count("CT 8 x 20 x 24") == 2


@pytest.mark.parametrize("kind", ["seg", "rt"])
def test_a_label_of_a_series_that_did_not_come_is_never_bound_to_another_one(folder, kind):
    found = phases(folder)
    write(kind, folder / "label.dcm", found["b"], drawn_on=found["b"], listed=[found["b"]])
    for path in (folder / "b").iterdir():
        path.unlink()
    outcome = Ingested(folder).outcome("label.dcm")
    assert outcome.code is IngestCode.LABEL_REFERENCES_MISSING
    assert "not there" in outcome.evidence


def test_a_label_of_a_refused_series_says_so(folder):
    found = phases(folder)
    write("rt", folder / "label.dcm", found["b"], listed=[found["b"]])
    (folder / "b" / "b003.dcm").unlink()
    outcome = Ingested(folder).outcome("label.dcm")
    assert outcome.code is IngestCode.LABEL_REFERENCES_MISSING
    assert "was refused" in outcome.evidence


def test_a_structure_set_that_names_neither_image_nor_frame_of_reference_says_so(folder):
    series = draw_series(folder / "a")
    draw_structures(folder / "label.dcm", series, [(1, "Liver", "ORGAN", box(series, [3], (3, 8), (5, 11)))], frame="")
    outcome = Ingested(folder).outcome("label.dcm")
    assert outcome.code is IngestCode.LABEL_REFERENCES_MISSING
    assert "names none" in outcome.evidence


@pytest.mark.parametrize("lost", [0, 7])
@pytest.mark.parametrize("per_contour", [True, False])
def test_images_that_are_listed_but_not_drawn_on_need_not_come(folder, lost, per_contour):
    series = draw_series(folder / "a")
    write("rt", folder / "label.dcm", series, listed=[series], drawn_on=series if per_contour else None)
    (folder / "a" / f"one{lost:03d}.dcm").unlink()
    result = Ingested(folder)
    assert (result.label() == np.delete(MASK, lost, axis=0)).all()


def test_frames_of_a_slice_that_did_not_come_may_be_empty(folder):
    series = draw_series(folder / "a")
    draw_segmentation(folder / "label.dcm", series, {1: MASK}, {1: "Liver"}, drawn_on=series, listed=[series], empty_frames=True)
    (folder / "a" / "one007.dcm").unlink()
    assert (Ingested(folder).label() == MASK[:7]).all()


@pytest.mark.parametrize("kind", ["seg", "rt"])
def test_an_image_that_was_drawn_on_and_did_not_come_is_the_reason(folder, kind):
    series = draw_series(folder / "a")
    mask = MASK.copy()
    mask[7, 3:5, 3:5] = True
    if kind == "seg":
        draw_segmentation(folder / "label.dcm", series, {1: mask}, {1: "Liver"}, drawn_on=series, listed=[series])
    else:
        draw_structures(
            folder / "label.dcm", series, [(1, "Liver", "ORGAN", box(series, (3, 7), (3, 8), (5, 11)))], drawn_on=series, listed=[series]
        )
    (folder / "a" / "one007.dcm").unlink()
    outcome = Ingested(folder).outcome("label.dcm")
    assert outcome.code is IngestCode.LABEL_REFERENCES_MISSING
    assert json.loads(outcome.evidence)["missing"] == 1


def flip_rows(frame, corner, axes, spacing):
    return frame[::-1], corner + axes[3:] * spacing[0] * (len(frame) - 1), np.concatenate([axes[:3], -axes[3:]]), spacing


def flip_columns(frame, corner, axes, spacing):
    return frame[:, ::-1], corner + axes[:3] * spacing[1] * (frame.shape[1] - 1), np.concatenate([-axes[:3], axes[3:]]), spacing


def transpose(frame, corner, axes, spacing):
    return frame.T, corner, np.concatenate([axes[3:], axes[:3]]), spacing[::-1]


def cut(frame, corner, axes, spacing):
    return frame[2:12, 4:16], corner + axes[3:] * spacing[0] * 2 + axes[:3] * spacing[1] * 4, axes, spacing


def chain(*turns):
    def turned(*frame):
        for turn in turns:
            frame = turn(*frame)
        return frame

    return turned


OBLIQUE = tuple(np.round(np.array([[np.cos(0.3), np.sin(0.3), 0], [-np.sin(0.3) * 0.6, np.cos(0.3) * 0.6, 0.8]]), 6).ravel())


@pytest.mark.parametrize("axes", [(0, 1, 0, 0, 0, -1), OBLIQUE], ids=["sagittal", "oblique"])
@pytest.mark.parametrize(
    "turn",
    [flip_rows, flip_columns, transpose, chain(flip_rows, flip_columns), chain(cut, flip_rows), chain(flip_columns, transpose, flip_rows)],
    ids=["rows", "columns", "transposed", "both", "part", "all"],
)
def test_a_segmentation_whose_rows_and_columns_run_another_way_is_bound_exactly(folder, axes, turn):
    series = draw_series(folder / "a", axes=axes)
    mask = MASK.copy()
    mask[3, 4, 11] = False  # no symmetry that a wrong turn would keep
    draw_segmentation(folder / "label.dcm", series, {1: mask}, {1: "Liver"}, listed=[series], turn=turn)
    assert (Ingested(folder).label() == mask).all()


def test_a_frame_that_lies_between_voxels_is_still_refused(folder):
    series = draw_series(folder / "a")

    def shift(frame, corner, axes, spacing):
        frame, corner, axes, spacing = flip_rows(frame, corner, axes, spacing)
        return frame, corner + 0.4 * axes[:3] * spacing[1], axes, spacing

    draw_segmentation(folder / "label.dcm", series, {1: MASK}, {1: "Liver"}, listed=[series], turn=shift)
    outcome = Ingested(folder).outcome("label.dcm")
    assert outcome.code is IngestCode.LABEL_GEOMETRY_MISMATCH
    assert "0.400 voxels off" in outcome.evidence


def test_a_changed_reference_is_not_answered_from_memory(folder):
    found = phases(folder)
    write("seg", folder / "label.dcm", found["a"], listed=[found["a"]])
    assert bound_to(Ingested(folder)) == "a"
    reread(
        folder / "label.dcm",
        lambda dataset: (
            setattr(dataset.ReferencedSeriesSequence[0], "ReferencedInstanceSequence", [])
            or setattr(dataset.ReferencedSeriesSequence[0], "SeriesInstanceUID", found["b"][0].SeriesInstanceUID)
        ),
    )
    again = Ingested(folder)
    assert bound_to(again) == "b"
    assert again.report.count(Outcome.ACCEPTED) == 17
    assert Ingested(folder).report.decoded_files == 0
