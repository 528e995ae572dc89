"""A study whose lesions and maps are known, in any orientation, with its DICOM images."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.uid import generate_uid

from data_contracts import Entry, ExplanationRequest
from medkd.dicom.write_series import image_of_slice, write_series
from medkd.explanation.artefact import keep
from medkd.explanation.explain_study import explain_study
from medkd.results.ohif.reader import SETTING, version
from medkd.volumes.orientation import Grid
from tests.explanation.conftest import loaded, make_volume  # noqa: F401 - fixtures

UIDS = [generate_uid() for _ in range(3)]
BOXES = (np.s_[12:16, 4:8, 18:22], np.s_[3:8, 10:16, 5:9])


@pytest.fixture(autouse=True)
def without_ohif(request, monkeypatch, tmp_path):
    """Leave OHIF's reader out where a test is not about it: its packages take two seconds to load."""
    if "ohif" not in request.fixturenames:
        monkeypatch.setenv(SETTING, str(tmp_path / "absent"))


@pytest.fixture
def ohif():
    """Ask OHIF's reader too, where it is installed; return whether it is."""
    return version() is not None


@pytest.fixture
def study(loaded, make_volume, tmp_path):  # noqa: F811
    """Return a maker of an explained study: folder of the explanation, values, DICOM files."""

    def make(turn=((0, 0, 2.0), (0, 2.0, 0), (2.0, 0, 0)), boxes=BOXES, teacher=None):
        values, volume = make_volume(list(boxes), turn=turn)
        request = ExplanationRequest(explainers=(Entry(name="saliency"),))
        folder = keep(explain_study(values, volume, loaded, request), tmp_path / "explanations")
        array = values.numpy()
        grid = Grid(volume.geometry.shape, np.asarray(volume.geometry.affine_lps_mm))
        slices = [image_of_slice(np.round(plane).astype(np.int16), grid, index, "CT") for index, plane in enumerate(array)]
        for dataset in slices:
            dataset.PatientID, dataset.PatientName, dataset.StudyID, dataset.AccessionNumber = "P1", "Doe^Jane", "S1", "A1"
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = UIDS
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        files = write_series(slices, tmp_path / "dicom")
        return folder, array, list(files)

    return make
