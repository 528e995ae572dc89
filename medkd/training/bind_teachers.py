"""Whether what an arm asks of several teachers, of its own averaged weights or of a peer can be answered: said before any compute is spent."""

from __future__ import annotations

from collections.abc import Iterator

from data_contracts import BUILT_IN_TEACHERS, ONE_TEACHER, Arm, Recipe, RecipeError, TaskKind, teacher_named
from medkd.catalogue import LOSSES, explainer_of
from medkd.task_context import TaskContext
from medkd.training.mistake import FieldPath, Mistake
from medkd.training.objective import BoundTerm, Objective


def several_mistakes(place: FieldPath, arm: Arm, recipe: Recipe, objective: Objective) -> Iterator[Mistake]:
    """Yield what an arm asks of its teachers that they cannot answer.

    Args:
        place: of the arm in the recipe.
        arm: of the recipe.
        recipe: that has its teachers.
        objective: of the arm, bound.
    """
    for field, sentence in _sentences(arm, recipe, objective):
        yield Mistake((*place, field), RecipeError("RECIPE_NEEDS", f"{sentence}, in arm {place[-1]!r}"))


def _sentences(arm: Arm, recipe: Recipe, objective: Objective) -> Iterator[tuple[str, str]]:
    folded = [name for name in arm.teachers if name not in BUILT_IN_TEACHERS and teacher_named(recipe, name).folds is not None]
    if arm.teachers != ONE_TEACHER and "teacher" not in objective.needs:
        yield (
            "teachers",
            f"expected a term with a teacher for teachers {list(arm.teachers)}, got {[term.spec.loss for term in objective.terms]}",
        )
    if arm.weighting != "mean" and len(arm.teachers) == 1:
        yield "weighting", f"expected several teachers to be weighed by {arm.weighting!r}, got {list(arm.teachers)}"
    if arm.weighting == "validation" and set(arm.teachers) & BUILT_IN_TEACHERS:
        built_in = sorted(set(arm.teachers) & BUILT_IN_TEACHERS)
        yield "weighting", f"expected teachers that the gate has measured for the weighting validation, {built_in[0]!r} has no gate"
    if arm.out_of_fold and not folded:
        yield "out_of_fold", f"expected a teacher with folds for answers out of fold, got {list(arm.teachers)}"
    if arm.init == "compressed_teacher" and arm.teachers[0] in BUILT_IN_TEACHERS:
        yield "init", f"expected a trained teacher first in teachers to be compressed, got {arm.teachers[0]!r}"
    if (arm.out_of_fold or arm.weighting == "confidence") and recipe.student.fit.mix != "none":
        what = "out_of_fold" if arm.out_of_fold else "weighting"
        yield what, f"expected cases of one patient and one label each, student.fit.mix is {recipe.student.fit.mix}"
    if len(arm.teachers) > 1 or folded:
        yield from _mixture_sentences(arm, recipe, objective)
    if "peer" in arm.teachers:
        yield from _peer_sentences(arm, objective)
    if arm.knowledge == "store":
        yield from _store_sentences(arm, recipe)


def _mixture_sentences(arm: Arm, recipe: Recipe, objective: Objective) -> Iterator[tuple[str, str]]:
    """Yield what an average of probabilities has not: the level of logits; features of folds that were not asked; weights of voxels elsewhere."""
    context = TaskContext(recipe.task.kind.value, len(recipe.task.classes), from_store=True)
    for term in objective.terms:
        if "teacher" in term.needs and LOSSES.entry(term.spec.loss).incompatible_reason(context, **term.spec.options):
            yield (
                "terms",
                f"expected terms that compare classes for several teachers, {term.spec.loss!r} reads the level of logits, which a mixture has not",
            )
        if "features" in term.needs and arm.out_of_fold:
            yield (
                "terms",
                f"expected no term over features where answers are out of fold, {term.spec.loss!r} would read the first fold's, which knows the case",
            )

        if _loses_labels(term, arm, recipe):
            yield (
                "terms",
                f"expected terms that hand over the labels of their views where voxels are weighed by confidence, {term.spec.loss!r} does not say "
                "LABELS_OF_VIEWS = True: for_batch(image, labels)",
            )


def _loses_labels(term: BoundTerm, arm: Arm, recipe: Recipe) -> bool:
    """Return whether a term shows teachers images of its own that they could not be weighed on: a voxel's label moves with the image."""
    weighed = (
        arm.weighting == "confidence" and recipe.task.kind is TaskKind.SEGMENTATION and term.spec.head != TaskKind.CLASSIFICATION.value
    )
    return weighed and {"teacher", "views"} <= term.needs and not LOSSES.entry(term.spec.loss).fact("LABELS_OF_VIEWS", False)


def _peer_sentences(arm: Arm, objective: Objective) -> Iterator[tuple[str, str]]:
    if arm.balance is not None:
        yield "balance", "expected no balance with a peer: weights that follow one of two students would pull the other"
    for term in objective.terms:
        if "explainer" in term.needs and explainer_of(term.spec) != "cam":
            yield (
                "terms",
                f"expected closed-form maps (cam) of a peer, which is explained in the pass that trains it, got {explainer_of(term.spec)!r}",
            )


def _store_sentences(arm: Arm, recipe: Recipe) -> Iterator[tuple[str, str]]:
    if all(name in BUILT_IN_TEACHERS for name in arm.teachers):
        yield "knowledge", f"expected a teacher that is trained before for knowledge: store, got {list(arm.teachers)}"
    if "self" in arm.teachers:
        yield "knowledge", "expected knowledge: live for the teacher 'self', whose answers are not stored"
    halved = recipe.knowledge.resolution == "half" and recipe.task.kind is TaskKind.SEGMENTATION
    if len(arm.teachers) > 1 and halved and (arm.weighting == "confidence" or not set(arm.teachers).isdisjoint(BUILT_IN_TEACHERS)):
        yield "knowledge", "expected knowledge.resolution: full where stored answers are weighed by labels or mixed with live ones"
