"""What goes out of a radiograph, a mammogram or a cine: measurements that name the image, its frames, and nothing in mm."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from data_contracts import DataError
from medkd.explanation.artefact import keep
from medkd.phantom.dicom_pictures import Picture, write_picture
from medkd.pictures.colours import png
from medkd.results.write_results import write_results
from tests.explanation.pictures import explained_picture
from tests.results.test_structured_report import items, measured


def published(tmp_path, kind, frames=1):
    """Return the explained record, the image that it is of, the set and its folder."""
    shown, _, made = explained_picture(kind, frames=frames)
    pixels = shown.numpy().astype(np.uint8)
    image = write_picture(tmp_path / "study" / "one.dcm", Picture(pixels if frames > 1 else pixels[0], kind="US"))
    folder = keep(made, tmp_path / "explanations", previews=False)
    found, place = write_results(folder, shown.numpy(), [tmp_path / "study" / "one.dcm"], tmp_path / "out", png(np.zeros((8, 8), np.uint8)))
    return made.record, image, found, place


def named_images(report):
    return [node.ReferencedSOPSequence[0] for _, node in items(report) if node.get("ValueType") == "IMAGE"]


def test_a_finding_of_a_picture_is_counted_in_pixels_and_names_its_image(tmp_path):
    record, image, found, place = published(tmp_path, "segmentation")
    assert [one.kind for one in found.objects] == ["report", "key_image"]
    assert {one.errors for one in found.certificate} == {0}
    report = pydicom.dcmread(place / "measurements.dcm")
    (lesion,) = record.lesions
    assert measured(report, "Number of pixels of the finding") == [(lesion.voxels, "1")]
    assert measured(report, "Volume") == measured(report, "Long axis") == measured(report, "Number of findings") == []
    (named,) = named_images(report)
    assert named.ReferencedSOPInstanceUID == image.SOPInstanceUID
    assert "ReferencedFrameNumber" not in named
    assert (report.PatientID, report.StudyInstanceUID) == (image.PatientID, image.StudyInstanceUID)


def test_answers_about_a_cine_name_their_frames(tmp_path):
    record, image, _, place = published(tmp_path, "classification", frames=3)
    named = named_images(pydicom.dcmread(place / "measurements.dcm"))
    frames = [np.atleast_1d(one.ReferencedFrameNumber).tolist() for one in named]
    assert frames == [list(range(one.first_slice + 1, one.last_slice + 2)) for one in record.answers]
    assert {one.ReferencedSOPInstanceUID for one in named} == {image.SOPInstanceUID}


def test_another_image_is_not_taken_for_the_picture(tmp_path):
    shown, _, made = explained_picture("segmentation")
    write_picture(tmp_path / "other.dcm", Picture(np.zeros((10, 10), np.uint8)))
    (tmp_path / "note.txt").write_text("no image")
    folder = keep(made, tmp_path / "explanations", previews=False)
    with pytest.raises(DataError, match="0 have its") as caught:
        write_results(folder, shown.numpy(), [tmp_path / "other.dcm", tmp_path / "note.txt"], tmp_path / "out")
    assert caught.value.code == "SEG_SOURCE"
