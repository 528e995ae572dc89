"""`medkd report-store` of a store with an odd series in it, with the panel of a run and with one registered model."""

from __future__ import annotations

import json
import shutil

import pytest

from data_contracts import ReviewReport, load_record
from medkd.explanation.artefact import read_explanation

pytestmark = pytest.mark.xdist_group("demo")
MODEL = "models:/phantom-segmentation-teacher/1"


@pytest.fixture
def store(smoke, here, tmp_path):
    """Return a store of a study that the demo's models can read and of one that they cannot."""
    shutil.copytree(smoke.folder / "dicom" / "study001", tmp_path / "in" / "study001")
    assert here("phantom", "--case", "regular", "--out", tmp_path / "in" / "odd")[0] == 0
    assert here("ingest", tmp_path / "in", "--out", tmp_path / "studies")[0] == 0
    return tmp_path / "studies"


@pytest.mark.parametrize("model", [(), ("--model", MODEL)])
def test_an_odd_series_is_listed_with_its_reason_and_the_others_are_reported(store, here, smoke, tmp_path, model, monkeypatch):
    monkeypatch.setenv("MEDKD_WORKERS", "0")
    out = tmp_path / "pages"
    status, text, errors = here("report-store", store, "--run", smoke.folder, *model, "--out", out, "--json")
    assert status == 0, errors
    payload = json.loads(text.splitlines()[-1])
    assert (len(payload["reports"]), [one["code"] for one in payload["refused"]]) == (1, ["GRID_MISMATCH"])
    index = (out / "index.html").read_text()
    assert payload["index"] == str(out / "index.html")
    assert payload["refused"][0]["series"] in index
    assert "GRID_MISMATCH" in index
    series = next(path for path in out.iterdir() if path.is_dir() and (path / "report.html").is_file())
    assert payload["reports"] == [str(series / "report.html")]
    assert f'href="{series.name}/report.html"' in index
    report = load_record(series / "report.json", ReviewReport)
    assert report.volume.series_key == series.name
    assert [one.kind.value for one in report.explanations] == (["segmentation"] if model else ["segmentation", "classification"])
    if model:  # the artefact that the page was made from lies beside it
        (artefact,) = (series / "explanations").iterdir()
        assert read_explanation(artefact)[0] == report.explanations[0]
        # Its volume lies in the store that was reported.
        status, text, errors = here("replay", artefact.name, "--in", out, "--store", store, "--run", smoke.folder)
        assert status == 0, errors
        assert "every bit is the same" in text


def test_a_store_that_no_model_can_read_is_status_two_and_says_why(here, smoke, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKD_WORKERS", "0")
    here("phantom", "--case", "regular", "--out", tmp_path / "odd")
    here("ingest", tmp_path / "odd", "--out", tmp_path / "studies")
    status, text, errors = here("report-store", tmp_path / "studies", "--run", smoke.folder, "--model", MODEL, "--out", tmp_path / "o")
    assert status == 2
    assert "GRID_MISMATCH: expected" in text
    assert errors.splitlines()[-1].startswith("NO_REPORT: expected")


def test_an_altered_panel_is_refused_by_name(store, here, smoke, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("mlflow.db", "panel.json", ".medkd-panel"):
        shutil.copy(smoke.folder / name, run / name)
    payload = bytearray((run / "panel.json").read_bytes())
    payload[len(payload) // 2] ^= 1
    (run / "panel.json").write_bytes(payload)
    status, _, errors = here("report-store", store, "--run", run, "--out", tmp_path / "o")
    assert status == 2
    assert errors.splitlines()[-1].startswith("PANEL_ALTERED: expected")
    assert "panel.json" in errors


def test_without_a_panel_nothing_is_guessed_where_several_models_could_be_meant(store, here, smoke, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(smoke.folder / "mlflow.db", run / "mlflow.db")
    status, _, errors = here("report-store", store, "--run", run, "--out", tmp_path / "o")
    assert status == 2
    last = errors.splitlines()[-1]
    assert last.startswith("MODEL_CHOICE: expected one segmentation model, got")
    assert "models:/phantom-segmentation-kd/1" in last
    assert "classification" not in last
    assert not (tmp_path / "o").exists()
