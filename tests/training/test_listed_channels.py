"""A teacher on one image of a data set's list and a student on the other, from the folder to the student's score on another folder."""

from __future__ import annotations

import pytest
import torch
import yaml

from medkd.cohorts.prepare import prepare_cohorts
from medkd.evaluation.evaluate import evaluate_model, summarise
from medkd.models._load import load_network
from medkd.storage.workspace import local_workspace
from medkd.training.bind_recipe import bind_recipe
from medkd.training.recipes import read_recipe
from medkd.training.train import distill, train_teacher
from tests.cohorts.test_case_inputs import as_listed, volumes


@pytest.mark.extended
@pytest.mark.parametrize("kind", ["nnunet", "decathlon"])
def test_a_teacher_sees_one_image_of_the_list_and_its_student_the_other(tmp_path, kind):
    volumes(tmp_path, count=12)
    as_listed(tmp_path, kind)
    network = {"builder": "unet", "options": {"channels": [4, 6], "residual_units": 1}}
    fit = {"epochs": 1, "batch_size": 2, "learning_rate": 0.01}
    recipe = {
        "name": "listed",
        "task": {"kind": "segmentation", "classes": ["background", "lesion"], "image_size": [8, 8, 8], "intensity": "standardised", "channels": ["t1", "t2"]},
        "data": {"kind": "volume_folder", "path": kind, "patient_pattern": "odd-even"},
        "seeds": [0],
        "teacher": {"inputs": ["t1"], "network": network, "fit": fit, "terms": [{"loss": "cross_entropy"}], "gate": {"enforce": False, "min_dice": 0.1}},
        "student": {"inputs": ["t2"], "network": network, "fit": fit},
        "arms": {"kd": {"terms": [{"loss": "cross_entropy"}, {"loss": "logit_kd"}]}},
        "explain": {"explainers": [{"name": "cam"}], "measures": [{"name": "relevance_mass_accuracy"}], "cases": 1},
    }  # fmt: skip
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    recipe, workspace = read_recipe(tmp_path / "r.yaml"), local_workspace(tmp_path / "run", data_root=tmp_path)
    bind_recipe(recipe)
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), "")
    teacher = train_teacher(workspace, recipe.teacher_training(), cohorts)
    student = distill(workspace, recipe.student_training("kd", 0), cohorts, teacher)
    assert (teacher.task.channels, student.task.channels) == (("t1",), ("t2",))
    assert load_network(workspace, student)(torch.zeros(1, 1, 8, 8, 8)).shape == (1, 2, 8, 8, 8)
    card = summarise(workspace, recipe.name, cohorts, (evaluate_model(workspace, recipe.name, cohorts, student, teacher),))
    assert 0 <= card.figures["dice"].mean <= 1
