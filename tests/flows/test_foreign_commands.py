"""`medkd import-teacher`: what it says, and what it refuses."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from monai.networks.nets import SegResNet

from tests.foreign.conftest import ARGUMENTS, Malicious
from tests.registry.conftest import empty_database

__all__ = ["empty_database"]


@pytest.fixture
def run(tmp_path, empty_database):
    (tmp_path / "run").mkdir()
    shutil.copy(empty_database, tmp_path / "run" / "mlflow.db")
    return tmp_path / "run"


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    torch.save(SegResNet(spatial_dims=2, in_channels=1, out_channels=3, **ARGUMENTS).state_dict(), tmp_path / "net.pth")
    task = {"kind": "segmentation", "classes": ["background", "a", "b"], "image_size": [16, 16]}
    (tmp_path / "task.yaml").write_text(json.dumps({"task": task, "monai": {"name": "SegResNet", "arguments": ARGUMENTS}}))
    return tmp_path / "net.pth"


def test_a_teacher_is_registered_and_the_recipe_lines_follow(here, run, weights):
    given = ("import-teacher", weights, "--task", weights.with_name("task.yaml"), "--run", run)
    status, said, errors = here(*given, "--class-map", "background=background", "--class-map", "lesion=a+b", "--json")
    assert status == 0, errors
    found = json.loads(said.splitlines()[-1])
    assert (found["uri"], found["classes"], found["closed_form"]) == ("models:/net/1", ["background", "lesion"], False)
    status, said, _ = here(*given, "--name", "plain")
    assert status == 0
    assert "teacher: {registered: models:/plain/1, gate: {min_dice: 0.8}}" in said
    assert "caveat: Whose data it was trained on is not known" in said


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["{weights}"], "TASK_MISSING"),
        (["{weights}", "--kind", "bundle"], "SOURCE_KIND"),
        (["nowhere"], "SOURCE_MISSING"),
        (["{weights}", "--task", "nowhere.yaml"], "TASK_FILE_UNREADABLE"),
        (["{weights}", "--class-map", "x"], "OPTION_PAIR"),
        (["{weights}", "--class-map", "x=a", "--class-map", "x=b"], "OPTION_PAIR"),
        (["{weights}", "--task", "{task}", "--class-map", "x=a"], None),
        (["{weights}", "--task", "{task}", "--class-map", "x=zzz"], "CLASSES_DIFFER"),
    ],
)
def test_what_cannot_be_imported_is_one_sentence(here, run, weights, arguments, code):
    filled = [part.format(weights=weights, task=weights.with_name("task.yaml")) for part in arguments]
    status, _, errors = here("import-teacher", *filled, "--run", run)
    assert status == (0 if code is None else 2), errors
    assert code is None or errors.strip().splitlines()[-1].startswith(f"{code}: expected "), errors


def test_a_pickle_that_would_run_code_leaves_no_version(here, run, weights, tmp_path):
    torch.save({"state_dict": Malicious(tmp_path / "ran")}, weights)
    status, _, errors = here("import-teacher", weights, "--task", weights.with_name("task.yaml"), "--run", run)
    assert (status, errors.strip().splitlines()[-1].split(":")[0]) == (2, "WEIGHTS_UNSAFE")
    assert not (tmp_path / "ran").exists()
