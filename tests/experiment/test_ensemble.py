"""Several teachers together: the mean of their probabilities, and no patient that one of them saw."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from data_contracts import Checkpoint, LeakageError, Role, Subset
from medkd.cohorts.open_cohort import open_volume_use
from medkd.cohorts.prepare import prepare_cohorts
from medkd.cohorts.tensor_cohort import open_use
from medkd.experiment.ensemble import mean_log_probability, score_ensemble
from medkd.inference.predict import predict_logits
from medkd.inference.predict_cohort import volume_logits
from medkd.measures.dice import dice
from medkd.models._build import build_network, parameter_count
from medkd.models._load import load_network
from medkd.storage.workspace import local_workspace
from medkd.training.recipes import network_spec
from tests.training.test_volumes import recipe_for, write_volumes


@pytest.mark.parametrize("space", [(), (4, 5), (2, 3, 4)])
def test_the_mean_is_of_probabilities_and_normalised(space):
    logits = [torch.randn(3, 4, *space, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    found = mean_log_probability(logits).exp()
    assert torch.allclose(found, torch.stack([one.softmax(1) for one in logits]).mean(0), atol=1e-6)
    assert torch.allclose(found.sum(1), torch.ones_like(found[:, 0]), atol=1e-6)


def test_one_sure_network_does_not_make_the_others_zero():
    sure, unsure = torch.tensor([[80.0, -80.0]]), torch.tensor([[0.0, 0.0]])
    found = mean_log_probability([sure, unsure])
    assert found[0, 1] == pytest.approx(math.log(0.25))
    assert found.isfinite().all()


def teachers_of(workspace, recipe, seeds=(1, 2)):
    """Return checkpoints of networks that learned nothing: what they answer together does not hang on that."""
    found = []
    for seed in seeds:
        spec = network_spec(recipe, Role.TEACHER)
        network = build_network(spec, seed=seed)
        weights = workspace.store.write_tensors(f"models/of-fold-{seed}.safetensors", network.state_dict())
        found.append(
            Checkpoint(
                role=Role.TEACHER, arm="teacher", seed=seed, network=spec, task=recipe.task, weights=weights, weights_digest=weights.sha256,
                cohort_digest="c" * 64, recipe_digest="d" * 64, parameters=parameter_count(network), epochs=1,
            )
        )  # fmt: skip
    return tuple(found)


def test_patients_that_a_fold_knew_are_refused(workspace, recipe, cohorts):
    teachers = teachers_of(workspace, recipe)
    apart = cohorts.only(Subset.TEACHER_TRAIN)
    with pytest.raises(LeakageError, match=r"expected held-out patients in no fold, 32 of 32 are in one") as caught:
        score_ensemble(workspace, cohorts.only(Subset.TEST), (apart, cohorts.only(Subset.TEST)), teachers)
    assert caught.value.code == "ENSEMBLE_SAW_TEST"


def test_pictures_are_scored_by_the_averaged_probabilities(workspace, recipe, cohorts):
    teachers, held_out = teachers_of(workspace, recipe), cohorts.only(Subset.TEST)
    score = score_ensemble(workspace, held_out, (cohorts.only(Subset.TEACHER_TRAIN),) * 2, teachers)
    cases = open_use(held_out, Subset.TEST, workspace.store, recipe.task)
    chances = [predict_logits(load_network(workspace, one), cases.images).double().softmax(1)[:, 1].numpy() for one in teachers]
    alone = [roc_auc_score(cases.labels, one) for one in chances]
    together = roc_auc_score(cases.labels, np.mean(chances, axis=0))
    assert score.figures["auc"].mean == pytest.approx(together, abs=1e-6)
    assert score.singles["auc"] == pytest.approx(alone, abs=1e-6)
    assert score.gain["auc"].mean == pytest.approx(together - np.mean(alone), abs=1e-6)
    assert (score.cases, score.n) == (32, 32)
    assert score.teachers == tuple(one.weights_digest for one in teachers)


def test_volumes_are_scored_case_by_case_by_the_averaged_probabilities(tmp_path):
    write_volumes(tmp_path / "data" / "boxes", n=12)
    recipe = recipe_for(tmp_path, "segmentation", {"builder": "unet", "options": {"channels": [4, 8]}})
    workspace = local_workspace(tmp_path / "run", data_root=tmp_path / "data")
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), "")
    teachers, held_out = teachers_of(workspace, recipe, (3, 4)), cohorts.only(Subset.TEST)
    score = score_ensemble(workspace, held_out, (cohorts.only(Subset.TEACHER_TRAIN),) * 2, teachers)
    volumes = open_volume_use(held_out, Subset.TEST, workspace.store, recipe.task)
    networks = [load_network(workspace, one) for one in teachers]
    values = []
    for row in range(len(volumes)):
        chances = [volume_logits(network, volumes, row, recipe.task).softmax(0) for network in networks]
        answers = [one.argmax(0) for one in (torch.stack(chances).mean(0), *chances)]
        values.append([float(dice(answer[None], volumes.references[row][None])) for answer in answers])
    together, *alone = np.mean(values, axis=0)
    assert len(set(np.mean(values, axis=0).round(6))) == 3
    assert score.figures["dice"].mean == pytest.approx(together, abs=1e-6)
    assert score.singles["dice"] == pytest.approx(alone, abs=1e-6)
    assert score.gain["dice"].mean == pytest.approx(together - np.mean(alone), abs=1e-6)
    assert (score.cases, score.n) == (len(volumes), len(set(volumes.patients())))
    assert score.n < score.cases
