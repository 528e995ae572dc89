"""A DICOM folder by its headers."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from data_contracts import IngestPolicy, SourceError, Task
from medkd.dicom.discover import discover
from medkd.dicom.findings import Findings
from medkd.dicom.group import group_slices
from medkd.dicom.slices import slices_of
from medkd.dicom.solve_geometry import solve_geometry
from medkd.phantom.dicom_faults import write_case
from medkd.phantom.dicom_studies import write_phantom_dicom
from medkd.phantom.faulty_scan import VARIANTS
from medkd.planning import read_dicom as module
from medkd.planning.decide import decide
from medkd.planning.read_dicom import read_dicom
from medkd.planning.write_recipe import recipe_yaml
from medkd.volumes.alignment import alignment_of
from medkd.volumes.orientation import grid_of
from tests.dicom.drawn import draw_series
from tests.dicom.stacks import enhanced


def test_studies_of_the_phantom_are_measured_by_their_headers(tmp_path):
    write_phantom_dicom(tmp_path / "studies", studies=2)
    found = read_dicom(tmp_path / "studies")
    assert (found.source, found.cases, found.patients) == ("dicom", 3, 2)  # one of the phantom's three series lacks a slice
    assert found.median_shape == (12, 64, 64)
    assert found.median_spacing == (4, 3, 3)
    assert found.modality == "CT"
    assert found.fields["kind"] == "dicom"
    assert next(iter(found.classes)) == "background"
    assert "before ingestion" in found.unknown[0]


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "note.txt").write_text("no image")
    with pytest.raises(SourceError, match="found none of them") as caught:
        read_dicom(tmp_path)
    assert caught.value.code == "SOURCE_MISSING"


def seen_by_training(folder, scratch):
    """Return shape and spacing of the only series of a folder as ingestion solves its geometry and training turns its axes."""
    slices = [one for file in discover(folder, scratch) for one in slices_of(file)]
    (group,) = group_slices(slices)
    geometry = solve_geometry(group.planes(), Findings(IngestPolicy())).geometry
    network = alignment_of(grid_of(geometry), Task(kind="segmentation", classes=("background", "a"), image_size=(8, 8, 8))).network
    return network.shape, network.spacing_mm


@pytest.mark.parametrize("case", ["regular", "enhanced"])
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_series_is_measured_along_the_axes_that_training_sees(tmp_path, variant, case):
    write_case(tmp_path / "series", case, variant)
    found = read_dicom(tmp_path / "series")
    shape, spacing = seen_by_training(tmp_path / "series", tmp_path / "scratch")
    assert found.cases == 1
    assert tuple(found.shapes[0]) == shape
    np.testing.assert_allclose(found.spacings[0], spacing, rtol=1e-3)
    assert not any("place" in sentence for sentence in found.unknown)


def test_the_axes_of_sagittal_and_coronal_series_are_the_patients(tmp_path):
    """Said by hand: slices of a sagittal series are the patient's columns, of a coronal one its rows; z grows with neither."""
    planes = {
        "sagittal": ((0, 1, 0, 0, 0, -1), (20, 24, 8), (1.5, 1.0, 2.0)),
        "coronal": ((1, 0, 0, 0, 0, -1), (20, 8, 24), (1.5, 2.0, 1.0)),
    }
    for name, (axes, shape, spacing) in planes.items():
        draw_series(tmp_path / name, slices=8, matrix=(20, 24), spacing=(1.5, 1.0), axes=axes, SliceThickness=7.0)
        found = read_dicom(tmp_path / name)
        assert tuple(found.shapes[0]) == shape
        np.testing.assert_allclose(found.spacings[0], spacing, rtol=1e-6)


def test_time_points_at_one_place_are_no_further_slices(tmp_path):
    enhanced(tmp_path / "two" / "times.dcm", [(3.0 * place, time, {}) for time in (0, 1) for place in range(6)])
    found = read_dicom(tmp_path / "two")
    assert found.median_shape[0] == 6
    assert found.median_spacing[0] == 3


def test_a_localizer_of_its_series_does_not_change_its_size(tmp_path):
    draw_series(tmp_path / "s", slices=8)
    draw_series(
        tmp_path / "s" / "scout", slices=1, axes=(0, 1, 0, 0, 0, -1), matrix=(64, 64), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    assert read_dicom(tmp_path / "s").median_shape == (8, 20, 24)


def test_frames_without_a_place_are_counted_and_said(tmp_path):
    path = tmp_path / "s" / "one.dcm"
    path.parent.mkdir()
    (image, *_) = draw_series(tmp_path / "drawn", slices=1)
    del image.ImagePositionPatient
    image.NumberOfFrames, image.PixelData = 5, image.PixelData * 5
    pydicom.dcmwrite(path, image, enforce_file_format=True)
    found = read_dicom(tmp_path / "s")
    assert found.median_shape == (5, 20, 24)
    assert found.median_spacing == (2, 1.5, 1)
    assert any(sentence.startswith("1 series state no place") for sentence in found.unknown)


def test_headers_that_were_not_read_are_said_in_notes_and_text(tmp_path, monkeypatch):
    draw_series(tmp_path / "s", slices=8)
    assert not any("Headers of" in sentence for sentence in read_dicom(tmp_path / "s").unknown)
    monkeypatch.setattr(module, "_MOST_HEADERS", 5)
    found = read_dicom(tmp_path / "s")
    (sentence,) = (one for one in found.unknown if "Headers of the first 5 of 8 files were read" in one)
    assert sentence in recipe_yaml("planned", found, decide(found, minutes=1))


@pytest.mark.parametrize("broken", [{"ImageOrientationPatient": [0.0] * 6}, {"PixelSpacing": [0.0, 0.0]}, {"ImagePositionPatient": None}])
def test_headers_that_say_no_plane_do_not_stop_the_plan(tmp_path, broken):
    draw_series(tmp_path / "s", slices=4, **broken)
    found = read_dicom(tmp_path / "s")
    assert found.median_shape == (4, 20, 24)
    assert any("state no place" in sentence for sentence in found.unknown)
    assert min(found.median_spacing) > 0
