"""A recipe whose student is trained by two processes, driven by each engine: torchrun is started by the task, wherever that runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import flows

pytestmark = [pytest.mark.extended, pytest.mark.timeout(600)]
RECIPE = Path(flows.__file__).parent / "recipes" / "phantom-classification.yaml"
SMALL = {
    "data.teacher": 64, "data.teacher_validation": 32, "data.student": 64, "data.test": 32, "data.debiased": 32, "data.reversed": 32,
    "data.marker_pairs": 8, "seeds": "[0]", "teacher.fit.epochs": 1, "student.fit.epochs": 2, "teacher.gate.enforce": "false",
    "student.network.options.channels": "[4, 4, 4, 4]", "teacher.network.options.channels": "[4, 4, 4, 4]", "student.fit.processes": 2,
}  # fmt: skip


def test_each_engine_ends_with_the_same_students(medkd, tmp_path):
    chosen = [part for name, value in SMALL.items() for part in ("--set", f"{name}={value}")]
    own = {"MEDKD_WORKERS": "1", "PYTHONPATH": str(Path(flows.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    found = {}
    for engine in ("none", "prefect"):
        out = tmp_path / engine
        done = medkd("evaluate", str(RECIPE), "--engine", engine, "--out", str(out), "--json", *chosen, cwd=tmp_path, **own)
        assert done.returncode == 0, done.stderr[-3000:]
        students = {path.parent.name for path in (out / "training").rglob("processes.log")}
        found[engine] = sorted(path.name for path in (out / "store" / "models").rglob("*.safetensors"))
        assert {name.rpartition("-")[0] for name in found[engine]} - {"teacher-0"} == students
        assert len(students) >= 2
    assert found["none"] == found["prefect"]  # names hold the digest of the weights
