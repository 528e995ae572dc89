"""What a recipe asks that is not there for its kind of task: of detectors, and of networks with two heads."""

from __future__ import annotations

from collections.abc import Iterator

from data_contracts import (
    BUILT_IN_TEACHERS,
    ONE_TEACHER,
    Arm,
    AttributionSource,
    LossTerm,
    Recipe,
    RecipeError,
    TaskKind,
    TeacherRecipe,
    teacher_named,
)
from medkd.catalogue import LOSSES, NETWORKS
from medkd.training.mistake import FieldPath, Mistake

_HEAD = TaskKind.CLASSIFICATION.value
_BOTH = frozenset({TaskKind.SEGMENTATION.value, _HEAD})
#: What the gate measures of a teacher (``medkd/evaluation/gate_teacher.py``).
_BOUNDS = {
    TaskKind.CLASSIFICATION: ("min_auc", "min_relevance_mass_accuracy", "max_marker_effect"),
    TaskKind.SEGMENTATION: ("min_dice",),
    TaskKind.DETECTION: ("min_cpm",),
}


def kind_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    """Yield what a recipe asks that is not there for its kind of task."""
    if recipe.task.kind is TaskKind.DETECTION:
        yield from _detection_mistakes(recipe)
    if recipe.task.case_classes:
        yield from _case_mistakes(recipe)
        yield from _one_head_mistakes(recipe)
        return
    for place, teacher in _teachers(recipe).items():
        if teacher.head is not None:
            sentence = f"expected case_classes in the task for a teacher of one of two heads, got head: {teacher.head}: leave it out"
            yield Mistake((*place, "head"), RecipeError("RECIPE_NEEDS", sentence))
    for place, terms in _terms(recipe).items():
        for number in (number for number, term in enumerate(terms) if term.head is not None):
            sentence = f"expected case_classes in the task for terms that name a head, got head: {terms[number].head} and one head only: leave it out"
            yield Mistake((*place, number, "head"), RecipeError("RECIPE_NEEDS", sentence))


def _terms(recipe: Recipe) -> dict[FieldPath, tuple[LossTerm, ...]]:
    teachers = {(*place, "terms"): teacher.terms for place, teacher in _teachers(recipe).items()}
    return {**teachers, **{("arms", name, "terms"): arm.terms for name, arm in recipe.arms.items()}}


def _teachers(recipe: Recipe) -> dict[FieldPath, TeacherRecipe]:
    return {("teacher",): recipe.teacher, **{("teachers", name): teacher for name, teacher in recipe.teachers.items()}}


def gate_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    """Yield bounds of a gate that no teacher of the kind can be measured by: asked in vain, they would hold back nobody."""
    for place, teacher in _teachers(recipe).items():
        kind = recipe.task.kind if teacher.head is None else TaskKind(teacher.head)
        asked = teacher.gate.model_dump(exclude_none=True, exclude={"enforce"})
        for name in (name for name in asked if name not in _BOUNDS[kind]):
            sentence = f"expected bounds of a {kind.value} in its gate ({', '.join(_BOUNDS[kind])}), got {name}: leave it out"
            yield Mistake((*place, "gate", name), RecipeError("RECIPE_TASK", sentence))


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
    networks = {place: teacher.network for place, teacher in _teachers(recipe).items() if teacher.head is None}
    for place, network in {**networks, ("student",): recipe.student.network}.items():
        if _HEAD not in NETWORKS.entry(network.builder).fact("HEADS", frozenset()):
            sentence = f"expected a network with a head that classifies (multi_task_unet) for case_classes, {network.builder} has none"
            yield Mistake((*place, "network", "builder"), RecipeError("RECIPE_NEEDS", sentence))
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


def _one_head_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    """Yield what teachers of one head each cannot be, and what arms ask of them that nobody answers."""
    if recipe.teacher.head == _HEAD:
        sentence = "expected a teacher that segments as teacher, by which students are measured, got head: classification: put it under teachers.NAME"
        yield Mistake(("teacher", "head"), RecipeError("RECIPE_NEEDS", sentence))
    if recipe.teacher.head is not None and all(one.head != _HEAD for one in recipe.teachers.values()):
        sentence = "expected a further teacher with head: classification beside one with head: segmentation, there is none"
        yield Mistake(("teachers",), RecipeError("RECIPE_NEEDS", sentence))
    for place, teacher in _teachers(recipe).items():
        above = None if teacher.learns_from is None else teacher_named(recipe, teacher.learns_from)
        if above is not None and above.head != teacher.head:
            sentence = f"expected a teacher of the same head as learns_from, {teacher.learns_from!r} has {above.head or 'both'}"
            yield Mistake((*place, "learns_from"), RecipeError("RECIPE_NEEDS", sentence))
        named = next((number for number, term in enumerate(teacher.terms) if term.head is not None), None)
        if teacher.head is not None and named is not None:
            sentence = f"expected terms that name no head of a teacher that has one, got head: {teacher.terms[named].head}: leave it out"
            yield Mistake((*place, "terms", named, "head"), RecipeError("RECIPE_NEEDS", sentence))
    for name, arm in recipe.arms.items():
        yield from _asked_heads(("arms", name), arm, recipe)


def _asked_heads(place: FieldPath, arm: Arm, recipe: Recipe) -> Iterator[Mistake]:
    """Yield terms of an arm whose head none of its teachers has, and what teachers of one head each cannot do together."""
    own = {name: None if name in BUILT_IN_TEACHERS else teacher_named(recipe, name).head for name in arm.teachers}
    asked = {
        number: term.head or TaskKind.SEGMENTATION.value
        for number, term in enumerate(arm.terms)
        if "teacher" in LOSSES.entry(term.loss).fact("NEEDS", frozenset())
    }
    answered = _BOTH if None in own.values() else frozenset(str(head) for head in own.values())
    for number in (number for number, head in asked.items() if head not in answered):
        sentence = f"expected a teacher with the head {asked[number]} in the arm, {arm.terms[number].loss!r} would ask {list(arm.teachers)}: name one in its teachers"
        yield Mistake((*place, "terms", number), RecipeError("RECIPE_NEEDS", sentence))
    if not asked or set(own.values()) == {None}:
        return
    faults = {
        "teachers": (
            None in own.values() or TaskKind.SEGMENTATION.value not in own.values(),
            "teachers that all have both heads, or one each and one that segments",
        ),
        "knowledge": (arm.knowledge == "store", "knowledge: live of teachers of one head each"),
        "weighting": (arm.weighting == "validation", "another weighting than validation of teachers of one head each"),
        "init": (arm.init == "compressed_teacher", "a teacher with both heads to be compressed"),
        "attribution_source": (
            arm.attribution_source is AttributionSource.RANDOM_TEACHER,
            "another control than random_teacher, which would have one head",
        ),
    }
    for field, (found, expected) in faults.items():
        if found:
            heads = ", ".join(f"{name} has {head or 'both'}" for name, head in own.items())
            yield Mistake((*place, field), RecipeError("RECIPE_NEEDS", f"expected {expected} in an arm, {heads}"))
