"""A recipe against the catalogues: everything that can be wrong is said before any compute."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import flows
from data_contracts import CatalogueError, RecipeError
from medkd.training.recipes import read_recipe

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


def test_masks_are_asked_for_before_training():
    busbra = next(path for path in RECIPES if path.stem == "busbra")
    with pytest.raises(RecipeError, match="masks") as caught:
        read_recipe(busbra, {"data.masks": None})
    assert caught.value.code == "RECIPE_NEEDS"


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
