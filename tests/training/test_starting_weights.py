"""Weights of a file or a registered version as a start."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from data_contracts import KnowledgeError, PretrainedStart, RecipeError, SourceError
from medkd.models._build import build_network
from medkd.training.recipes import network_spec, vary_recipe
from medkd.training.starting_weights import starting_weights
from medkd.training.train import pretrained
from medkd.training.training_run import TrainingRun
from tests.foreign.conftest import Malicious

FIELDS = {"arms": {"fine_tuned": {"terms": [{"loss": "cross_entropy"}], "init": "pretrained"}}}


@pytest.fixture
def here(workspace, tmp_path):
    return replace(workspace, data_root=tmp_path)


def of(recipe, **start):
    return vary_recipe(recipe, {**FIELDS, "student.pretrained": {"source": "w.pt", **start}})


def student(recipe):
    return build_network(network_spec(recipe, "student"), seed=77)


def started(here, recipe, cohorts):
    start = starting_weights(here, recipe, 0, cohorts)
    run = TrainingRun(here, recipe.student_training("fine_tuned", 0).model_copy(update={"start": start}))
    initial, taken = pretrained(run)
    return initial.network.state_dict(), taken


def test_all_weights_of_a_file_are_taken(here, recipe, cohorts, tmp_path):
    network = student(recipe)
    torch.save(network.state_dict(), tmp_path / "w.pt")
    found, taken = started(here, of(recipe), cohorts)
    assert all(torch.equal(found[name], value) for name, value in network.state_dict().items())
    assert (taken.source, taken.random) == ("w.pt", ())


def test_an_encoder_leaves_the_head_at_random(here, recipe, cohorts, tmp_path):
    network = student(recipe)
    torch.save(network.state_dict(), tmp_path / "w.pt")
    found, taken = started(here, of(recipe, layers="encoder"), cohorts)
    assert taken.random == ("fc.weight",)
    assert torch.equal(found["conv1.weight"], network.state_dict()["conv1.weight"])
    assert not torch.equal(found["fc.weight"], network.state_dict()["fc.weight"])


def test_a_head_of_other_classes_begins_at_random_and_another_shape_is_refused_or_skipped(here, recipe, cohorts, tmp_path):
    weights = student(recipe).state_dict()
    weights["fc.weight"] = torch.zeros(5, weights["fc.weight"].shape[1])
    torch.save(weights, tmp_path / "w.pt")
    assert started(here, of(recipe), cohorts)[1].random == ("fc.weight",)
    weights["conv1.weight"] = torch.zeros(1)
    torch.save(weights, tmp_path / "w.pt")
    with pytest.raises(KnowledgeError, match=r"conv1.weight is \[1\] for") as caught:
        started(here, of(recipe), cohorts)
    assert caught.value.code == "STARTING_WEIGHTS_MISMATCH"
    assert started(here, of(recipe, mismatched="skip"), cohorts)[1].random == ("conv1.weight", "fc.weight")
    torch.save({"other": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(KnowledgeError):
        started(here, of(recipe, mismatched="skip"), cohorts)


def test_files_that_are_missing_or_run_code_are_refused(here, recipe, cohorts, tmp_path):
    with pytest.raises(RecipeError) as caught:
        starting_weights(here, of(recipe), 0, cohorts)
    assert caught.value.code == "STARTING_WEIGHTS_MISSING"
    torch.save({"state_dict": Malicious(tmp_path / "ran")}, tmp_path / "w.pt")
    with pytest.raises(SourceError) as caught:
        starting_weights(here, of(recipe), 0, cohorts)
    assert caught.value.code == "WEIGHTS_UNSAFE"
    assert not (tmp_path / "ran").exists()


def test_an_arm_without_its_weights_is_refused(here, recipe):
    with pytest.raises(KnowledgeError) as caught:
        pretrained(TrainingRun(here, of(recipe).student_training("fine_tuned", 0)))
    assert caught.value.code == "STARTING_WEIGHTS_MISSING"


@pytest.mark.parametrize("source", ["/etc/passwd", "../w.pt", "~/w.pt", "a/../../w.pt", "C:\\w.pt"])
def test_files_outside_of_the_data_are_no_start(source):
    with pytest.raises(ValueError, match="below the folder of the data"):
        PretrainedStart(source=source)
