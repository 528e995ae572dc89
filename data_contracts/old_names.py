"""Names that were used before the field's own: they are read for this version, with one line that says the new one.

The only place, beside golden files, where they stand. Recipes and the catalogue are read through :func:`current_recipe`,
:func:`current_path` and :func:`current_entry`; stored records through :data:`data_contracts.record.MIGRATIONS`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from data_contracts.record import MIGRATIONS

_LOG = logging.getLogger("medkd")
_SAID: set[str] = set()

#: Entries of the catalogue by kind, old → new.
ENTRIES: dict[str, dict[str, str]] = {
    "losses": {
        "hard_label": "cross_entropy",
        "teacher_label": "pseudo_label",
        "detail": "wavelet_kd",
        "relational": "relational_kd",
        "contrastive": "crd",
        "standardised_kd": "logit_standardisation",
        "dist": "dist_kd",
        "bernoulli_kd": "binary_kd",
        "cam_transfer": "cat_kd",
    },
    "measures": {
        "mass_in_lesion": "relevance_mass_accuracy",
        "rank_accuracy": "relevance_rank_accuracy",
        "randomisation": "model_parameter_randomisation",
        "top_share_iou": "top_k_intersection",
    },
}
#: Function of an entry's file that says why it cannot work somewhere, as files of other packages may still call it.
INCOMPATIBLE_REASON = "guard"
#: Fields of a recipe: dotted path (``*`` for any name or number) → what its last part is called now.
RECIPE_FIELDS = {
    "arms.*.begin": "init",
    "arms.*.evidence": "attribution_source",
    "arms.*.terms.*.taps": "feature_layers",
    "arms.*.terms.*.options.tap": "layer",
    "arms.*.terms.*.options.teacher_tap": "teacher_layer",
    "teacher.terms.*.taps": "feature_layers",
    "teacher.gate.min_mass_in_lesion": "min_relevance_mass_accuracy",
    "knowledge.replay": "resolution",
    "data.pair_by": "patient_pattern",
}
#: Values of a recipe's fields: dotted path (of now) → old value → new value.
RECIPE_VALUES = {
    "arms.*.init": {"fresh": "random", "compressed": "compressed_teacher"},
    "arms.*.terms.*.loss": ENTRIES["losses"],
    "arms.*.terms.*.schedule.kind": {"healing": "exponential"},
    "arms.*.terms.*.temperature.kind": {"healing": "exponential"},
    "teacher.terms.*.loss": ENTRIES["losses"],
    "teacher.terms.*.schedule.kind": {"healing": "exponential"},
    "explain.measures.*.name": ENTRIES["measures"],
}
#: Where a recipe names fields of itself: the keys of these mappings are paths.
RECIPE_PATHS = ("experiment.search.*.*", "experiment.conditions.*.overrides")
_ROLES = ("student", "teacher", "difference")
#: Stored records: schema → (schema of now, dotted path → what its last part is called now).
RECORD_FIELDS: dict[str, tuple[str, dict[str, str]]] = {
    "arm_figures/1": ("arm_figures/2", {"contrasts": "differences"}),
    "checkpoint/1": ("checkpoint/2", {"network.rank_share": "rank_ratio"}),
    "cohort_set/1": ("cohort_set/2", {}),
    "course/1": ("checkpoint_series/2", {"points.*.validated": "scores", "points": "snapshots"}),
    "explained_studies/1": ("explained_studies/2", {}),
    "explanation/1": ("explanation/2", {}),
    "explanation_bundle/1": ("explanation_bundle/2", {"verdicts": "sanity_reports", "not_to_be_trusted": "failed_explainers"}),
    "gap_course/1": ("gap_fine_tuning/2", {"rounds.*.validated": "scores"}),
    "inspection/1": ("inspection/2", {f"figures.{role}/adversarial_rms": f"{role}/minimal_perturbation_rms" for role in _ROLES}),
    "knowledge/1": ("knowledge/2", {"wish.replay": "resolution", "wish": "config"}),
    "leakage_certificate/1": ("leakage_certificate/2", {"look_alikes": "near_duplicates"}),
    "planted_truth/1": ("explainer_benchmark/2", {}),
    "review/2": ("review/3", {}),
    "review_panel/2": ("review_panel/3", {f"{task}.verdicts": "sanity_reports" for task in ("segmentation", "classification")}),
    "scoreboard/1": ("scoreboard/2", {"plateaus": "epoch_selections"}),
    "study_explanation/2": ("study_explanation/3", {"verdicts": "sanity_reports"}),
    "validated/1": ("validation_scores/2", {}),
}


def current_entry(kind: str, name: str) -> str:
    """Return what an entry of the catalogue (``losses``, ``measures``, …) is called now."""
    new = ENTRIES.get(kind, {}).get(name, name)
    _warn(f"the entry of the {kind}", name, new)
    return new


def current_path(dotted: str) -> str:
    """Return a recipe's dotted field with the names of now."""
    parts = dotted.split(".")
    for index, part in enumerate(parts):
        parts[index] = _field(tuple(parts[: index + 1]), part)
        _warn("the recipe's field", part, parts[index])
    return ".".join(parts)


def current_recipe(payload: dict[str, Any], *, warn: bool = True) -> dict[str, Any]:
    """Return a recipe's plain fields under the names of now; a field that is given by both names is left, to be refused.

    Args:
        payload: fields as written.
        warn: say each old name; a stored recipe is of its time and nobody's mistake.
    """
    renewed: dict[str, Any] = _walk(payload, (), warn)
    if renewed.get("schema_version") == "recipe/1":
        renewed["schema_version"] = "recipe/2"
    return renewed


def first_names(config: dict[str, Any]) -> dict[str, Any]:
    """Return an extraction's fields as the first version wrote them: the digests of stored knowledge are made of these."""
    return {"replay" if key == "resolution" else key: value for key, value in config.items()}


def _walk(value: Any, path: tuple[str, ...], warn: bool) -> Any:
    if isinstance(value, list | tuple):
        return [_walk(item, (*path, "*"), warn) for item in value]
    if not isinstance(value, dict):
        new = _value(path, value)
        _warn(f"the value of {path[-1] if path else 'the recipe'}", value, new, warn)
        return new
    found: dict[str, Any] = {}
    for key, item in value.items():
        new = _key(path, key)
        _warn("the recipe's field", key, new, warn)
        name = key if new in value else new
        found[name] = _walk(item, (*path, str(name)), warn)
    return found


def _key(path: tuple[str, ...], key: Any) -> Any:
    if not isinstance(key, str):
        return key
    if not any(_matches(path, pattern) for pattern in RECIPE_PATHS):
        return _field((*path, key), key)
    # A search and a condition name fields: of an arm where there is one of that name, else of the recipe.
    parts, whole = key.split("."), key.split(".")
    for index, part in enumerate(parts):
        new = _field(("arms", "*", *whole[: index + 1]), part)
        whole[index] = new if new != part else _field(tuple(whole[: index + 1]), part)
    return ".".join(whole)


def _field(path: tuple[str, ...], name: str) -> str:
    """Return what the last part of a path is called now."""
    return next((new for pattern, new in RECIPE_FIELDS.items() if _matches(path, pattern)), name)


def _value(path: tuple[str, ...], value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return next((known.get(value, value) for pattern, known in RECIPE_VALUES.items() if _matches(path, pattern)), value)


def _matches(path: tuple[str, ...], pattern: str) -> bool:
    parts = pattern.split(".")
    return len(parts) == len(path) and all(part in ("*", own) for part, own in zip(parts, path, strict=True))


def _warn(what: str, old: Any, new: Any, warn: bool = True) -> None:
    """Say once of each old name what it is called now."""
    if warn and old != new and old not in _SAID:
        _SAID.add(old)
        _LOG.warning("%s %r is called %r now; the old name is read for this version only", what, old, new)


def _renamed(value: Any, parts: list[str], new: str) -> Any:
    """Return a payload with the field at a path called by its new name; a path that leads nowhere changes nothing."""
    first, *rest = parts
    if first == "*":
        return [_renamed(item, rest, new) for item in value] if isinstance(value, list) else value
    if not isinstance(value, dict) or first not in value:
        return value
    if rest:
        return {key: _renamed(item, rest, new) if key == first else item for key, item in value.items()}
    return {new if key == first else key: item for key, item in value.items()}


def _with_measures(payload: dict[str, Any]) -> dict[str, Any]:
    """Return an explanation's measures, and a bundle's figures (``EXPLAINER/MEASURE``), by the names of now; other records as they are."""
    known = ENTRIES["measures"]
    if payload["schema_version"] == "explanation/2":
        return {**payload, "measures": [{**one, "name": known.get(one["name"], one["name"])} for one in payload["measures"]]}
    if payload["schema_version"] == "explanation_bundle/2":
        split = {key: key.rpartition("/") for key in payload["figures"]}
        return {**payload, "figures": {f"{a}{b}{known.get(c, c)}": payload["figures"][key] for key, (a, b, c) in split.items()}}
    return payload


def _migration(schema: str, fields: dict[str, str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def migrate(payload: dict[str, Any]) -> dict[str, Any]:
        for path, new in fields.items():
            payload = _renamed(payload, path.split("."), new)
        return _with_measures({**payload, "schema_version": schema})

    return migrate


MIGRATIONS.update({old: _migration(schema, fields) for old, (schema, fields) in RECORD_FIELDS.items()})
MIGRATIONS["recipe/1"] = lambda payload: current_recipe(payload, warn=False)
