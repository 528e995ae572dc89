"""What a recipe asks of a teacher and students that do not see the same: classes that labels never show."""

from __future__ import annotations

from collections.abc import Iterator

from data_contracts import PhantomData, Recipe, RecipeError, TaskKind
from medkd.training.mistake import FieldPath, Mistake

_HIDDEN: FieldPath = ("student", "hidden_classes")


def pair_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    """Yield what cannot be in a recipe whose students are not shown what its teacher is."""
    if isinstance(recipe.data, PhantomData) and recipe.data.cysts and len(recipe.task.classes) != 3:
        sentence = f"expected three classes where the phantom draws cysts, got {list(recipe.task.classes)}"
        yield Mistake(("data", "cysts"), RecipeError("RECIPE_CLASSES", sentence))
    if recipe.student.hidden_classes:
        yield from _hidden_mistakes(recipe)


def _hidden_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    hidden, classes = recipe.student.hidden_classes, recipe.task.classes

    def refused(place: FieldPath, sentence: str) -> Mistake:
        return Mistake(place, RecipeError("RECIPE_HIDDEN_CLASS", sentence))

    unknown = [name for name in hidden if name not in classes]
    shown = [name for name in (classes[1:] if recipe.task.kind.is_dense else classes) if name not in hidden]
    if unknown or len(set(hidden)) < len(hidden):
        yield refused(_HIDDEN, f"expected different classes of the task, {list(classes)}, as student.hidden_classes, got {list(hidden)}")
    elif recipe.task.kind is TaskKind.DETECTION:
        yield refused(_HIDDEN, "expected no hidden_classes in a recipe of a detection: it has one class of lesions; leave them out")
    elif recipe.task.kind.is_dense and classes[0] in hidden:
        yield refused(_HIDDEN, f"expected foreground classes as student.hidden_classes, got the background {classes[0]!r}")
    elif not shown:
        yield refused(_HIDDEN, f"expected a class that the students' labels show, all of {list(hidden)} are hidden: leave one out")
    if recipe.experiment is not None:
        sentence = "expected no experiment beside student.hidden_classes: its choices are made on cases that show the class; leave it out"
        yield refused(("experiment",), sentence)
