from __future__ import annotations

import pytest

import medkd
from data_contracts import DataError, DicomData, NetworkSpec, OutputError, Task
from flows.ingested_study import ingest_study
from medkd.dicom.ingest_cache import read_manifest
from medkd.phantom.dicom_studies import write_phantom_dicom
from medkd.storage.workspace import Workspace, local_workspace
from tests.cohorts.test_dicom_series import CHANNELS, write_study
from tests.registered import register_tiny

#: Asked for nothing where the study has one volume, or its key is given.
MODEL = "models:/nobody/1"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    _, (found,) = write_phantom_dicom(tmp_path_factory.mktemp("dicom") / "all", studies=1, faults=False)
    return found.folder


def test_a_study_is_ingested_below_the_workspace_and_its_volume_chosen(study, tmp_path):
    report, volume, store = ingest_study(Workspace(tmp_path / "out", "sqlite://"), study, None, None, MODEL)
    assert store == tmp_path / "out" / "store"
    assert volume.series_key in str(report.files) or volume.geometry.shape[0] > 1
    again = ingest_study(Workspace(tmp_path / "out", "sqlite://"), study, volume.series_key, None, MODEL)[1]
    assert again.array.sha256 == volume.array.sha256


def test_nothing_to_ask_about_and_an_output_over_the_source_are_refused(study, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        ingest_study(Workspace(tmp_path / "out", "sqlite://"), tmp_path / "empty", None, None, MODEL)
    assert caught.value.code == "NO_VOLUME"
    with pytest.raises(OutputError):
        ingest_study(Workspace(study, "sqlite://"), study, None, None, MODEL)


def test_of_several_series_the_one_is_asked_about_that_the_model_is_for(tmp_path):
    write_study(tmp_path / "study", 0)
    task = Task(kind="segmentation", classes=("background", "lesion"), image_size=(8, 16, 16), intensity="standardised")
    spec, data = NetworkSpec(builder="unet", spatial_dims=3, options={"channels": (4, 6)}), DicomData(path="s", channels=CHANNELS)
    uris = {}
    for name, seen in {"late": ("t1c",), "both": ("t1", "t2"), "plain": ()}.items():
        wanted = spec.model_copy(update={"in_channels": max(1, len(seen))})
        uris[name] = register_tiny(tmp_path / "run", task.model_copy(update={"channels": seen}), wanted, name=name, data=data)
    tracking = local_workspace(tmp_path / "run").tracking_uri
    _, volume, store = ingest_study(Workspace(tmp_path / "late", tracking), tmp_path / "study", None, None, uris["late"])
    said = {one.series_key: one.acquisition for one in read_manifest(store).series}
    assert "with contrast" in said[volume.series_key]
    for name in ("both", "plain"):
        with pytest.raises(DataError, match="expected one series in the source, it holds 3") as caught:
            ingest_study(Workspace(tmp_path / name, tracking), tmp_path / "study", None, None, uris[name])
        assert caught.value.code == "WHICH_SERIES"
    found = medkd.load(uris["late"], tracking_uri=tracking).predict(tmp_path / "study")
    assert found.volume.series_key == volume.series_key
