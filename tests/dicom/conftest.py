from __future__ import annotations

import pytest

from medkd.dicom.ingest import ingest_folder
from medkd.phantom.dicom_studies import write_phantom_dicom

SECRET = b"tests"


@pytest.fixture(scope="session")
def phantom(tmp_path_factory):
    """Return a folder of eight phantom studies (with the usual faults), its drawn cases, and where each study lies."""
    folder = tmp_path_factory.mktemp("phantom")
    cases, studies = write_phantom_dicom(folder, studies=8, seed=3)
    return folder, cases, studies


@pytest.fixture(scope="session")
def ingested(phantom, tmp_path_factory):
    """Return the report and the store folder of the phantom, NIfTI included."""
    out = tmp_path_factory.mktemp("store")
    return ingest_folder(phantom[0], out, secret=SECRET, nifti=True), out
