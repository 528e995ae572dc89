"""Variants of a recipe: one arm at a time, so that adding an arm does not train the others again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from data_contracts import Arm, ArmVariant, AttributionSource, ExperimentPlan, Explain, Option, Recipe, RecipeError, Subset
from medkd.training.objective import Objective, reads_explanations
from medkd.training.recipes import vary_recipe

#: Figures that a primary may be, and the test cohort that each is read from. All of them are better when higher.
PRIMARIES = {
    "auc": Subset.TEST,
    "auc_same_bias": Subset.TEST,
    "auc_debiased": Subset.DEBIASED,
    "auc_reversed": Subset.REVERSED,
    "dice": Subset.TEST,
    "dice_uncued": Subset.UNCUED,
    "dice_misplaced": Subset.MISPLACED,
}


def single_arm(recipe: Recipe, arm: str, changes: Mapping[str, Option] | None = None, *, name: str | None = None) -> Recipe:
    """Return the recipe with one arm, first, and nothing else that this arm's training does not depend on.

    Args:
        recipe: bound recipe.
        arm: of the recipe.
        changes: dotted fields: of the arm where they begin with ``terms`` (or name one of its fields), of the recipe otherwise.
        name: new name of the arm.

    The variant is called ``RECIPE--DIGEST``: its files lie apart from those of other variants, and it begins at the same weights.
    """
    called = name or arm
    objective = recipe.arms[arm]
    arms = {called: objective}
    if "self" in objective.teachers:
        # The student that teaches is trained by the same variant: what was chosen for this arm holds for its teacher.
        arms |= {name: recipe.arms[name] for name in _above(recipe, objective)}
    asked = recipe.teachers if set(objective.teachers) & set(recipe.teachers) else {}
    kept = recipe.model_copy(update={"arms": arms, "teachers": asked, "explain": Explain(), "experiment": None, "seeds": (0,)})
    varied = vary_recipe(kept, {of_arm(called, field): _plain(value) for field, value in (changes or {}).items()})
    return varied.model_copy(update={"name": f"{recipe.name.partition('--')[0]}--{varied.digest()[:10]}"})


def _above(recipe: Recipe, objective: Arm) -> Iterator[str]:
    """Yield the arms whose students teach an arm, the nearest first."""
    while "self" in objective.teachers:
        yield objective.self_arm
        objective = recipe.arms[objective.self_arm]


def renamed(recipe: Recipe, name: str) -> Recipe:
    """Return the recipe under another family name: its networks begin at other weights."""
    return recipe.model_copy(update={"name": name})


def of_arm(arm: str, field: str) -> str:
    """Return the recipe's dotted field that a search means."""
    return f"arms.{arm}.{field}" if field.partition(".")[0] in ("terms", "unlabelled", "attribution_source") else field


def with_controls(recipe: Recipe) -> dict[str, tuple[str, AttributionSource]]:
    """Return the controls of an experiment: name of the new arm, the arm it controls, and whose explanations it gets."""
    plan = recipe.experiment
    wanted = [kind for kind in AttributionSource if kind is not AttributionSource.TEACHER]
    return {str(ArmVariant(arm=arm, control=kind)): (arm, kind) for arm in (plan.controlled if plan else ()) for kind in wanted}


def require_controls(recipe: Recipe, plan: ExperimentPlan) -> None:
    """Refuse an experiment on explanations without a control.

    Raises:
        RecipeError: ``EXPERIMENT_CONTROLS``.
    """
    reading = [arm for arm, config in recipe.arms.items() if reads_explanations(Objective(config.terms).needs)]
    if reading and not plan.controlled:
        raise RecipeError(
            "EXPERIMENT_CONTROLS",
            f"expected an arm among {reading} under experiment.controlled: without controls a gain cannot be attributed to the explanations",
        )


def in_condition(recipe: Recipe, overrides: Mapping[str, Option]) -> Recipe:
    """Return the recipe in other circumstances, under a name of its own."""
    varied = vary_recipe(recipe, {field: _plain(value) for field, value in overrides.items()})
    return varied.model_copy(update={"name": f"{recipe.name}--{varied.digest()[:10]}"})


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
