"""The same answer by every runtime, on the voxels that a case came with, written as it would be kept."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pytest
import safetensors.numpy

from data_contracts import Checkpoint, NetworkSpec, Role, Task
from medkd.compression import form_process
from medkd.compression.form_process import FormJob, asked_form, main, write_answer
from medkd.models._build import build_network
from medkd.serving.export_onnx import export_onnx
from medkd.storage.store import Store

AFFINE = np.diag([2.0, 1.0, 1.0, 1.0])
TASKS = {
    "volumes": Task(
        kind="segmentation", classes=("a", "b", "c"), image_size=(8, 16, 16), intensity="standardised", spacing_mm=(1.5, 1.0, 1.0)
    ),
    "two volumes": Task(kind="segmentation", classes=("a", "b"), image_size=(8, 16, 16), intensity="standardised", channels=("t1", "t2")),
    "patches": Task(kind="classification", classes=("a", "b"), image_size=(8, 16, 16)),
    "pictures": Task(kind="classification", classes=("a", "b"), image_size=(16, 16)),
    "masks": Task(kind="segmentation", classes=("a", "b"), image_size=(16, 16)),
}


@pytest.fixture(scope="module", params=sorted(TASKS))
def jobs(request, tmp_path_factory):
    task, folder = TASKS[request.param], tmp_path_factory.mktemp("jobs")
    options = {"channels": (4, 8, 8)} if task.kind == "segmentation" else {"channels": (4, 4, 6, 8)}
    builder = "unet" if task.kind == "segmentation" else "resnet"
    spec = NetworkSpec(
        builder=builder, spatial_dims=task.spatial_dims, in_channels=task.in_channels, out_channels=len(task.classes), options=options
    )
    network, store = build_network(spec, seed=2).eval(), Store(folder, "run")
    weights = store.write_tensors("weights", network.state_dict())
    checkpoint = Checkpoint(
        role=Role.STUDENT, arm="kd", seed=0, network=spec, task=task, weights=weights, weights_digest=weights.sha256, cohort_digest="c" * 64,
        recipe_digest="d" * 64, parameters=1, epochs=1,
    )  # fmt: skip
    (folder / "model.onnx").write_bytes(export_onnx(network, task).payload)
    volume = task.spatial_dims == 3
    size = (task.in_channels, *((10, 18, 20) if volume else task.image_size))
    values = np.random.default_rng(0).normal(scale=80, size=size).astype(np.float32)
    safetensors.numpy.save_file({"values/0": values} | ({"affine/0": AFFINE} if volume else {}), folder / "cases")

    def job(runtime):
        file = folder / ("weights" if runtime == "torch" else "model.onnx")
        return FormJob(runtime=runtime, checkpoint=checkpoint, files=(str(file),), cases=str(folder / "cases"))

    return job, values, AFFINE if volume else None


def test_exported_forms_answer_what_torch_answers(jobs):
    job, values, affine = jobs
    own, other = (asked_form(job(runtime))(values, affine) for runtime in ("torch", "onnx"))
    assert own.shape == other.shape
    if job("torch").checkpoint.task.kind == "segmentation":
        assert (own != other).mean() < 1e-3  # where two classes are as likely
        assert len(np.unique(own)) > 1
    else:
        np.testing.assert_allclose(own, other, atol=1e-3)


def test_the_process_answers_a_line_a_case_and_its_memory_in_the_end(jobs, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("0\n0\nend\n"))
    monkeypatch.setattr(form_process, "_AT_LEAST_S", 0.0)
    main(jobs[0]("onnx"))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == {"ready": True}
    assert all(one["seconds"] > 0 and one["processor_seconds"] >= 0 for one in lines[1:3])
    assert lines[3]["peak_bytes"] > 1e6


@pytest.mark.parametrize(
    ("answer", "affine", "file"),
    [
        (np.ones((2, 3, 4), dtype=np.int64), AFFINE, "answer.nii.gz"),
        (np.ones((1, 3, 4), dtype=np.int64), None, "answer.png"),
        (np.array([[0.5, 0.25]]), None, "answer.json"),
        (np.array([[0.5, 0.25]]), AFFINE, "answer.json"),
    ],
)
def test_answers_are_written_and_read_back(answer, affine, file, tmp_path):
    write_answer(answer, affine, tmp_path)
    path = tmp_path / file
    if file.endswith(".json"):
        assert json.loads(path.read_text()) == answer.tolist()
    elif file.endswith(".png"):
        from PIL import Image

        assert np.array_equal(np.asarray(Image.open(path)), answer[0])
    else:
        import nibabel

        assert np.array_equal(np.asarray(nibabel.load(path).dataobj), answer)
