from __future__ import annotations

from pathlib import Path

import pytest

import flows
from data_contracts import CatalogueError, RecipeError, Role
from medkd.training.recipes import network_spec, read_recipe, reading_store, vary_recipe, with_everything

PHANTOM = Path(flows.__file__).parent / "recipes" / "phantom-classification.yaml"


def test_a_missing_a_broken_and_a_listed_recipe_have_their_codes(tmp_path):
    (tmp_path / "broken.yaml").write_text("a: [1")
    (tmp_path / "list.yaml").write_text("- a")
    for name, code in (("none", "RECIPE_MISSING"), ("broken", "RECIPE_UNREADABLE"), ("list", "RECIPE_UNREADABLE")):
        with pytest.raises(RecipeError) as caught:
            read_recipe(tmp_path / f"{name}.yaml")
        assert caught.value.code == code


def test_the_channels_of_a_network_follow_from_the_task():
    recipe = read_recipe(PHANTOM)
    assert network_spec(recipe, Role.STUDENT).out_channels == 2
    assert network_spec(recipe, Role.TEACHER).options == {"channels": (8, 16, 32, 64)}


def test_all_arms_can_be_told_to_read_a_store():
    recipe = reading_store(read_recipe(PHANTOM))
    assert {name: arm.knowledge for name, arm in recipe.arms.items()} == {"alone": "live", "kd": "store", "kd_explanation": "store"}


def test_an_item_of_a_list_is_named_by_its_number():
    assert read_recipe(PHANTOM, {"arms.kd.terms.0.weight": 0.25}).arms["kd"].terms[0].weight == 0.25
    for dotted in ("arms.kd.terms.9.weight", "arms.kd.terms.x.weight", "arms.kd.terms.-1.weight", "arms.kd.terms.²"):
        with pytest.raises(RecipeError, match="expected a number below") as caught:
            read_recipe(PHANTOM, {dotted: 1.0})
        assert caught.value.code == "RECIPE_OVERRIDE"


@pytest.mark.parametrize("path", ["/data", "~/data", "../data", "a\\..\\..\\b", "C:\\data"])
def test_data_lie_below_the_folder_of_the_data_however_they_are_written(path):
    busbra = PHANTOM.with_name("busbra.yaml")
    with pytest.raises(RecipeError, match="below the folder of the data") as caught:
        read_recipe(busbra, {"data.path": path})
    assert caught.value.code == "RECIPE_PATH"


def test_a_varied_recipe_is_bound_again():
    recipe = read_recipe(PHANTOM)
    assert vary_recipe(recipe, {"seeds": [7]}).seeds == (7,)
    assert recipe.seeds != (7,)
    with pytest.raises(CatalogueError):
        vary_recipe(recipe, {"arms.kd.terms": [{"loss": "logit_kdd"}]})


def test_everything_that_gives_a_map_of_the_task_can_be_asked():
    recipe = with_everything(read_recipe(PHANTOM))
    explainers = {one.name for one in recipe.explain.explainers}
    assert {"cam", "saliency", "occlusion"} <= explainers
    assert not {"seg_xres_cam", "attention_rollout", "gap_attribution", "adversarial"} & explainers
    assert {"relevance_mass_accuracy", "gini", "repeatability"} <= {one.name for one in recipe.explain.measures}
    assert not {"auc", "dice"} & {one.name for one in recipe.explain.measures}
