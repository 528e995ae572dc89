"""`medkd report-store` of a store with an odd series in it, with the panel of a run and with one registered model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from data_contracts import ReviewReport, load_record
from medkd.explanation.artefact import read_explanation
from tests.cohorts.test_dicom_series import write_series, write_study
from tests.flows.test_ingested_study import registered

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


def test_a_model_of_several_images_reports_every_study_and_says_of_which_one_is_missing(here, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKD_WORKERS", "0")
    for number in range(3):
        write_study(tmp_path / "in" / f"p{number}", number)
    shutil.rmtree(tmp_path / "in" / "p1" / "three")
    assert here("ingest", tmp_path / "in", "--out", tmp_path / "studies")[0] == 0
    uris, tracking = registered(tmp_path / "run", both=("t2", "t1"))
    asked = ("report-store", tmp_path / "studies", "--run", tmp_path / "run", "--model", uris["both"])
    assert tracking == f"sqlite:///{tmp_path / 'run' / 'mlflow.db'}"
    status, text, errors = here(*asked, "--out", tmp_path / "pages", "--json")
    assert status == 0, errors
    payload = json.loads(text.splitlines()[-1])
    assert len(payload["reports"]) == 2
    ((code, reason),) = [(one["code"], one["reason"]) for one in payload["refused"]]
    assert code == "CHANNEL_MISSING"
    assert "expected a volume as t2 in the study" in reason
    for page in payload["reports"]:
        report = load_record(Path(page).with_name("report.json"), ReviewReport)
        (explained,) = report.explanations
        assert len(explained.further) == 1
        assert explained.further[0].study_key == explained.volume.study_key
        assert "SEVERAL_IMAGES" in [one.code for one in report.caveats]
    shutil.rmtree(tmp_path / "in")
    write_series(tmp_path / "in" / "p3", 3, "one", "T2 axial")
    assert here("ingest", tmp_path / "in", "--out", tmp_path / "others")[0] == 0
    status, _, errors = here("report-store", tmp_path / "others", *asked[2:], "--out", tmp_path / "none")
    assert (status, errors.splitlines()[-1].split(":")[0]) == (2, "NO_REPORT")
