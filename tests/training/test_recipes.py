from __future__ import annotations

from pathlib import Path

import pytest

import flows
from data_contracts import RecipeError, Role
from medkd.training.recipes import network_spec, read_recipe, reading_store

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
