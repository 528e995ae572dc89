"""Whether an arm can learn from pictures that no patient has: said before any compute is spent."""

from __future__ import annotations

from collections.abc import Iterator

from data_contracts import Arm, KnowledgeError, Recipe, RecipeError, TaskKind
from medkd.models._build import build_network, specify_network
from medkd.synthesis.running_statistics import require_statistics
from medkd.training.mistake import FieldPath, Mistake
from medkd.training.objective import Objective

#: What no made picture has, by what a term needs.
_LACKING = {"masks": "a mask", "boxes": "a box", "forbidden": "feedback"}


def made_cases_mistakes(place: FieldPath, arm: Arm, recipe: Recipe, objective: Objective) -> Iterator[Mistake]:
    """Yield what an arm with ``cases: synthesised`` or ``noise`` asks that such pictures do not have.

    Args:
        place: of the arm in the recipe.
        arm: of the recipe.
        recipe: whose teacher pictures are made from.
        objective: of the arm, bound.
    """
    if arm.cases == "real":
        return
    for field, sentence in _sentences(arm, recipe, objective):
        yield Mistake((*place, field), RecipeError("RECIPE_NEEDS", f"{sentence}, in arm {place[-1]!r}"))
    if arm.cases == "synthesised" and recipe.teacher.registered is None:
        try:
            # Built here, so that nobody trains a teacher for hours that nothing can be made from.
            network = build_network(specify_network(recipe.teacher.network, recipe.task))
            _as_if_trained(network)
            require_statistics(network, f"the teacher's network {recipe.teacher.network.builder}")
        except KnowledgeError as error:
            yield Mistake(("teacher", "network", "builder"), error)


def _sentences(arm: Arm, recipe: Recipe, objective: Objective) -> Iterator[tuple[str, str]]:
    if recipe.task.kind is not TaskKind.CLASSIFICATION or recipe.task.spatial_dims != 2:
        what = f"a {recipe.task.kind.value} in {recipe.task.spatial_dims}D"
        yield (
            "cases",
            f"expected a classification of pictures for cases: {arm.cases}, got {what}: a synthesised outline has no truth to follow",
        )
    if "teacher" not in objective.needs or "teacher" not in arm.teachers:
        yield (
            "cases",
            f"expected a term that asks the recipe's teacher for cases: {arm.cases}, got {[term.spec.loss for term in objective.terms]}",
        )
    if recipe.student.hidden_classes or recipe.student_task() != recipe.teacher_task():
        yield (
            "cases",
            f"expected a student that sees what its teacher sees, and labels of all classes, for cases: {arm.cases}, which are made from the teacher alone",
        )
    if arm.unlabelled:
        yield "unlabelled", f"expected unlabelled: false with cases: {arm.cases}, unlabelled images are real ones"
    if arm.init == "pretrained":
        yield "init", f"expected init: random with cases: {arm.cases}, a pretrained network has seen real images"
    lacking = sorted(objective.needs & set(_LACKING))
    if lacking:
        yield (
            "terms",
            f"expected terms without {lacking[0]} for cases: {arm.cases}, made pictures have no such thing as {_LACKING[lacking[0]]}",
        )
    if arm.cases == "noise" and any(term.is_task for term in objective.terms):
        yield "terms", "expected terms without labels for cases: noise, which has no class"


def _as_if_trained(network: object) -> None:
    for module in getattr(network, "modules", tuple)():
        if getattr(module, "num_batches_tracked", None) is not None:
            module.num_batches_tracked.fill_(1)
