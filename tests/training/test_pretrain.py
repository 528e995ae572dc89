"""Training without labels sees what the students may learn from and nothing else."""

from __future__ import annotations

import json

import pytest
import torch

from data_contracts import PretrainingConfig, Recipe, Subset
from medkd.cohorts.tensor_cohort import open_use
from medkd.training import pretrain as of_pretraining
from medkd.training.pretrain import hidden_cells, pretrain
from medkd.training.recipes import vary_recipe
from medkd.training.starting_weights import starting_weights
from medkd.training.train import distill

FIELDS = {
    "student.pretraining": {"epochs": 12, "cell": 4, "batch_size": 16, "learning_rate": 0.01},
    "arms": {"fine_tuned": {"terms": [{"loss": "cross_entropy"}], "init": "pretrained"}},
    "explain.explainers": [{"name": "cam"}],
}


@pytest.fixture(scope="module")
def own(recipe):
    return vary_recipe(recipe, FIELDS)


@pytest.fixture(scope="module")
def start(workspace, own, cohorts):
    return starting_weights(workspace, own, 0, cohorts)


def test_what_is_hidden_is_filled_in_better_and_better(start):
    assert start.source == "pretraining"
    assert start.last_error < 0.95 * start.first_error


def test_only_images_that_the_students_may_learn_from_are_opened(workspace, own, cohorts, monkeypatch):
    """Every voxel that is drawn is looked for among the training images; every other subset is not even in what the stage is given."""
    seen, fill_in = [], of_pretraining._fill_in

    def noting(network, images, config):
        seen.append(images)
        return fill_in(network, images, config.model_copy(update={"epochs": 1}))

    monkeypatch.setattr(of_pretraining, "_fill_in", noting)
    given = vary_recipe(own, {"student.pretraining.learning_rate": 1e-4})
    starting_weights(workspace, given, 0, cohorts)
    allowed = {s for s in (Subset.STUDENT_TRAIN.of(0), Subset.UNLABELLED.of(0)) if s in cohorts.uses}
    patients = {key for subset in allowed for key in open_use(cohorts, subset, workspace.store, own.task).patients()}
    assert set(seen[0].cohort.patients()) == patients
    tested = set(open_use(cohorts, Subset.TEST, workspace.store, own.task).patients())
    assert tested
    assert not tested & set(seen[0].cohort.patients())


def test_it_is_remembered_and_another_one_is_not(workspace, own, cohorts, start, monkeypatch):
    monkeypatch.setattr(of_pretraining, "_fill_in", None)  # nobody calls it again
    assert starting_weights(workspace, own, 0, cohorts) == start
    with pytest.raises(TypeError):
        pretrain(workspace, own.pretraining(0).model_copy(update={"recipe": "other"}), cohorts.only(Subset.STUDENT_TRAIN.of(0)))


def test_the_students_checkpoint_says_what_it_began_with(workspace, own, cohorts, start):
    spec = own.student_training("fine_tuned", 0).model_copy(update={"start": start})
    trained = distill(workspace, spec, cohorts, None)
    assert trained.pretrained is not None
    assert (trained.pretrained.source, trained.pretrained.sha256) == ("pretraining", start.weights.sha256)
    assert trained.pretrained.random == ("fc.weight",)
    assert "conv1.weight" in trained.pretrained.taken
    payload = json.loads(trained.canonical_json())
    assert payload["pretrained"]["source"] == "pretraining"


@pytest.mark.parametrize("space", [(16, 16), (8, 12, 16), (10, 7)])
def test_the_same_share_of_each_image_is_hidden_in_whole_cells(space):
    config = PretrainingConfig(cell=4, mask_ratio=0.5)
    hidden = hidden_cells(torch.zeros(3, 1, *space), config, torch.Generator().manual_seed(0))
    assert hidden.shape == (3, 1, *space)
    assert hidden[:, 0].flatten(1).any(1).all()
    if all(extent % 4 == 0 for extent in space):
        assert hidden.float().flatten(1).mean(1).tolist() == [0.5] * 3
    assert bool((hidden[..., :4, :4].flatten(2).float().std(2) == 0).all()) or len(space) == 3


def test_a_recipe_says_what_its_arms_begin_with(recipe):
    payload = json.loads(recipe.canonical_json())
    payload["arms"]["kd"]["init"] = "pretrained"
    with pytest.raises(ValueError, match=r"got neither for \['kd'\]"):
        Recipe.model_validate(payload)
    payload["student"] |= {"pretraining": {}, "pretrained": {"source": "w.pt"}}
    with pytest.raises(ValueError, match="got both"):
        Recipe.model_validate(payload)
