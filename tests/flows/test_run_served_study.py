"""A study asked by ONNX Runtime or OpenVINO, in a process where torch, MONAI and Prefect cannot be imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import nibabel
import numpy as np
import pytest

from data_contracts import NetworkSpec, ReviewReport, Task, load_record
from data_contracts.compression import FormKind
from medkd.phantom.dicom_studies import write_phantom_dicom
from tests.registered import register_tiny
from tests.serving.conftest import marks_a_few_voxels

ROOT = Path(__file__).parents[2]
BLOCKED = "import sys\nfor name in ('torch', 'monai', 'prefect', 'lightning_fabric'): sys.modules[name] = None\nfrom flows.cli import main\nmain()"
SEGMENTS = Task(kind="segmentation", classes=("background", "lesion"))
CLASSIFIES = Task(kind="classification", classes=("benign", "malignant"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return the folder of a run with two versions, and a study of the phantom."""
    folder = tmp_path_factory.mktemp("site")
    register_tiny(
        folder / "run", SEGMENTS, NetworkSpec(builder="unet", options={"channels": (4, 8)}), name="cut", prepare=marks_a_few_voxels
    )
    register_tiny(folder / "run", CLASSIFIES, NetworkSpec(builder="resnet", options={"channels": (4, 4, 4, 4)}), name="sort")
    _, (study,) = write_phantom_dicom(folder / "dicom", studies=1, faults=False)
    return folder, study.folder


def asked(site, name, runtime, out, *, python=sys.executable, code=BLOCKED, more=()):
    folder, study = site
    command = [python, "-c", code, "run-study", study, "--model", f"models:/{name}-teacher/1", "--run", folder / "run", "--out", out]
    command += ["--runtime", runtime, "--engine", "none", "--json", *more]
    done = subprocess.run(
        list(map(str, command)), cwd=out.parent, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


PLAIN = "from flows.cli import main\nmain()"


def test_without_torch_a_study_is_segmented_reported_and_kept(site, tmp_path):
    summary = asked(site, "cut", "openvino", tmp_path / "out")
    report = load_record(tmp_path / "out" / "report.json", ReviewReport)
    assert summary["findings"]
    assert summary["report_digest"] == report.digest()
    assert "RUNTIME" in {one["code"] for one in summary["caveats"]}
    assert report.explanations[0].libraries.keys() == {"medkd", "openvino"}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "without torch" in page
    assert "没有 torch" in page
    assert nibabel.load(tmp_path / "out" / "segmentation.nii.gz").get_fdata().any()


@pytest.mark.extended
@pytest.mark.timeout(900)
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
@pytest.mark.parametrize("name", ["cut", "sort"])
def test_findings_are_those_of_torch(site, name, runtime, tmp_path):
    torch_out, own_out = tmp_path / "torch", tmp_path / "own"
    wanted, found = asked(site, name, "torch", torch_out, code=PLAIN), asked(site, name, runtime, own_out)
    kept = ("number", "class", "volume_ml", "side", "centre_lps_mm", "first_slice", "last_slice")
    for kind in ("findings", "answers"):
        assert [{key: one.get(key) for key in kept} for one in found[kind]] == [{key: one.get(key) for key in kept} for one in wanted[kind]]
    if name == "cut":
        own, other = (np.asarray(nibabel.load(out / "segmentation.nii.gz").dataobj) for out in (own_out, torch_out))
        np.testing.assert_array_equal(own, other)


@pytest.mark.extended
def test_results_are_published_as_dicom_without_torch(site, tmp_path):
    summary = asked(site, "cut", "onnx", tmp_path / "out", more=("--dicom-out", tmp_path / "dicom"))
    assert {path.name for path in Path(summary["dicom"]).iterdir()} >= {"segmentation.dcm", "result_set.json"}


@pytest.mark.extended
@pytest.mark.timeout(900)
def test_it_runs_where_what_the_form_requires_is_installed_and_nothing_else(site, tmp_path):
    from medkd.registry.export_form import export_form
    from medkd.registry.version_files import open_registry
    from medkd.storage.workspace import local_workspace

    form = export_form(open_registry(local_workspace(site[0] / "run")), "models:/cut-teacher/1", FormKind.OPENVINO, tmp_path / "form")
    venv.create(tmp_path / "edge", with_pip=True)
    python = tmp_path / "edge" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", form.folder / "requirements.txt"], check=True, timeout=700)
    listed = subprocess.run([python, "-m", "pip", "list", "--format=json"], check=True, capture_output=True, text=True).stdout
    assert not {"torch", "monai", "prefect"} & {one["name"] for one in json.loads(listed)}
    for runtime in ("onnx", "openvino"):
        assert asked(site, "cut", runtime, tmp_path / runtime, python=str(python), code=PLAIN)["findings"]
