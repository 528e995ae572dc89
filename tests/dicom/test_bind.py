"""A label goes to the volume that it refers to; what refers to nothing is bound by its place, if that leaves one volume."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydicom.uid import generate_uid

from data_contracts import Action, IngestCode, IngestPolicy, Outcome, StoreManifest, load_record
from tests.dicom.drawn import Ingested, box, draw_segmentation, draw_series, draw_structures, item, referring, reread

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


def finer(frame, corner, axes, spacing):
    """Write a frame with four pixels in the place of each."""
    fine = np.repeat(np.repeat(frame, 2, axis=0), 2, axis=1)
    return fine, corner - axes[3:] * spacing[0] / 4 - axes[:3] * spacing[1] / 4, axes, spacing / 2


def aside(frame, corner, axes, spacing):
    """Write a frame that lies less than half a voxel off in its plane, and across it."""
    return frame, corner + axes[:3] * spacing[1] * 0.4 - axes[3:] * spacing[0] * 0.3 + np.cross(axes[:3], axes[3:]) * 0.6, axes, spacing


@pytest.mark.parametrize("turn", [finer, aside])
def test_a_segmentation_on_another_grid_is_sampled_where_the_policy_repairs_it(folder, turn):
    series = draw_series(folder / "ct")
    mask = np.zeros((8, 20, 24), bool)
    mask[2:6, 3:14, 5:19], mask[3, 4, 6] = True, False
    draw_segmentation(folder / "label.dcm", series, {1: mask}, {1: "Liver"}, listed=[series], turn=turn)
    assert Ingested(folder).outcome("label.dcm").code is IngestCode.LABEL_GEOMETRY_MISMATCH
    repaired = Ingested(folder, IngestPolicy(actions={IngestCode.LABEL_GEOMETRY_MISMATCH: Action.REPAIR}), "repaired")
    assert (repaired.label() == mask).all()
    label = repaired.labelled().label
    assert IngestCode.LABEL_GEOMETRY_MISMATCH in label.flags
    assert 0 < label.max_deviation_mm < 1.1


def test_a_segmentation_that_may_belong_to_two_volumes_is_sampled_onto_neither(folder):
    first, second = draw_series(folder / "one"), draw_series(folder / "two", series="two", add=50.0)
    mask = np.zeros((8, 20, 24), bool)
    mask[2:6, 3:14, 5:19] = True
    draw_segmentation(folder / "label.dcm", first, {1: mask}, {1: "Liver"}, listed=[first, second], turn=aside)
    policy = IngestPolicy(actions={IngestCode.LABEL_GEOMETRY_MISMATCH: Action.REPAIR})
    assert Ingested(folder, policy).outcome("label.dcm").outcome is not Outcome.ACCEPTED


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


OTHER = np.zeros((8, 20, 24), bool)
OTHER[5:7, 10:16, 2:9] = True


def append(path, other):
    """Join the frames or contours of another label object to one: what a program writes that lets people draw on two series."""

    def change(dataset):
        if dataset.Modality == "SEG":
            pixels = [np.unpackbits(np.frombuffer(one.PixelData, np.uint8), bitorder="little") for one in (dataset, other)]
            size = dataset.Rows * dataset.Columns
            bits = np.concatenate([part[: int(one.NumberOfFrames) * size] for part, one in zip(pixels, (dataset, other), strict=True)])
            packed = np.packbits(bits, bitorder="little").tobytes()
            dataset.PixelData = packed + b"\0" * (len(packed) % 2)
            dataset.NumberOfFrames = int(dataset.NumberOfFrames) + int(other.NumberOfFrames)
            dataset.PerFrameFunctionalGroupsSequence.extend(other.PerFrameFunctionalGroupsSequence)
            known = {segment.SegmentNumber for segment in dataset.SegmentSequence}
            dataset.SegmentSequence.extend(one for one in other.SegmentSequence if one.SegmentNumber not in known)
            if "ReferencedSeriesSequence" in other:
                dataset.ReferencedSeriesSequence.extend(other.ReferencedSeriesSequence)
            return
        known = {region.ROINumber for region in dataset.StructureSetROISequence}
        dataset.StructureSetROISequence.extend(one for one in other.StructureSetROISequence if one.ROINumber not in known)
        dataset.RTROIObservationsSequence.extend(one for one in other.RTROIObservationsSequence if one.ReferencedROINumber not in known)
        dataset.ROIContourSequence.extend(other.ROIContourSequence)

    reread(path, change)


def write_both(kind, folder, a, b, *, second="Spleen", drawn_on=True):
    """Write one label object: the liver on the first series, a second structure on the other one."""
    number = 1 if second == "Liver" else 2
    how = [{"drawn_on": one} if drawn_on else {"listed": [one]} for one in (a, b)]
    if kind == "seg":
        draw_segmentation(folder / "label.dcm", a, {1: MASK}, {1: "Liver"}, **how[0])
        other = draw_segmentation(folder.parent / "other.dcm", b, {number: OTHER}, {number: second}, **how[1])
    else:
        draw_structures(folder / "label.dcm", a, [(1, "Liver", "ORGAN", box(a, range(2, 5), (3.5, 8.5), (5.5, 11.5)))], **how[0])
        region = (number, second, "ORGAN", box(b, range(5, 7), (9.5, 15.5), (1.5, 8.5)))
        other = draw_structures(folder.parent / "other.dcm", b, [region], **how[1])
    append(folder / "label.dcm", other)


def by_phase(found):
    return {"b" if found.voxels(volume).mean() > 50 else "a": volume for volume in found.volumes}


def time_points(folder):
    return draw_series(folder / "x", add=-150, AcquisitionNumber=1), draw_series(folder / "y", add=150, AcquisitionNumber=2)


def two_series(folder):
    return tuple(phases(folder, modality="MR").values())


@pytest.mark.parametrize("kind", ["seg", "rt"])
@pytest.mark.parametrize("write_volumes", [time_points, two_series])
@pytest.mark.parametrize("second", ["Spleen", "Liver"])
def test_one_label_on_two_volumes_gives_each_its_own_part(folder, kind, write_volumes, second):
    a, b = write_volumes(folder)
    write_both(kind, folder, a, b, second=second)
    found = Ingested(folder)
    volumes = by_phase(found)
    assert (found.label(volumes["a"]) > 0).tolist() == MASK.tolist()
    assert (found.label(volumes["b"]) > 0).tolist() == OTHER.tolist()
    assert [segment.name for segment in volumes["a"].label.segments] == ["Liver"]
    assert [segment.name for segment in volumes["b"].label.segments] == [second]
    outcome = found.outcome("label.dcm")
    assert outcome.outcome is Outcome.ACCEPTED
    assert outcome.findings == (IngestCode.LABEL_DIVIDED,)
    payload = json.loads(outcome.evidence)["LABEL_DIVIDED"]["parts"]
    assert sorted(payload.values()) == [2, 3]
    assert all(volume.series_key in " ".join(payload) for volume in volumes.values())
    again = Ingested(folder)
    assert again.report.decoded_files == 0
    assert again.volumes == found.volumes


def test_a_label_on_two_volumes_may_be_refused_by_the_policy(folder):
    write_both("seg", folder, *time_points(folder))
    strict = IngestPolicy(actions={IngestCode.LABEL_DIVIDED: Action.REJECT})
    assert Ingested(folder, strict).outcome("label.dcm").code is IngestCode.LABEL_DIVIDED


@pytest.mark.parametrize("kind", ["seg", "rt"])
def test_parts_that_name_no_image_go_to_the_one_listed_volume_whose_slices_they_lie_on(folder, kind):
    near = draw_series(folder / "near", series="near", add=-150, modality="MR")
    far = draw_series(folder / "far", series="far", add=150, modality="MR", origin=(-10.0, -14.0, 301.0))
    write_both(kind, folder, near, far, drawn_on=False)
    if kind == "rt":
        reread(folder / "label.dcm", lambda dataset: list_series(dataset, far))
    found = Ingested(folder)
    volumes = by_phase(found)
    assert ((found.label(volumes["a"]) > 0) == MASK).all()
    assert ((found.label(volumes["b"]) > 0) == OTHER).all()


def list_series(dataset, images):
    study = dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    study.RTReferencedSeriesSequence.append(item(SeriesInstanceUID=images[0].SeriesInstanceUID, ContourImageSequence=referring(images)))


@pytest.mark.parametrize("kind", ["seg", "rt"])
def test_parts_of_a_series_that_did_not_come_do_not_fall_on_another_of_the_same_grid(folder, kind):
    found = phases(folder, modality="MR")
    write_both(kind, folder, found["a"], found["b"])
    for path in (folder / "b").iterdir():
        path.unlink()
    outcome = Ingested(folder).outcome("label.dcm")
    assert outcome.code is IngestCode.LABEL_REFERENCES_MISSING
    assert json.loads(outcome.evidence)["missing"] == 2


@pytest.mark.parametrize("kind", ["seg", "rt"])
def test_what_was_drawn_on_a_missing_slice_lies_on_the_synthetic_one(folder, kind):
    series = draw_series(folder / "a")
    write(kind, folder / "label.dcm", series, drawn_on=series)
    (folder / "a" / "one003.dcm").unlink()
    repair = IngestPolicy(actions={IngestCode.MISSING_SLICES: Action.REPAIR})
    assert (Ingested(folder, repair).label() == MASK).all()


def test_an_open_contour_on_one_of_two_volumes_is_told_of_with_the_region_it_belongs_to(folder):
    a, b = time_points(folder)
    write_both("rt", folder, a, b)
    reread(folder / "label.dcm", lambda dataset: setattr(dataset.ROIContourSequence[1].ContourSequence[0], "ContourGeometricType", "POINT"))
    found = Ingested(folder)
    key = by_phase(found)["b"].series_key
    assert json.loads(found.outcome("label.dcm").evidence)["OPEN_CONTOUR"] == {
        key: {"action": "accept_with_flag", "structures": {"Spleen": {"POINT": 1}}}
    }


def test_a_segment_that_no_frame_holds_is_lost_in_every_volume_of_the_label(folder):
    a, b = time_points(folder)
    write_both("seg", folder, a, b)
    reread(folder / "label.dcm", lambda dataset: dataset.SegmentSequence.append(item(SegmentNumber=3, SegmentLabel="Kidney")))
    payload = json.loads(Ingested(folder).outcome("label.dcm").evidence)["STRUCTURE_LOST"]
    assert payload["structures"] == {"Kidney": "no voxel"}


def test_objects_that_state_different_classes_state_none(folder):
    series = draw_series(folder / "ct")

    def stating(name, stated):
        dataset = draw_segmentation(folder / name, series, {1: MASK}, {1: "Lesion"}, listed=[series])
        dataset.SegmentSequence[0].SegmentDescription = f"class={stated}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.save_as(folder / name, enforce_file_format=True)

    stating("a.dcm", "benign")
    draw_segmentation(folder / "b.dcm", series, {1: OTHER}, {1: "Liver"}, listed=[series])
    assert Ingested(folder).labelled().class_label == "benign"
    stating("c.dcm", "malignant")
    found = Ingested(folder, out="second")
    assert found.labelled().class_label is None
    assert len(load_record(found.out / "manifest.json", StoreManifest).volumes[0].further_labels) == 2
