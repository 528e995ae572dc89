from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pydicom
import pytest

from data_contracts import DataError, MissingDependencyError, ResultSet, read_record
from medkd.explanation.kept import read_kept
from medkd.results import parametric_map, readers
from medkd.results import write_results as module
from medkd.results.write_results import RECORD, write_results

#: Every way in which the axes of a volume can run along those of the patient: 6 orders of the axes, 8 directions.
TURNS = [
    tuple(tuple(2.0 * sign * float(axis == place) for place in range(3)) for axis, sign in zip(order, signs, strict=True))
    for order in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]
#: One that changes the order of all axes and two directions: tried in each run of the tests (the others write one of the other hand), all in the extended one.
USUAL = TURNS[29:30]


@pytest.mark.parametrize("turn", [pytest.param(turn, marks=() if turn in USUAL else pytest.mark.extended) for turn in TURNS])
def test_every_reader_finds_every_voxel_where_it_was_written_in_every_orientation(study, ohif, tmp_path, turn):
    folder, values, files = study(turn)
    found, place = write_results(folder, values, files, tmp_path / "out")
    assert {one.kind for one in found.objects} == {"segmentation", "labelmap", "map_segmentation", "parametric_map", "report"}
    assert read_record((place / RECORD).read_bytes(), ResultSet) == found
    read = [one for one in found.certificate if one.voxels]
    assert {(one.file, one.reader.split()[0]) for one in read} == {
        (file, reader)
        for file in ("segmentation.dcm", "labelmap.dcm", "map-segmentation.dcm", "map-1-model.dcm", "map-2-model.dcm")
        for reader in ("dcmqi", "pydicom", *(("@cornerstonejs/adapters",) if ohif else ()))
    }
    assert all(one.voxels == values.size and one.voxels_differing == 0 and one.worst_centroid_mm < 1e-6 for one in read)


@pytest.mark.extended
def test_objects_belong_to_the_study_and_are_the_same_when_written_again(study, tmp_path):
    folder, values, files = study()
    image = pydicom.dcmread(files[0])
    first, place = write_results(folder, values, files, tmp_path / "a", picture=picture())
    second, _ = write_results(folder, values, files, tmp_path / "b", picture=picture())
    assert [one.sop_instance_uid for one in first.objects] == [one.sop_instance_uid for one in second.objects]
    assert len({one.sop_instance_uid for one in first.objects}) == len(first.objects) == 7
    for one in first.objects:
        header = pydicom.dcmread(place / one.file)
        assert (header.PatientID, header.StudyInstanceUID) == (image.PatientID, image.StudyInstanceUID)
        assert header.SeriesInstanceUID != image.SeriesInstanceUID
    before = (place / RECORD).read_bytes()
    assert write_results(folder, values, files, tmp_path / "a")[1] == place
    assert (place / RECORD).read_bytes() == before
    (place / "labelmap.dcm").write_bytes(b"altered")
    assert write_results(folder, values, files, tmp_path / "a")[0].objects[1].sha256 != first.objects[1].sha256  # made anew


def picture() -> bytes:
    from medkd.pictures.colours import png

    return png(np.arange(64 * 48, dtype=np.uint8).reshape(48, 64))


def test_nothing_found_is_a_set_too(study, tmp_path):
    folder, values, files = study(boxes=())
    found, _ = write_results(folder, values, files, tmp_path / "out")
    assert [one.kind for one in found.objects] == ["report"]


def test_a_map_whose_frames_descend_is_mirrored_by_others_and_is_not_published(study, tmp_path, monkeypatch):
    """What highdicom writes is right by the standard; dcmqi takes frames in the order of the file."""
    folder, values, files = study()
    monkeypatch.setattr(parametric_map, "_ascend", lambda _: None)
    with pytest.raises(DataError, match=r"expected every voxel of map-1-model\.dcm from dcmqi") as caught:
        write_results(folder, values, files, tmp_path / "out")
    assert caught.value.code == "RESULT_DIFFERS"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_fault_that_the_validator_finds_is_not_published(study, tmp_path, monkeypatch):
    folder, values, files = study()
    monkeypatch.setattr(parametric_map, "_say_anatomy", lambda *_: None)
    with pytest.raises(DataError, match=r"expected no error in map-1-model\.dcm by dciodvfy") as caught:
        write_results(folder, values, files, tmp_path / "out")
    assert caught.value.code == "RESULT_INVALID"
    assert list((tmp_path / "out").iterdir()) == []


def test_without_the_readers_nothing_begins(study, tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "version", missing)
    with pytest.raises(MissingDependencyError, match="dicom3tools") as caught:
        write_results(tmp_path / "nowhere", np.zeros(1), [], tmp_path / "out")
    assert caught.value.code == "RESULT_READERS"


def missing(package: str) -> str:
    raise readers.PackageNotFoundError(package)


def test_a_slice_without_an_image_of_its_own_is_refused(study, tmp_path):
    folder, values, files = study()
    with pytest.raises(DataError, match="1 have none") as caught:
        write_results(folder, values, files[:-1], tmp_path / "out")
    assert caught.value.code == "SEG_SOURCE"


@pytest.mark.parametrize(("changes", "code"), [({"most": 1}, "SEG_TOO_MANY"), ({"sha": "0" * 64}, "SEG_FINDING")])
def test_findings_that_a_segmentation_does_not_hold_are_not_published(study, tmp_path, monkeypatch, changes, code):
    folder, values, files = study()
    if "most" in changes:
        monkeypatch.setattr(module, "_MOST_SEGMENTS", changes["most"])
    else:  # the last one: numbers of the others stay, so that no reader would miss it
        record, arrays = read_kept(folder)
        lesions = (*record.lesions[:-1], record.lesions[-1].model_copy(update={"mask_sha256": changes["sha"]}))
        monkeypatch.setattr(module, "read_kept", lambda _: (record.model_copy(update={"lesions": lesions}), arrays))
    with pytest.raises(DataError) as caught:
        write_results(folder, values, files, tmp_path / "out")
    assert caught.value.code == code
    assert list((tmp_path / "out").iterdir()) == []
