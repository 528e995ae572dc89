"""A mark in every text, segment, folder, file, archive and member of the source: nothing outside of quarantine says it, and only the owner reads it."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from pypdf import PdfReader, PdfWriter

from data_contracts import LIKERT_ITEMS, FeedbackForm, FindingVerdict, OwnReadAnswer, ReviewReport, VoxelMask, load_record
from flows.demo import _TINY, RECIPES
from medkd.feedback.keep import findings_of
from medkd.feedback.log import FeedbackLog
from tests.ground_truth import CANARY, open_to_others, places_of, plant

pytestmark = pytest.mark.xdist_group("demo")
MODEL = "models:/phantom-segmentation-teacher/1"
#: Of both recipes; that it ends is asked here, and what it leaves.
TINY = {
    "data.student": 32,
    "explain.explainers": [{"name": "grad_cam"}],
    "explain.cases": 1,
}


@pytest.fixture(autouse=True)
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(scope="module")
def planted(smoke, tmp_path_factory):
    """Return the demo's studies with the mark everywhere."""
    return plant(smoke.folder / "dicom", tmp_path_factory.mktemp("planted") / f"{CANARY}_inbox", zipped="study002")


def test_the_search_finds_a_mark_in_whatever_may_hold_one(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("b.txt.gz", gzip.compress(CANARY.lower().encode()))
        archive.writestr(f"{CANARY}.txt", b"")
    info = PngImagePlugin.PngInfo()
    info.add_text("who", CANARY, zip=True)
    Image.new("L", (2, 2)).save(tmp_path / "c.png", pnginfo=info)
    with sqlite3.connect(tmp_path / "d.db") as database:
        database.execute("create table t (x)")
        database.execute("insert into t values (?)", (f"of {CANARY}",))
    (tmp_path / "e.txt").write_bytes(CANARY.encode("utf-16-le"))
    (tmp_path / f"{CANARY}.f").touch()
    for name, said in (("h.pdf", {"/Author": CANARY}), ("i.pdf", {})):
        document = PdfWriter()
        document.add_blank_page(9, 9)
        document.add_metadata(said)
        if not said:
            document.add_attachment("who.txt", CANARY.encode())
        document.compress_identical_objects()
        document.write(tmp_path / name)
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "quarantine" / "g").write_text(CANARY)
    found = {Path(place.split("!")[0].split(" (")[0]).name for place in places_of(CANARY, tmp_path)}
    assert found == {"a.zip", "c.png", "d.db", "e.txt", f"{CANARY}.f", "h.pdf", "i.pdf"}


def test_ingestion_and_deidentification_leave_no_mark_and_close_what_stays(planted, here, tmp_path):
    assert here("ingest", planted, "--out", tmp_path / "store", "--nifti", "--json")[0] == 0
    assert here("deidentify", planted, "--out", tmp_path / "share", "--quarantine-folder", tmp_path / "kept", "--json")[0] == 0
    assert len(json.loads((tmp_path / "store" / "manifest.json").read_text())["volumes"]) > 4
    shared = list((tmp_path / "share").rglob("*.dcm"))
    assert len(shared) > 20
    assert places_of(CANARY, tmp_path / "store", tmp_path / "share") == []
    assert open_to_others(tmp_path / "store", tmp_path / "kept") == []
    # What is handed on is for others: the usual modes.
    assert {stat.S_IMODE(path.stat().st_mode) for path in shared} == {0o644}
    folders = [tmp_path / "share", *(path for path in (tmp_path / "share").rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o755}


@pytest.mark.extended
@pytest.mark.parametrize("command", ["run-study", "explain-study"])
def test_a_study_leaves_no_mark_in_databases_logs_and_registries(planted, here, smoke, tmp_path, command, medkd):
    study = planted / f"{CANARY}_study001"
    options = ("--explainers", "grad_cam") if command == "explain-study" else ()
    arguments = (
        command,
        study,
        "--model",
        MODEL,
        "--run",
        smoke.folder,
        "--out",
        tmp_path / "out",
        *options,
        "--engine",
        "prefect",
        "--json",
    )
    environment = {"PREFECT_HOME": str(tmp_path / "out" / "prefect"), "XDG_CACHE_HOME": str(smoke.cache)}
    done = medkd(*map(str, arguments), cwd=tmp_path, **environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert list((tmp_path / "out" / "prefect").glob("prefect.db"))
    assert places_of(CANARY, tmp_path / "out", smoke.folder / "mlartifacts") == []
    with sqlite3.connect(smoke.folder / "mlflow.db") as database:
        assert CANARY.lower() not in "\n".join(database.iterdump()).lower()
    assert open_to_others(tmp_path / "out") == []
    if command == "run-study":
        judge_without_a_mark(here, study, tmp_path, smoke.folder)


def judge_without_a_mark(here, study, folder, run):
    """Take a reader's form about the study's report into a log, its mirror and its exports; a comment that names the patient does not get that far."""
    (path,) = (folder / "out").rglob("report.json")
    report = load_record(path, ReviewReport)
    forms = folder / "forms"
    forms.mkdir()
    verdicts = tuple(FindingVerdict(finding=name, prediction="agree", explanation="not_judged") for name in findings_of(report))
    fields = {
        "report": report.digest(), "study_key": report.volume.study_key, "decision": "accept", "verdicts": verdicts,
        "likert": dict.fromkeys(LIKERT_ITEMS, 3), "seconds_on_page": 9.0, "seconds_with_overlay": 1.0, "page_version": "0.1.0",
        "own_read": OwnReadAnswer(answer="present", seconds=2.0),
    }  # fmt: skip
    missed = VoxelMask(shape=report.volume.geometry.shape, runs=((5, 3), (40, 2)))
    FeedbackForm(form="1" * 32, comment="The map lies on the rib.", missed=(missed,), **fields).write(forms / "a.json")
    FeedbackForm(form="2" * 32, comment=f"Discussed with Dr. {CANARY}.", **fields).write(forms / "b.json")
    take = ("feedback", "import", forms, "--log", folder / "log", "--reports", folder / "out", "--reviewer", "r1", "--json")
    status, said, errors = here(*take)
    assert (status, [one["code"] for one in json.loads(said)["refused"]]) == (0, ["IDENTIFIER_IN_TEXT"])
    (_, digest), log, reports = json.loads(said)["kept"][0], folder / "log", ("--reports", folder / "out")
    # What goes back to a viewer carries the source's patient; what comes from there is voxels, in the frame of reference of what was ingested.
    status, _, more = here("feedback", "masks", log, "--entry", digest, *reports, "--source", study, "--out", folder / "segs")
    assert status == 0, more
    FeedbackForm(form="3" * 32, **fields).write(folder / "other" / "c.json")
    seg = ("--seg", folder / "segs" / "feedback-1-1.dcm")
    status, _, more = here("feedback", "import", folder / "other" / "c.json", "--log", log, *reports, "--reviewer", "r2", *seg)
    assert status == 0, more
    assert FeedbackLog(log).entries()[-1].record.missed == (missed,)
    for form in ("jsonl", "csv"):
        assert here("feedback", "export", folder / "log", "--out", folder / "exported" / form, "--format", form, "--comments")[0] == 0
    status, mirrored, more = here("feedback", "mirror", folder / "log", "--reports", folder / "out", "--run", run, "--json")
    assert json.loads(mirrored)["attached"] == 2, more
    assert places_of(CANARY, folder / "log", folder / "exported", run / "mlartifacts") == []
    assert places_of(str(folder), folder / "log", folder / "exported", *(run / "mlartifacts").rglob("feedback")) == []
    with sqlite3.connect(run / "mlflow.db") as database:
        assert CANARY.lower() not in "\n".join(database.iterdump()).lower()
    assert CANARY.lower() not in (said + errors + mirrored + more).lower()
    assert open_to_others(folder / "log", folder / "exported") == []


@pytest.mark.extended
def test_the_default_folder_of_an_explanation_is_not_called_after_the_study(planted, here, smoke, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = planted / f"{CANARY}_study001"
    status, _, errors = here("explain-study", study, "--model", MODEL, "--run", smoke.folder, "--explainers", "grad_cam", "--json")
    assert status == 0, errors
    assert places_of(CANARY, tmp_path / "runs") == []
    assert open_to_others(tmp_path / "runs") == []


@pytest.mark.extended
def test_a_failed_study_leaves_no_mark_either(here, smoke, tmp_path, medkd):
    study = tmp_path / f"{CANARY}_study"
    shutil.copytree(smoke.folder / "dicom" / "study001", study)
    for path in study.rglob("*.dcm"):
        path.rename(path.with_name(f"{CANARY}_{path.name}"))
    environment = {"PREFECT_HOME": str(tmp_path / "out" / "prefect"), "XDG_CACHE_HOME": str(smoke.cache)}
    arguments = (
        "run-study",
        study,
        "--model",
        MODEL,
        "--run",
        smoke.folder,
        "--out",
        tmp_path / "out",
        "--series",
        CANARY,
        "--engine",
        "prefect",
    )
    done = medkd(*map(str, arguments), cwd=tmp_path, **environment)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2].startswith("WHICH_SERIES: expected") or "WHICH_SERIES: expected" in done.stderr
    assert CANARY in done.stderr
    assert places_of(CANARY, tmp_path / "out") == []


@pytest.mark.extended
def test_reports_of_a_store_leave_no_mark(planted, here, smoke, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKD_WORKERS", "0")
    assert here("ingest", planted / f"{CANARY}_study001", "--out", tmp_path / "store")[0] == 0
    status, _, errors = here(
        "report-store", tmp_path / "store", "--run", smoke.folder, "--model", MODEL, "--out", tmp_path / "pages", "--json"
    )
    assert status == 0, errors
    assert places_of(CANARY, tmp_path / "pages", tmp_path / "store") == []
    assert open_to_others(tmp_path / "pages") == []


@pytest.mark.extended
def test_a_report_on_paper_leaves_no_mark(planted, here, smoke, tmp_path, chromium_path):
    """Neither in the text of the PDF, nor in its metadata, nor in the pictures and records beside it."""
    study = planted / f"{CANARY}_study001"
    status, _, errors = here("run-study", study, "--model", MODEL, "--run", smoke.folder, "--out", tmp_path / "out", "--json")
    assert status == 0, errors
    status, said, errors = here("report-study", tmp_path / "out", "--pdf", "en", "--json")
    assert status == 0, errors
    pdf = PdfReader(json.loads(said.splitlines()[-1])["pdf"]["en"])
    texts = [page.extract_text() for page in pdf.pages]
    texts += [str(pdf.metadata), str(pdf.trailer["/Root"].get("/Metadata", b"") and pdf.trailer["/Root"]["/Metadata"].get_data())]
    assert all("RESEARCH USE ONLY" in page for page in texts[: len(pdf.pages)])
    for hidden in (CANARY, str(tmp_path), str(planted), os.environ.get("USER", "root") + "@"):
        assert hidden.lower() not in "".join(texts).lower(), hidden
    assert places_of(CANARY, tmp_path / "out") == []
    assert open_to_others(tmp_path / "out") == []


@pytest.mark.extended
@pytest.mark.timeout(540)
def test_the_scheduled_flow_leaves_no_mark(planted, smoke, tmp_path):
    out, home = tmp_path / "nightly", tmp_path / "home"
    home.mkdir()  # of the Prefect that schedules: not the run's
    given = {
        "recipes": [str(RECIPES / f"phantom-{kind}.yaml") for kind in ("classification", "segmentation")],
        "out": str(out),
        "studies": str(planted),
        "overrides": {**_TINY, **TINY},
    }
    code = "import json, sys\nfrom flows.deployments import nightly_distill\nnightly_distill(**json.loads(sys.argv[1]))\n"
    environment = {**os.environ, "MEDKD_WORKERS": "0", "PREFECT_HOME": str(home), "XDG_CACHE_HOME": str(smoke.cache)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, json.dumps(given)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert list(out.rglob("report.html"))
    assert list((out / "mlartifacts").rglob("*.zip"))
    assert (home / "prefect.db").is_file()
    assert places_of(CANARY, out, home) == []
    assert open_to_others(out) == []


def test_a_finished_run_is_its_owners_only(smoke):
    """Made by a process of its own under the umask of whoever runs the tests; its invented studies are for handing on."""
    assert [line for line in open_to_others(smoke.folder) if "/dicom" not in line] == []
