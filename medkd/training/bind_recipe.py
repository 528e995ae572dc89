"""Whether a recipe's names, options, needs and tasks fit the catalogues: every mistake of it, before any compute is spent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from data_contracts import (
    Arm,
    AttributionSource,
    CatalogueError,
    Entry,
    ImageFolderData,
    LossTerm,
    Network,
    Recipe,
    RecipeError,
    TaskKind,
    TeacherRecipe,
    TrainingConfig,
)
from medkd.catalogue import EXPLAINERS, LOSSES, MEASURES, NETWORKS, Catalogue, CatalogueEntry, explainer_of, option_errors
from medkd.task_context import TaskContext
from medkd.training.bind_cases import made_cases_mistakes
from medkd.training.bind_teachers import several_mistakes
from medkd.training.kind_mistakes import gate_mistakes, kind_mistakes
from medkd.training.mistake import FieldPath, Mistake, Source, attempt, raise_first
from medkd.training.objective import Objective, reads_explanations
from medkd.training.pair_mistakes import pair_mistakes

#: Kinds of measures that a cohort's maps can be asked about.
OF_MAPS = frozenset({"localisation", "complexity", "agreement", "guided", "faithfulness"})
#: Kinds that take more maps: of images nearby, of other trainings.
OF_MORE_MAPS = frozenset({"robustness", "repeated"})


def bind_recipe(recipe: Recipe) -> None:
    """Check a recipe against the catalogue: entries, options, needs, tasks.

    Raises:
        CatalogueError: unknown entry or option.
        RecipeError: ``RECIPE_TASK`` (an entry is not for this task), ``RECIPE_NEEDS`` (a term needs what the data lack, or the
            teacher would need a teacher), ``RECIPE_EXPLAINER`` (a loss asks for an explainer without a gradient),
            ``RECIPE_GUARD`` (a term cannot work under the circumstances, with the reason), ``RECIPE_MEASURE`` (a measure that says nothing
            of a map).
    """
    raise_first(list(binding_mistakes(recipe)), Source(recipe.name, {}))


def binding_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    """Yield what does not fit the catalogues; of a recipe that names what does not exist only that."""
    unknown = list(name_mistakes(json.loads(recipe.canonical_json())))
    if unknown:
        yield from unknown
        return
    yield from _task_mistakes(recipe)
    yield from _teacher_mistakes(("teacher",), recipe.teacher, recipe)
    for name, teacher in recipe.teachers.items():
        yield from _teacher_mistakes(("teachers", name), teacher, recipe)
    for name, arm in recipe.arms.items():
        yield from _arm_mistakes(("arms", name), arm, recipe)
    yield from _explain_mistakes(recipe)
    yield from kind_mistakes(recipe)
    yield from pair_mistakes(recipe)
    # Last: whoever gave a recipe another kind of task, or a teacher another head, has the same to say of its gate.
    yield from gate_mistakes(recipe)


def name_mistakes(payload: Any) -> Iterator[Mistake]:
    """Yield the entries and options of a recipe's plain fields that are in no catalogue; what is no recipe yet is looked at as far as it goes."""
    for place, catalogue, key, value in _named(payload):
        name, options = value.get(key), value.get("options", {})
        if not isinstance(name, str) or not isinstance(options, dict):
            continue  # which the form of the recipe refuses
        try:
            entry = catalogue.entry(name)
        except CatalogueError as error:
            yield Mistake((*place, key), error)
            continue
        yield from (Mistake((*place, "options", option), error) for option, error in option_errors(entry, options))
        explainer = options.get("explainer")
        if catalogue is LOSSES and isinstance(explainer, str):
            yield from attempt((*place, "options", "explainer"), partial(EXPLAINERS.entry, explainer))


def _named(payload: Any) -> Iterator[tuple[FieldPath, Catalogue, str, dict[str, Any]]]:
    """Yield where a recipe names entries: place, catalogue, the field that holds the name, and the fields beside it."""
    for path, catalogue, key in (
        (("teacher", "network"), NETWORKS, "builder"),
        (("teachers", "*", "network"), NETWORKS, "builder"),
        (("student", "network"), NETWORKS, "builder"),
        (("teacher", "terms", "*"), LOSSES, "loss"),
        (("teachers", "*", "terms", "*"), LOSSES, "loss"),
        (("arms", "*", "terms", "*"), LOSSES, "loss"),
        (("knowledge", "maps", "*"), EXPLAINERS, "explainer"),
        (("explain", "explainers", "*"), EXPLAINERS, "name"),
        (("explain", "measures", "*"), MEASURES, "name"),
    ):
        yield from ((place, catalogue, key, value) for place, value in _at(payload, path) if isinstance(value, dict))


def _at(value: Any, path: tuple[str, ...]) -> Iterator[tuple[FieldPath, Any]]:
    """Yield the values at a path, ``*`` standing for every key or number, with their places."""
    if not path:
        yield (), value
        return
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, inner in items:
        if path[0] in ("*", key):
            yield from (((key, *place), found) for place, found in _at(inner, path[1:]))


def _task_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    """Yield entries that are for another task."""
    kind = recipe.task.kind.value

    def of(place: FieldPath, entry: CatalogueEntry, kind: str = kind) -> Iterator[Mistake]:
        tasks = entry.fact("TASKS")
        if tasks is not None and kind not in tasks:
            yield Mistake(
                place, RecipeError("RECIPE_TASK", f"expected an entry for {kind}, got {entry.name!r}, which is for {sorted(tasks)}")
            )

    # Plain fields, so that places are those of the file and not of Python objects.
    payload = json.loads(recipe.canonical_json())
    for place, catalogue, key, value in _named(payload):
        entry = catalogue.entry(value[key])
        # A term may be about the head of another kind.
        own = value.get("head") or _one_head(payload, place) or kind
        yield from of((*place, key), entry, own)
        if catalogue is LOSSES and "explainer" in entry.fact("NEEDS", frozenset()):
            term = LossTerm.model_validate({"loss": entry.name, "options": value.get("options", {})})
            yield from of((*place, "options"), EXPLAINERS.entry(explainer_of(term)), own)


def _one_head(payload: dict[str, Any], place: FieldPath) -> str | None:
    """Return the one head that the teacher has whose field this is; None of others."""
    teacher = payload["teachers"][place[1]] if place[0] == "teachers" else payload["teacher"] if place[0] == "teacher" else {}
    head: str | None = teacher.get("head")
    return head


def _teacher_mistakes(where: FieldPath, teacher: TeacherRecipe, recipe: Recipe) -> Iterator[Mistake]:
    place = (*where, "terms")
    if teacher.registered is not None:
        return  # its network is known when it is fetched
    broken = list(attempt(place, lambda: Objective(teacher.terms)))
    yield from broken
    for number, term in enumerate(teacher.terms):
        yield from _term_mistakes((*place, number), term, recipe, from_store=False)
        yield from _mix_mistakes((*place, number), term, teacher.fit, recipe)
    if broken:
        return
    asking = [term.loss for term in teacher.terms if "teacher" in LOSSES.entry(term.loss).fact("NEEDS", frozenset())]
    if asking and teacher.learns_from is None:
        yield Mistake(place, RecipeError("RECIPE_NEEDS", f"expected teacher terms that need no teacher, got {asking}"))
    if teacher.learns_from is not None and not asking:
        sentence = (
            f"expected a term with a teacher where learns_from is {teacher.learns_from!r}, got {[term.loss for term in teacher.terms]}"
        )
        yield Mistake((*where, "learns_from"), RecipeError("RECIPE_NEEDS", sentence))
    yield from _head_mistakes(place, Objective(teacher.terms).needs, teacher.network, "the teacher")


def _arm_mistakes(place: FieldPath, arm: Arm, recipe: Recipe) -> Iterator[Mistake]:
    terms, name = (*place, "terms"), place[-1]
    broken = list(attempt(terms, lambda: Objective(arm.terms)))
    yield from broken
    for number, term in enumerate(arm.terms):
        yield from _term_mistakes((*terms, number), term, recipe, from_store=arm.knowledge == "store")
        yield from _mix_mistakes((*terms, number), term, recipe.student.fit, recipe)
    if broken:
        return
    objective, losses = Objective(arm.terms), [term.loss for term in arm.terms]
    yield from _head_mistakes(terms, objective.needs, recipe.student.network, f"arm {name!r}")

    def needs(field: str, sentence: str) -> Mistake:
        return Mistake((*place, field), RecipeError("RECIPE_NEEDS", sentence))

    if arm.attribution_source is not AttributionSource.TEACHER and not reads_explanations(objective.needs):
        yield needs(
            "attribution_source",
            f"expected a term that reads the teacher's explanations in arm {name!r}, got {losses}: a control would change nothing",
        )
    follows_task = arm.balance is not None and (arm.balance.norms or arm.balance.do_no_harm)
    if follows_task and not any(term.is_task for term in objective.terms):
        yield needs(
            "balance",
            f"expected a term that reads labels and no teacher in arm {name!r}, got {losses}: its balance is relative to that",
        )
    follows_teacher = arm.balance is not None and (arm.balance.agreement_rate or arm.balance.agreement_weight)
    if follows_teacher and "teacher" not in objective.needs:
        yield needs("balance", f"expected a term with a teacher in arm {name!r}, got {losses}: without one there is no agreement to follow")
    if arm.unlabelled and "teacher" not in objective.needs:
        yield needs(
            "unlabelled",
            f"expected a term with a teacher in arm {name!r}, got {losses}: its unlabelled images have neither a label nor a teacher's answer",
        )
    yield from several_mistakes(place, arm, recipe, objective)
    yield from made_cases_mistakes(place, arm, recipe, objective)
    if arm.knowledge == "store":
        asking = [term.label for term in objective.terms if term.needs & {"views", "responses"} and "teacher" in term.needs]
        if asking:
            yield needs(
                "terms",
                f"expected terms whose answers can be stored in arm {name!r}, {asking[0]!r} asks the teacher about images of its own: "
                "use knowledge: live",
            )
        if arm.attribution_source is AttributionSource.RANDOM_TEACHER:
            yield needs("attribution_source", f"expected a live teacher for the control random_teacher in arm {name!r}, it reads a store")


def _head_mistakes(place: FieldPath, needs: frozenset[str], network: Network, who: str) -> Iterator[Mistake]:
    if "deep_heads" in needs and not network.options.get("deep_supervision"):
        sentence = f"expected a network with deep_supervision of 1 or more (dyn_unet) for {who}, {network.builder} has no coarser heads"
        yield Mistake(place, RecipeError("RECIPE_NEEDS", sentence))


def _mix_mistakes(place: FieldPath, term: LossTerm, fit: TrainingConfig, recipe: Recipe) -> Iterator[Mistake]:
    """Yield blended images where a term would read one label, or one mask, of a case that has two."""
    entry = LOSSES.entry(term.loss)
    one_label = entry.fact("NEEDS", frozenset()) & {"labels", "masks"} and not entry.fact("MIXES", False)
    # A box that is pasted into a segmentation brings its labels along: each voxel still has one.
    blended = fit.mix == "mixup" or (fit.mix == "cutmix" and recipe.task.kind is TaskKind.CLASSIFICATION)
    if blended and one_label:
        sentence = f"expected terms that understand blended images with mix: {fit.mix}, {term.loss!r} reads one label per case"
        yield Mistake((*place, "loss"), RecipeError("RECIPE_NEEDS", sentence))


def _term_mistakes(place: FieldPath, term: LossTerm, recipe: Recipe, *, from_store: bool) -> Iterator[Mistake]:
    entry = LOSSES.entry(term.loss)
    needs = entry.fact("NEEDS", frozenset())
    reason = entry.incompatible_reason(TaskContext(recipe.task.kind.value, len(recipe.task.classes), from_store), **term.options)
    if reason:
        yield Mistake((*place, "loss"), RecipeError("RECIPE_GUARD", f"expected a term that can work here, {term.loss!r} cannot: {reason}"))
    if "forbidden" in needs:
        sentence = f"expected terms that the data of a recipe can feed, {entry.name!r} reads what readers said of a student's maps: medkd redistill adds it"
        yield Mistake((*place, "loss"), RecipeError("RECIPE_NEEDS", sentence))
    if "masks" in needs and isinstance(recipe.data, ImageFolderData) and recipe.data.masks is None:
        sentence = f"expected data with masks for the loss {term.loss!r}, data.masks is null"
        yield Mistake((*place, "loss"), RecipeError("RECIPE_NEEDS", sentence))
    if "explainer" in needs and not EXPLAINERS.entry(explainer_of(term)).fact("DIFFERENTIABLE", False):
        sentence = f"expected a differentiable explainer in the loss {term.loss!r}, {explainer_of(term)} is not"
        yield Mistake((*place, "options"), RecipeError("RECIPE_EXPLAINER", sentence))


def _explain_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    """Yield measures that say nothing of a map, and explainers that give no map of a network by itself."""
    for number, one in enumerate(recipe.explain.measures):
        yield from _measure_mistakes(("explain", "measures", number, "name"), one)
    networks = [one.network for one in (recipe.teacher, *recipe.teachers.values()) if one.registered is None]
    builders = {recipe.student.network.builder, *(network.builder for network in networks)}
    attentive = all(NETWORKS.entry(builder).fact("ATTENTION", False) for builder in builders)
    for number, one in enumerate(recipe.explain.explainers):
        yield from _map_mistakes(("explain", "explainers", number, "name"), one.name, attentive=attentive)


def _measure_mistakes(place: FieldPath, one: Entry) -> Iterator[Mistake]:
    # The randomisation goes with every job (`explain.randomisation`); named here it is one that is shown.
    if one.name != "model_parameter_randomisation" and MEASURES.entry(one.name).fact("KIND") not in OF_MAPS | OF_MORE_MAPS:
        hint = ": give explain.shift" if one.name == "off_distribution" else ""
        yield Mistake(place, RecipeError("RECIPE_MEASURE", f"expected a measure of maps in explain.measures, {one.name} is not one{hint}"))


def _map_mistakes(place: FieldPath, explainer: str, *, attentive: bool) -> Iterator[Mistake]:
    entry = EXPLAINERS.entry(explainer)
    if entry.fact("RETURNS", "map") != "map":
        sentence = f"expected an explainer that gives a map, {explainer} gives {entry.fact('RETURNS')}"
        yield Mistake(place, RecipeError("RECIPE_EXPLAINER", sentence))
    if "attention" in entry.fact("NEEDS", frozenset()) and not attentive:
        sentence = f"expected an explainer for every network of the recipe, {explainer} is for transformers only"
        yield Mistake(place, RecipeError("RECIPE_EXPLAINER", sentence))
