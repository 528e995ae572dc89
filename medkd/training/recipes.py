"""From a file to a bound recipe: everything that can be wrong is said before any compute is spent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

from data_contracts import BUILT_IN_TEACHERS, Data, Entry, NetworkSpec, Recipe, RecipeError, Role, current_path, current_recipe
from medkd.catalogue import EXPLAINERS, MEASURES
from medkd.models._build import specify_network
from medkd.training.bind_recipe import OF_MAPS, binding_mistakes, name_mistakes
from medkd.training.form_mistakes import form_mistakes, readable_parts
from medkd.training.mistake import Mistake, Source, raise_first
from medkd.training.objective import Objective
from medkd.yaml_text import YamlRefused, read_yaml, yaml_lines


def network_spec(recipe: Recipe, role: Role) -> NetworkSpec:
    """Return the full specification of a role's network: channels follow from the task, and from what it sees."""
    if role is Role.TEACHER:
        return specify_network(recipe.teacher.network, recipe.teacher_task())
    return specify_network(recipe.student.network, recipe.student_task())


def read_recipe(path: Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read, override and bind a recipe.

    Args:
        path: YAML file.
        overrides: dotted field → value, for example ``{"teacher.fit.epochs": 2}``.

    Raises:
        RecipeError: ``RECIPE_MISSING``, ``RECIPE_UNREADABLE``, ``RECIPE_OVERRIDE``, or the first mistake of :func:`mistakes_of`, with its
            file, line and field, and how many more there are.
        CatalogueError: an entry or option that does not exist.
    """
    payload, source = read_fields(path, overrides or {})
    return _validated(payload, source, lambda: Source(path.name, yaml_lines(path), source.overrides))


def read_fields(path: Path, overrides: Mapping[str, Any]) -> tuple[dict[str, Any], Source]:
    """Return the plain fields of a recipe's file, overridden, and where they were read (without lines).

    Raises:
        RecipeError: ``RECIPE_MISSING``, ``RECIPE_UNREADABLE``, ``RECIPE_OVERRIDE``.
    """
    if not path.is_file():
        raise RecipeError("RECIPE_MISSING", f"expected a recipe at {path}, found no file")
    try:
        payload = read_yaml(path)
    except YamlRefused as error:
        raise RecipeError("RECIPE_UNREADABLE", str(error)) from error
    if not isinstance(payload, dict):
        raise RecipeError("RECIPE_UNREADABLE", f"expected a mapping of recipe fields in {path.name}, got {type(payload).__name__}")
    return _overridden(payload, overrides), Source(path.name, {}, tuple(current_path(dotted) for dotted in overrides))


def reading_store(recipe: Recipe) -> Recipe:
    """Return a recipe whose arms with a trained teacher all read a store, bound again; errors as :func:`read_recipe`.

    Teachers that come about where the student is trained (``ema``, ``peer``, ``self``) store nothing and stay live.
    """
    asking = {name: arm for name, arm in recipe.arms.items() if "teacher" in Objective(arm.terms).needs}
    with_teacher = [name for name, arm in asking.items() if set(arm.teachers) - BUILT_IN_TEACHERS]
    return vary_recipe(recipe, {f"arms.{name}.knowledge": "store" for name in with_teacher})


def vary_recipe(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """Return a recipe with dotted fields changed, bound again; errors as :func:`read_recipe`."""
    return make_recipe(json.loads(recipe.canonical_json()), overrides, recipe.name)


def make_recipe(payload: dict[str, Any], overrides: Mapping[str, Any], source: str) -> Recipe:
    """Validate and bind a recipe from plain fields; ``source`` names it in errors."""
    payload = _overridden(payload, overrides)
    return _validated(payload, Source(source, {}), lambda: Source(source, {}))


def _validated(payload: dict[str, Any], source: Source, with_lines: Callable[[], Source]) -> Recipe:
    """Return the recipe that plain fields are; lines are looked up only where there is a mistake to be shown."""
    mistakes = list(mistakes_of(payload, source.name))
    if mistakes:
        raise_first(mistakes, with_lines())
    return Recipe.model_validate(payload)


def mistakes_of(payload: dict[str, Any], source: str) -> Iterator[Mistake]:
    """Yield everything that is wrong with a recipe by itself: its form, names of the catalogues, needs and tasks, names of files.

    Args:
        payload: plain fields.
        source: what a sentence calls the recipe.
    """
    # Form first: the catalogues can only be asked about a recipe that is one.
    broken = list(form_mistakes(payload))
    yield from broken
    data, _ = readable_parts(payload, broken)
    if data is not None:
        yield from _outside_mistakes(data, source)
    if broken:
        yield from name_mistakes(payload)
    else:
        yield from binding_mistakes(Recipe.model_validate(payload))


def _outside_mistakes(data: Data, source: str) -> Iterator[Mistake]:
    """Yield files and folders that do not lie below the data root, or below the recipe's own folder in it, by how they are written."""
    for field in ("path", "table", "dataset", "images", "masks"):
        name = getattr(data, field, None)
        plain = str(name).replace("\\", "/")
        if name is not None and (plain.startswith(("/", "~")) or ".." in plain.split("/") or PureWindowsPath(plain).drive):
            sentence = (
                f"expected data.{field} of {source} to be a name below the folder of the data (MEDKD_DATA), got {plain[:100]!r}; "
                "set MEDKD_DATA to the folder that holds it"
            )
            yield Mistake(("data", field), RecipeError("RECIPE_PATH", sentence))


def _overridden(payload: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain fields with overrides, both under the names of now."""
    # Old names first: an override under today's name must meet the field that the file calls otherwise.
    payload = current_recipe(payload)
    for dotted, value in overrides.items():
        _override(payload, current_path(dotted), value)
    return current_recipe(payload)


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
