"""From a file to a bound recipe: everything that can be wrong is said before any compute is spent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

from pydantic import ValidationError

from data_contracts import (
    Arm,
    AttributionSource,
    Entry,
    ImageFolderData,
    LossTerm,
    Network,
    NetworkSpec,
    Recipe,
    RecipeError,
    Role,
    TaskKind,
    TrainingConfig,
)
from data_contracts.record import first_problem
from medkd.catalogue import EXPLAINERS, LOSSES, MEASURES, NETWORKS, entries_named_in, explainer_of
from medkd.models._build import specify_network
from medkd.task_context import TaskContext
from medkd.training.objective import Objective, reads_explanations
from medkd.yaml_text import YamlRefused, read_yaml


def network_spec(recipe: Recipe, role: Role) -> NetworkSpec:
    """Return the full specification of a role's network: channels follow from the task."""
    return specify_network(recipe.teacher.network if role is Role.TEACHER else recipe.student.network, recipe.task)


def read_recipe(path: Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read, override and bind a recipe.

    Args:
        path: YAML file.
        overrides: dotted field → value, for example ``{"teacher.fit.epochs": 2}``.

    Raises:
        RecipeError: ``RECIPE_MISSING``, ``RECIPE_UNREADABLE``, ``RECIPE_INVALID``, or what :func:`bind_recipe` finds.
        CatalogueError: an entry or option that does not exist.
    """
    if not path.is_file():
        raise RecipeError("RECIPE_MISSING", f"expected a recipe at {path}, found no file")
    try:
        payload = read_yaml(path)
    except YamlRefused as error:
        raise RecipeError("RECIPE_UNREADABLE", str(error)) from error
    if not isinstance(payload, dict):
        raise RecipeError("RECIPE_UNREADABLE", f"expected a mapping of recipe fields in {path.name}, got {type(payload).__name__}")
    return make_recipe(payload, overrides or {}, path.name)


def reading_store(recipe: Recipe) -> Recipe:
    """Return a recipe whose arms with a teacher all read a store, bound again; errors as :func:`read_recipe`."""
    with_teacher = [name for name, arm in recipe.arms.items() if "teacher" in Objective(arm.terms).needs]
    return vary_recipe(recipe, {f"arms.{name}.knowledge": "store" for name in with_teacher})


def vary_recipe(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """Return a recipe with dotted fields changed, bound again; errors as :func:`read_recipe`."""
    return make_recipe(json.loads(recipe.canonical_json()), overrides, recipe.name)


def make_recipe(payload: dict[str, Any], overrides: Mapping[str, Any], source: str) -> Recipe:
    """Validate and bind a recipe from plain fields; ``source`` names it in errors."""
    for dotted, value in overrides.items():
        _override(payload, dotted, value)
    try:
        recipe = Recipe.model_validate(payload)
    except ValidationError as error:
        raise RecipeError("RECIPE_INVALID", f"expected a valid recipe in {source}: {first_problem(error)}") from error
    _require_inside(recipe, source)
    bind_recipe(recipe)
    return recipe


def _require_inside(recipe: Recipe, source: str) -> None:
    """Refuse files and folders that do not lie below the data root, or below the recipe's own folder in it, by how they are written."""
    for field in ("path", "table", "dataset", "images", "masks"):
        name = getattr(recipe.data, field, None)
        plain = str(name).replace("\\", "/")
        if name is not None and (plain.startswith(("/", "~")) or ".." in plain.split("/") or PureWindowsPath(plain).drive):
            raise RecipeError(
                "RECIPE_PATH",
                f"expected data.{field} of {source} to be a name below the folder of the data (MEDKD_DATA), got {plain[:100]!r}; "
                "set MEDKD_DATA to the folder that holds it",
            )


def _override(payload: dict[str, Any], dotted: str, value: Any) -> None:
    """Set a dotted field; a number names an item of a list, for example ``arms.kd.terms.0.weight``."""
    *parents, last = dotted.split(".")
    place: Any = payload
    for parent in parents:
        place = place[_item(place, parent, dotted)] if isinstance(place, list) else place.setdefault(parent, {})
        if not isinstance(place, dict | list):
            raise RecipeError("RECIPE_OVERRIDE", f"expected a field with fields at {parent!r} of {dotted!r}, got {type(place).__name__}")
    place[_item(place, last, dotted) if isinstance(place, list) else last] = value


def _item(items: list[Any], text: str, dotted: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text[:18]) >= len(items):
        raise RecipeError("RECIPE_OVERRIDE", f"expected a number below {len(items)} in {dotted!r}, got {text!r}")
    return int(text)


def bind_recipe(recipe: Recipe) -> None:
    """Check a recipe against the catalogue: entries, options, needs, tasks.

    Raises:
        CatalogueError: unknown entry or option.
        RecipeError: ``RECIPE_TASK`` (an entry is not for this task), ``RECIPE_NEEDS`` (a term needs what the data lack, or the
            teacher would need a teacher), ``RECIPE_EXPLAINER`` (a loss asks for an explainer without a gradient),
            ``RECIPE_GUARD`` (a term cannot work under the circumstances, with the reason).
    """
    for network in (recipe.teacher.network, recipe.student.network):
        NETWORKS.bind(network.builder, network.options)
    for entry in entries_named_in((recipe.teacher, recipe.student, recipe.arms, recipe.knowledge, recipe.explain)).values():
        tasks = entry.fact("TASKS")
        if tasks is not None and recipe.task.kind.value not in tasks:
            raise RecipeError("RECIPE_TASK", f"expected entries for {recipe.task.kind.value}, {entry.name} is for {sorted(tasks)}")
    if "teacher" in Objective(recipe.teacher.terms).needs:
        raise RecipeError("RECIPE_NEEDS", "expected teacher terms that need no teacher, one of them does")
    for term in recipe.teacher.terms:
        _check_term(term, recipe, from_store=False)
        _check_mix(term, recipe.teacher.fit, recipe)
    for arm in recipe.arms.values():
        for term in arm.terms:
            _check_term(term, recipe, from_store=arm.knowledge == "store")
            _check_mix(term, recipe.student.fit, recipe)
    _check_deep_heads(recipe.teacher.terms, recipe.teacher.network, "the teacher")
    for arm_name, arm in recipe.arms.items():
        _check_deep_heads(arm.terms, recipe.student.network, f"arm {arm_name!r}")
        if arm.attribution_source is not AttributionSource.TEACHER and not reads_explanations(Objective(arm.terms).needs):
            raise RecipeError(
                "RECIPE_NEEDS", f"expected a term that reads the teacher's explanations in arm {arm_name!r}: a control would change nothing"
            )
        _check_balance(arm_name, arm)
        if arm.unlabelled and "teacher" not in Objective(arm.terms).needs:
            raise RecipeError(
                "RECIPE_NEEDS", f"expected a term with a teacher in arm {arm_name!r}: nobody answers for its unlabelled images"
            )
    for catalogue, chosen in ((EXPLAINERS, recipe.explain.explainers), (MEASURES, recipe.explain.measures)):
        for one in chosen:
            catalogue.bind(one.name, one.options)
    _check_measures(recipe.explain.measures)
    builders = {recipe.teacher.network.builder, recipe.student.network.builder}
    attentive = all(NETWORKS.entry(builder).fact("ATTENTION", False) for builder in builders)
    for asked in recipe.explain.explainers:
        _check_map(asked.name, attentive=attentive)


def _check_measures(measures: tuple[Entry, ...]) -> None:
    """Refuse measures that say nothing of a map, before anything is computed."""
    for one in measures:
        # The randomisation goes with every job (`explain.randomisation`); named here it is one that is shown.
        if one.name != "model_parameter_randomisation" and MEASURES.entry(one.name).fact("KIND") not in OF_MAPS | OF_MORE_MAPS:
            hint = ": give explain.shift" if one.name == "off_distribution" else ""
            raise RecipeError("RECIPE_MEASURE", f"expected a measure of maps in explain.measures, {one.name} is not one{hint}")


def _check_map(explainer: str, *, attentive: bool) -> None:
    """Refuse explainers that give no map of a network by itself, before anything is computed."""
    entry = EXPLAINERS.entry(explainer)
    if entry.fact("RETURNS", "map") != "map":
        raise RecipeError("RECIPE_EXPLAINER", f"expected an explainer that gives a map, {explainer} gives {entry.fact('RETURNS')}")
    if "attention" in entry.fact("NEEDS", frozenset()) and not attentive:
        raise RecipeError(
            "RECIPE_EXPLAINER", f"expected an explainer for every network of the recipe, {explainer} is for transformers only"
        )


def _check_deep_heads(terms: tuple[LossTerm, ...], network: Network, who: str) -> None:
    if "deep_heads" in Objective(terms).needs and not network.options.get("deep_supervision"):
        raise RecipeError(
            "RECIPE_NEEDS",
            f"expected a network with deep_supervision of 1 or more (dyn_unet) for {who}, {network.builder} has no coarser heads",
        )


def _check_balance(name: str, arm: Arm) -> None:
    """Refuse weights in units of a task that an arm does not have, and a store that would have to be asked something new."""
    objective = Objective(arm.terms)
    follows_task = arm.balance is not None and (arm.balance.norms or arm.balance.do_no_harm)
    if follows_task and not any(term.is_task for term in objective.terms):
        raise RecipeError(
            "RECIPE_NEEDS", f"expected a term that reads labels and no teacher in arm {name!r}: its balance is relative to that"
        )
    if arm.balance is not None and (arm.balance.agreement_rate or arm.balance.agreement_weight) and "teacher" not in objective.needs:
        raise RecipeError("RECIPE_NEEDS", f"expected a term with a teacher in arm {name!r}: without one there is no agreement to follow")
    if arm.knowledge == "store":
        asking = [term.label for term in objective.terms if term.needs & {"views", "responses"} and "teacher" in term.needs]
        if asking:
            raise RecipeError(
                "RECIPE_NEEDS",
                f"expected terms whose answers can be stored in arm {name!r}, {asking[0]!r} asks the teacher about images of its own: "
                "use knowledge: live",
            )
        if arm.attribution_source is AttributionSource.RANDOM_TEACHER:
            raise RecipeError("RECIPE_NEEDS", f"expected a live teacher for the control random_teacher in arm {name!r}, it reads a store")


def _check_mix(term: LossTerm, fit: TrainingConfig, recipe: Recipe) -> None:
    """Refuse blended images where a term would read one label, or one mask, of a case that has two."""
    entry = LOSSES.entry(term.loss)
    one_label = entry.fact("NEEDS", frozenset()) & {"labels", "masks"} and not entry.fact("MIXES", False)
    # A box that is pasted into a segmentation brings its labels along: each voxel still has one.
    blended = fit.mix == "mixup" or (fit.mix == "cutmix" and recipe.task.kind is TaskKind.CLASSIFICATION)
    if blended and one_label:
        raise RecipeError(
            "RECIPE_NEEDS", f"expected terms that understand blended images with mix: {fit.mix}, {term.loss!r} reads one label per case"
        )


def _check_term(term: LossTerm, recipe: Recipe, *, from_store: bool) -> None:
    entry = LOSSES.entry(term.loss)
    needs = entry.fact("NEEDS", frozenset())
    LOSSES.bind(term.loss, term.options)
    incompatible_reason = getattr(entry.module, "incompatible_reason", None)
    reason = incompatible_reason and incompatible_reason(
        TaskContext(recipe.task.kind.value, len(recipe.task.classes), from_store), **term.options
    )
    if reason:
        raise RecipeError("RECIPE_GUARD", f"expected a term that can work here, {term.loss!r} cannot: {reason}")
    no_masks = isinstance(recipe.data, ImageFolderData) and recipe.data.masks is None
    if "masks" in needs and no_masks:
        raise RecipeError("RECIPE_NEEDS", f"expected data with masks for the loss {term.loss!r}, data.masks is null")
    if "explainer" in needs:
        explainer = EXPLAINERS.entry(explainer_of(term))
        if not explainer.fact("DIFFERENTIABLE", False):
            raise RecipeError("RECIPE_EXPLAINER", f"expected a differentiable explainer in the loss {term.loss!r}, {explainer.name} is not")


#: Kinds of measures that a cohort's maps can be asked about.
OF_MAPS = frozenset({"localisation", "complexity", "agreement", "guided", "faithfulness"})
#: Kinds that take more maps: of images nearby, of other trainings.
OF_MORE_MAPS = frozenset({"robustness", "repeated"})


def with_everything(recipe: Recipe) -> Recipe:
    """Return a recipe that asks every explainer of its task which gives a map by itself, and every measure of maps."""
    explainers = []
    for name in EXPLAINERS.names():
        entry = EXPLAINERS.entry(name)
        if recipe.task.kind.value in entry.fact("TASKS") and entry.fact("RETURNS", "map") == "map" and not entry.fact("NEEDS"):
            explainers.append(Entry(name=name))
    measures = [Entry(name=name) for name in MEASURES.names() if MEASURES.entry(name).fact("KIND") in OF_MAPS | {"repeated"}]
    if recipe.task.spatial_dims == 3:
        measures += [
            Entry(name="mass_in_shell", options={"inner": inner, "outer": outer}) for inner, outer in ((5.0, 20.0), (20.0, 1000.0))
        ]
    explain = recipe.explain.model_copy(update={"explainers": tuple(explainers), "measures": tuple(measures), "randomisation": True})
    return recipe.model_copy(update={"explain": explain})
