"""Forms are timed in processes of their own, in turns; one that does its work ten times is found out."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy

from data_contracts import CompressionBounds, CompressionError, FormFigures
from medkd.compression.bounds import refusals_of
from medkd.compression.form_process import FormJob
from medkd.compression.time_forms import FormCost, time_forms, time_jobs, typical_cases
from tests.compression.made import own_form, planted, ten_times


@pytest.fixture(scope="module")
def costs(workspace, cohorts, student):
    """Return what the version by ONNX Runtime costs, and the same network asked ten times for each answer."""
    forms = [own_form(workspace, cohorts, student, "onnx"), planted(workspace, student, "slow", ten_times(workspace, student))]
    return time_forms(workspace, forms, cohorts, rounds=3)


def test_a_form_that_does_its_work_ten_times_is_refused_as_slower(costs, workspace, cohorts, student):
    over = costs["slow"].speed_over(costs["onnx"])
    assert over.mean < 0.6
    figures = FormFigures(
        name="slow", runtime="onnx", parameters=1, bytes=1, task={"mean": 1, "low": 1, "high": 1, "n": 2},
        task_difference={"mean": 0, "low": 0, "high": 0, "n": 2}, speed={"mean": 3, "low": 3, "high": 3, "n": 3}, speed_same_runtime=over,
    )  # fmt: skip
    (refusal,) = refusals_of(figures, CompressionBounds())
    assert refusal.code == "FORM_SLOWER"
    assert f"{over.mean:.2f} times as fast as the version asked by onnx" in refusal.why


def test_memory_is_that_of_a_process_without_torch(costs):
    """Torch alone takes more than 300 MB."""
    assert 30 < costs["onnx"].peak_megabytes < 300
    assert costs["onnx"].watt_hours > 0
    assert len(costs["onnx"].seconds) == 3


def test_speed_is_the_median_of_the_turns_with_their_range():
    fast, slow = FormCost((1.0, 2.0, 4.0), 1.0, 1.0), FormCost((2.0, 2.0, 20.0), 1.0, 1.0)
    found = fast.speed_over(slow)
    assert (found.mean, found.low, found.high, found.n) == (2.0, 1.0, 5.0, 3)
    assert fast.median == 2.0


def test_a_form_that_cannot_be_asked_is_named_with_what_it_said(tmp_path, student):
    cases = tmp_path / "cases.safetensors"
    safetensors.numpy.save_file({"values/0": np.zeros((1, 4, 4), np.float32)}, cases)
    job = FormJob(runtime="onnx", checkpoint=student, files=(str(tmp_path / "gone.onnx"),), cases=str(cases))
    with pytest.raises(CompressionError, match=r"'broken'.*gone\.onnx") as caught:
        time_jobs({"broken": job}, 1, 1, tmp_path)
    assert caught.value.code == "FORM_NOT_ASKED"


def test_pictures_are_timed_as_they_came(cohorts, workspace, recipe):
    found = typical_cases(cohorts, workspace.store, recipe.task)
    assert sorted(found) == ["values/0", "values/1"]
    assert found["values/0"].shape == (1, *recipe.task.image_size)
    low, high = recipe.task.window
    assert low <= found["values/0"].min() < found["values/0"].max() <= high


def test_the_process_of_an_exported_form_does_without_torch():
    code = "import sys; sys.modules['torch'] = None; import medkd.compression.form_process as m, medkd.serving.study, medkd.serving.network; print(m.WARM)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2"
