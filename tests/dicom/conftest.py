from __future__ import annotations

import pydicom
import pytest
from pydicom import config

from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import find_variant
from tests.dicom.ingesting import ingest_folder

SECRET = b"tests"


@pytest.fixture(scope="session")
def ingested(phantom, tmp_path_factory):
    """Return the report and the store folder of the phantom, NIfTI included."""
    out = tmp_path_factory.mktemp("store")
    return ingest_folder(phantom[0], out, secret=SECRET, nifti=True), out


@pytest.fixture
def odd_values_may_be_written(monkeypatch):
    """Let pydicom write and read what contradicts the standard."""
    monkeypatch.setattr(config.settings, "writing_validation_mode", config.IGNORE)
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.IGNORE)


@pytest.fixture
def series(tmp_path):
    """Return a maker: a sound series whose files are changed by a function of (index along the stack, dataset)."""

    def make(change=None, case="regular", variant="axial"):
        paths = write_case(tmp_path / "case", case, find_variant(variant))
        datasets = sorted(((pydicom.dcmread(path), path) for path in paths), key=lambda pair: float(pair[0].ImagePositionPatient[2]))
        for index, (dataset, path) in enumerate(datasets):
            if change is not None and change(index, dataset) is not False:
                dataset.save_as(path, enforce_file_format=True)
        return tmp_path / "case"

    return make
