"""How the next student is trained: as the last one, with one more term and with the weights that feedback gives its cases."""

from __future__ import annotations

from data_contracts import Arm, FeedbackDirectives, LossTerm, Recipe, RecipeError, TrainingSpec
from medkd.catalogue import LOSSES, explainer_of

#: The term that keeps attribution off forbidden voxels.
TERM = "right_for_the_right_reasons"


def explainer_in(arm: Arm) -> str:
    """Return the differentiable explainer that an arm's terms ask; class maps where it asks none."""
    asked = [explainer_of(term) for term in arm.terms if "explainer" in LOSSES.entry(term.loss).fact("NEEDS", frozenset())]
    return asked[0] if asked else "cam"


def require_arm(recipe: Recipe, wanted: str | None) -> Recipe:
    """Return a recipe of one arm: the one that is wanted, or its last.

    Raises:
        RecipeError: ``RECIPE_ARM`` when there is none of that name; ``RECIPE_NEEDS`` when images are blended, of which one half would be taught
            what was said of the other.
    """
    name = wanted or list(recipe.arms)[-1]
    if name not in recipe.arms:
        raise RecipeError("RECIPE_ARM", f"expected an arm of {recipe.name} ({', '.join(recipe.arms)}), got {name!r}")
    if recipe.student.fit.mix != "none":
        raise RecipeError(
            "RECIPE_NEEDS",
            f"expected whole images where feedback teaches, student.fit.mix is {recipe.student.fit.mix}: set it to none, and train the student again",
        )
    return recipe.model_copy(update={"arms": {name: recipe.arms[name]}, "experiment": None})


def taught_spec(spec: TrainingSpec, directives: FeedbackDirectives) -> TrainingSpec:
    """Return how the next student is trained: the objective of the arm, and the term where a study that teaches has regions."""
    if not any(one.regions for one in directives.of_part("train")):
        return spec
    arm = spec.objective
    term = LossTerm(loss=TERM, weight=directives.strength, options={"explainer": explainer_in(arm)})
    return spec.model_copy(update={"objective": arm.model_copy(update={"terms": (*arm.terms, term)})})
