"""A recipe that is trained and probed in seconds."""

from __future__ import annotations

from flows.demo import OVERRIDES, RECIPES
from medkd.training.recipes import read_recipe


def smoke_recipe(name="phantom-segmentation", **changes):
    return read_recipe(
        RECIPES / f"{name}.yaml", {**OVERRIDES["smoke"][name], "teacher.fit.precision": "fp32", "student.fit.precision": "fp32", **changes}
    )
