"""What a recipe asks that is not there for its kind of task: of detectors, and of networks with two heads."""

from __future__ import annotations

from collections.abc import Iterator

from data_contracts import ONE_TEACHER, LossTerm, Recipe, RecipeError, TaskKind
from medkd.catalogue import LOSSES, NETWORKS
from medkd.training.mistake import FieldPath, Mistake

_HEAD = TaskKind.CLASSIFICATION.value


def kind_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    """Yield what a recipe asks that is not there for its kind of task."""
    if recipe.task.kind is TaskKind.DETECTION:
        yield from _detection_mistakes(recipe)
    if recipe.task.case_classes:
        yield from _case_mistakes(recipe)
        return
    for place, terms in _terms(recipe).items():
        for number in (number for number, term in enumerate(terms) if term.head is not None):
            sentence = f"expected case_classes in the task for terms that name a head, got head: {terms[number].head} and one head only: leave it out"
            yield Mistake((*place, number, "head"), RecipeError("RECIPE_NEEDS", sentence))


def _terms(recipe: Recipe) -> dict[FieldPath, tuple[LossTerm, ...]]:
    return {("teacher", "terms"): recipe.teacher.terms, **{("arms", name, "terms"): arm.terms for name, arm in recipe.arms.items()}}


def _detection_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    asked: dict[FieldPath, bool] = {("experiment",): recipe.experiment is not None}
    asked |= {("arms", name, "knowledge"): arm.knowledge == "store" for name, arm in recipe.arms.items()}
    asked |= {("arms", name, "init"): arm.init != "random" for name, arm in recipe.arms.items()}
    asked |= {("arms", name, "teachers"): arm.teachers != ONE_TEACHER for name, arm in recipe.arms.items()}
    asked[("teachers",)] = bool(recipe.teachers)
    for place in (place for place, found in asked.items() if found):
        sentence = f"expected no {'.'.join(map(str, place))} in a recipe of a detection: it is there for classification and segmentation only; leave it out"
        yield Mistake(place, RecipeError("RECIPE_TASK", sentence))


def _case_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    for who, network in (("teacher", recipe.teacher.network), ("student", recipe.student.network)):
        if _HEAD not in NETWORKS.entry(network.builder).fact("HEADS", frozenset()):
            sentence = f"expected a network with a head that classifies (multi_task_unet) for case_classes, {network.builder} has none"
            yield Mistake((who, "network", "builder"), RecipeError("RECIPE_NEEDS", sentence))
    for place, terms in _terms(recipe).items():
        for number, term in enumerate(terms):
            if term.head == _HEAD and "features" in LOSSES.entry(term.loss).fact("NEEDS", frozenset()):
                sentence = f"expected no head for the loss {term.loss!r}: both heads read the same features; name the layer in its options"
                yield Mistake((*place, number, "head"), RecipeError("RECIPE_NEEDS", sentence))
    for name, arm in recipe.arms.items():
        if arm.knowledge == "store" and any(term.head == _HEAD for term in arm.terms):
            sentence = f"expected a live teacher for terms of the head that classifies in arm {name!r}, a store holds one head's answers"
            yield Mistake(("arms", name, "knowledge"), RecipeError("RECIPE_NEEDS", sentence))
    if recipe.experiment is not None:
        sentence = "expected no experiment in a recipe with case_classes: it judges one head; leave it out"
        yield Mistake(("experiment",), RecipeError("RECIPE_TASK", sentence))
    for who, fit in (("teacher", recipe.teacher.fit), ("student", recipe.student.fit)):
        if fit.mix != "none":
            sentence = f"expected mix: none with case_classes, a blended image has two classes, got {fit.mix}"
            yield Mistake((who, "fit", "mix"), RecipeError("RECIPE_NEEDS", sentence))
