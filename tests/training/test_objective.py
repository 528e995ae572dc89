from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import flows
from data_contracts import CatalogueError, LossTerm, RecipeError, Role
from medkd.training.bind_recipe import bind_recipe
from medkd.training.objective import Objective
from medkd.training.recipes import network_spec, read_recipe, reading_store
from medkd.training.train import training_digest

RECIPES = sorted((Path(flows.__file__).parent / "recipes").glob("*.yaml"))
PHANTOM = next(path for path in RECIPES if path.stem == "phantom-classification")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe_binds(path):
    recipe = read_recipe(path)
    assert recipe.name == path.stem.replace("_", "-")
    assert len(yaml.safe_load(path.read_text())) <= 12


@pytest.mark.parametrize(
    ("override", "code"),
    [
        ({"arms.kd.terms": [{"loss": "logit_kdd"}]}, "CATALOGUE_UNKNOWN"),
        ({"arms.kd.terms": [{"loss": "logit_kd", "options": {"temprature": 4}}]}, "CATALOGUE_OPTION"),
        ({"student.network.builder": "vgg"}, "CATALOGUE_UNKNOWN"),
        ({"student.network.builder": "unet"}, "RECIPE_TASK"),
        ({"student.network.options.chanels": [1]}, "CATALOGUE_OPTION"),
        ({"teacher.terms": [{"loss": "logit_kd"}]}, "RECIPE_NEEDS"),
        ({"arms.kd.unlabelled": True, "arms.kd.terms": [{"loss": "cross_entropy"}]}, "RECIPE_NEEDS"),
        (
            {"arms.kd_explanation.terms": [{"loss": "attribution_transfer", "options": {"explainer": "integrated_gradients"}}]},
            "RECIPE_EXPLAINER",
        ),
        ({"explain.explainers": [{"name": "tea_leaves"}]}, "CATALOGUE_UNKNOWN"),
        ({"explain.measures": [{"name": "auc", "options": {"bins": 3}}]}, "CATALOGUE_OPTION"),
        ({"explain.measures": [{"name": "auc"}]}, "RECIPE_MEASURE"),
        ({"explain.measures": [{"name": "off_distribution"}]}, "RECIPE_MEASURE"),
        ({"explain.shift": {"kind": "blur", "strength": 0}}, "RECIPE_INVALID"),
        ({"student.fit.epochs": 0}, "RECIPE_INVALID"),
        ({"student.fit.learning_rate": "fast"}, "RECIPE_INVALID"),
        ({"surprise": 1}, "RECIPE_INVALID"),
        ({"seeds": []}, "RECIPE_INVALID"),
        ({"arms": {"Not Good": {"terms": [{"loss": "cross_entropy"}]}}}, "RECIPE_INVALID"),
        ({"name.inner": 1}, "RECIPE_OVERRIDE"),
        ({"task.test_time_flips": [2]}, "RECIPE_INVALID"),
        ({"arms.kd.terms": [{"loss": "logit_standardisation"}]}, "RECIPE_GUARD"),
        ({"arms.kd.terms": [{"loss": "decoupled_kd"}]}, "RECIPE_GUARD"),
        ({"arms.kd.terms": [{"loss": "dist_kd"}]}, "RECIPE_GUARD"),
        ({"arms.kd.terms": [{"loss": "logit_kd", "feature_layers": "each"}]}, "RECIPE_NEEDS"),
        ({"arms.kd.terms": [{"loss": "hint", "temperature": {"kind": "linear"}}]}, "RECIPE_NEEDS"),
        ({"arms.kd.terms": [{"loss": "logit_kd", "schedule": {"kind": "linear", "begin": 0.9, "end": 0.1}}]}, "RECIPE_INVALID"),
        ({"arms.kd.terms": [{"loss": "logit_kd", "temperature": {"kind": "learned", "first": 20.0}}]}, "RECIPE_INVALID"),
        ({"arms.kd.terms": [{"loss": "logit_kd"}], "arms.kd.balance": {"norms": True}}, "RECIPE_NEEDS"),
        ({"arms.kd.terms": [{"loss": "cross_entropy"}], "arms.kd.balance": {"agreement_rate": 1.0}}, "RECIPE_NEEDS"),
        ({"arms.kd.knowledge": "store", "arms.kd.terms": [{"loss": "occluded_kd"}]}, "RECIPE_NEEDS"),
        ({"arms.kd.knowledge": "store", "arms.kd.terms": [{"loss": "response_matching"}]}, "RECIPE_NEEDS"),
        ({"student.fit.mix": "mixup", "arms.kd.terms": [{"loss": "soft_label_refinement"}]}, "RECIPE_NEEDS"),
        ({"student.fit.ema": 1.5}, "RECIPE_INVALID"),
        ({"task.test_time_flips": [1, 1]}, "RECIPE_INVALID"),
    ],
)
def test_what_can_be_wrong_is_said_before_any_compute(override, code):
    with pytest.raises((RecipeError, CatalogueError)) as caught:
        read_recipe(PHANTOM, override)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


def test_a_missing_a_broken_and_a_listed_recipe_have_their_codes(tmp_path):
    (tmp_path / "broken.yaml").write_text("a: [1")
    (tmp_path / "list.yaml").write_text("- a")
    for name, code in (("none", "RECIPE_MISSING"), ("broken", "RECIPE_UNREADABLE"), ("list", "RECIPE_UNREADABLE")):
        with pytest.raises(RecipeError) as caught:
            read_recipe(tmp_path / f"{name}.yaml")
        assert caught.value.code == code


def test_masks_are_asked_for_before_training():
    busbra = next(path for path in RECIPES if path.stem == "busbra")
    with pytest.raises(RecipeError, match="masks") as caught:
        read_recipe(busbra, {"data.masks": None})
    assert caught.value.code == "RECIPE_NEEDS"


def test_the_channels_of_a_network_follow_from_the_task():
    recipe = read_recipe(PHANTOM)
    assert network_spec(recipe, Role.STUDENT).out_channels == 2
    assert network_spec(recipe, Role.TEACHER).options == {"channels": (8, 16, 32, 64)}


def test_the_digest_of_a_training_changes_with_its_settings_and_with_the_source_of_a_loss_and_not_with_its_seed(monkeypatch):
    recipe, other = read_recipe(PHANTOM), read_recipe(PHANTOM, {"student.fit.epochs": 11})
    first = training_digest(recipe.student_training("kd", 0))
    assert first == training_digest(recipe.student_training("kd", 1)) != training_digest(other.student_training("kd", 0))
    monkeypatch.setattr("medkd.catalogue.CatalogueEntry.source_digest", lambda _: "changed")
    assert training_digest(recipe.student_training("kd", 0)) != first
    bind_recipe(recipe)


def test_an_objective_is_the_weighted_sum_of_its_terms(make_network, make_sample):
    from medkd.knowledge.interface import LiveKnowledge
    from medkd.trace import layer_map_of, trace

    terms = (LossTerm(loss="cross_entropy", weight=0.5), LossTerm(loss="logit_kd", weight=2.0, options={"temperature": 2.0}))
    objective, sample = Objective(terms), make_sample(3)
    network = make_network().eval()
    kept = trace(network, sample.inputs, layers=(layer_map_of(network).cam_layer,))
    total, values = objective(kept, LiveKnowledge(make_network(1).eval(), sample.inputs), sample)
    assert float(total) == pytest.approx(0.5 * float(values["cross_entropy"]) + 2 * float(values["logit_kd"]), rel=1e-6)
    assert not values["logit_kd"].requires_grad
    assert objective.needs == {"labels", "teacher"}


def test_deep_supervision_asks_for_a_network_with_coarser_heads_before_any_compute():
    path = next(path for path in RECIPES if path.stem == "phantom-segmentation")
    terms = {"arms.alone.terms": [{"loss": "cross_entropy"}, {"loss": "deep_supervision"}]}
    with pytest.raises(RecipeError, match="deep_supervision") as caught:
        read_recipe(path, terms)
    assert caught.value.code == "RECIPE_NEEDS"
    network = {"builder": "dyn_unet", "options": {"filters": [4, 6, 8], "deep_supervision": 1}}
    assert read_recipe(path, {**terms, "student.network": network}).student.network.builder == "dyn_unet"


def test_two_classes_leave_the_correlation_within_a_class():
    assert read_recipe(PHANTOM, {"arms.kd.terms": [{"loss": "dist_kd", "options": {"inter": 0.0}}]}).arms["kd"].terms[0].loss == "dist_kd"


def test_a_segmentation_cannot_read_levels_of_logits_from_a_store():
    path = next(path for path in RECIPES if path.stem == "phantom-segmentation")
    with pytest.raises(RecipeError, match="constant per voxel") as caught:
        read_recipe(path, {"arms.kd.knowledge": "store", "arms.kd.terms": [{"loss": "cat_kd"}]})
    assert caught.value.code == "RECIPE_GUARD"
    mixed = {"student.fit.mix": "cutmix", "arms.kd.terms": [{"loss": "soft_label_refinement"}]}
    assert read_recipe(path, mixed).student.fit.mix == "cutmix"


def test_all_arms_can_be_told_to_read_a_store():
    recipe = reading_store(read_recipe(PHANTOM))
    assert {name: arm.knowledge for name, arm in recipe.arms.items()} == {"alone": "live", "kd": "store", "kd_explanation": "store"}
