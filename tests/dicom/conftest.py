from __future__ import annotations

import pytest

from tests.dicom.ingesting import ingest_folder

SECRET = b"tests"


@pytest.fixture(scope="session")
def ingested(phantom, tmp_path_factory):
    """Return the report and the store folder of the phantom, NIfTI included."""
    out = tmp_path_factory.mktemp("store")
    return ingest_folder(phantom[0], out, secret=SECRET, nifti=True), out
