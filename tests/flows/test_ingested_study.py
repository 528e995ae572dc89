from __future__ import annotations

import pytest

from data_contracts import DataError, OutputError
from flows.ingested_study import ingest_study
from medkd.phantom.dicom_studies import write_phantom_dicom
from medkd.storage.workspace import Workspace


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    _, (found,) = write_phantom_dicom(tmp_path_factory.mktemp("dicom") / "all", studies=1, faults=False)
    return found.folder


def test_a_study_is_ingested_below_the_workspace_and_its_volume_chosen(study, tmp_path):
    report, volume, store = ingest_study(Workspace(tmp_path / "out", "sqlite://"), study, None, None)
    assert store == tmp_path / "out" / "store"
    assert volume.series_key in str(report.files) or volume.geometry.shape[0] > 1
    again = ingest_study(Workspace(tmp_path / "out", "sqlite://"), study, volume.series_key, None)[1]
    assert again.array.sha256 == volume.array.sha256


def test_nothing_to_ask_about_and_an_output_over_the_source_are_refused(study, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        ingest_study(Workspace(tmp_path / "out", "sqlite://"), tmp_path / "empty", None, None)
    assert caught.value.code == "NO_VOLUME"
    with pytest.raises(OutputError):
        ingest_study(Workspace(study, "sqlite://"), study, None, None)
