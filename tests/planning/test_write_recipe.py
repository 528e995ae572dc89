"""A planned recipe is read as it was written, with a reason beside every choice."""

from __future__ import annotations

import pytest

from medkd.planning.decide import decide
from medkd.planning.read_folder import PlanHints, read_fingerprint
from medkd.planning.write_recipe import fingerprint_lines, recipe_name, recipe_yaml
from medkd.training.recipes import read_recipe
from tests.audit.conftest import clinic  # noqa: F401 - a fixture
from tests.planning.test_decide import pictures, volumes


@pytest.mark.parametrize(
    "found",
    [
        volumes((36, 50, 35), (1, 1, 1), modality="MRI", fields={"kind": "volume_folder", "path": "v", "table": "cases.csv"}),
        volumes((30, 400, 400), (5, 0.8, 0.8), modality="MRI", fields={"kind": "volume_folder", "path": "v", "table": "cases.csv"}),
        pictures((400, 300), fields={"kind": "image_folder", "path": "p"}),
    ],
    ids=["volumes", "anisotropic", "pictures"],
)
def test_it_binds_and_says_why(found, tmp_path):
    plan = decide(found, minutes=30)
    text = recipe_yaml("planned", found, plan)
    (tmp_path / "r.yaml").write_text(text)
    recipe = read_recipe(tmp_path / "r.yaml")
    assert list(recipe.task.image_size) == plan.image_size.value
    assert recipe.teacher.fit.epochs == plan.epochs.value
    assert list(recipe.task.test_time_flips) == plan.flips.value
    assert recipe.teacher.fit.augment == recipe.student.fit.augment == plan.augment.value
    assert set(recipe.arms) == {"alone", "kd", "kd_explanation"}
    for decision in (
        plan.image_size,
        plan.intensity,
        plan.batch,
        plan.epochs,
        plan.augment,
        plan.flips,
        plan.teacher,
        plan.student,
        plan.gate,
    ):
        assert f"# {decision.why}." in text


def test_classes_with_odd_names_are_quoted(tmp_path):
    found = pictures((64, 64), fields={"kind": "image_folder", "path": "p"})
    found.classes.clear()
    found.classes.update({"no": 100, "yes: 1": 100})
    (tmp_path / "r.yaml").write_text(recipe_yaml("planned", found, decide(found, minutes=30)))
    assert read_recipe(tmp_path / "r.yaml").task.classes == ("no", "yes: 1")


def test_names_and_lines():
    assert recipe_name("BUS BRA_1") == "bus-bra-1"
    assert recipe_name("2024") == "recipe-2024"
    lines = fingerprint_lines(volumes((36, 50, 35), (1, 1, 2), cases=5))
    assert lines[0] == "5 cases of 5 patients"
    assert "1 x 1 x 2 mm" in lines[2]


def test_a_real_folder_goes_from_fingerprint_to_recipe(clinic, tmp_path):  # noqa: F811
    found = read_fingerprint(clinic, PlanHints())
    (tmp_path / "r.yaml").write_text(recipe_yaml("planned", found, decide(found, minutes=1)))
    assert read_recipe(tmp_path / "r.yaml").data.path == "clinic"
