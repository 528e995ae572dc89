"""Registered versions that are as a query says, found in the registry alone: by their tags, figures, aliases and explanations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from data_contracts import Role
from medkd.registry.interface import KNOWLEDGE_TAG, NO_KNOWLEDGE, ListedVersion, Registry
from medkd.registry.search_query import FIELDS, SearchCondition, parse_query, unknown_field

_SANITY, _PROMOTION = "medkd.sanity.", "medkd.promotion."


@dataclass(frozen=True)
class FoundModels:
    """What a search found.

    Attributes:
        conditions: that were asked.
        versions: that fulfil them, by name and number.
        searched: number of versions that were looked at.
    """

    conditions: tuple[SearchCondition, ...]
    versions: tuple[ListedVersion, ...]
    searched: int

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the figures that were asked about, in their order."""
        asked = (one.field.removeprefix("metrics.") for one in self.conditions if one.field.startswith("metrics."))
        return tuple(dict.fromkeys(asked))


def search_models(registry: Registry, query: str = "") -> FoundModels:
    """Return the registered versions that fulfil a query (:mod:`medkd.registry.search_query`); an empty one finds all.

    Versions that others registered, without medkd's tags, are left out.

    Args:
        registry: that holds the versions.
        query: ``FIELD OP VALUE`` joined by ``and``.

    Raises:
        RegistryError: ``SEARCH_QUERY``, ``SEARCH_OPERATOR``, ``SEARCH_VALUE``; ``SEARCH_FIELD`` of a field that there is not, a figure or a
            tag that no version has among them.
    """
    conditions = parse_query(query)
    listed = registry.listed()
    for condition in conditions:
        _require_known(condition.field, listed)
    found = tuple(one for one in listed if all(condition.holds(value_of(one, condition.field)) for condition in conditions))
    return FoundModels(conditions, found, len(listed))


def _require_known(field: str, listed: Iterable[ListedVersion]) -> None:
    """Refuse a figure or a tag that no version has: a slip of the pen would find nothing, and nobody would know why."""
    versions = tuple(listed)
    if field in FIELDS or not versions:
        return
    if field.startswith("metrics."):
        known = {f"metrics.{name}" for one in versions for name in one.metrics}
    else:
        known = {f"tags.{name}" for one in versions for name in one.tags}
        known |= {name.replace("tags.medkd.", "tags.", 1) for name in known}
    if field not in known:
        raise unknown_field(field, tuple(sorted(known)))


def value_of(version: ListedVersion, field: str) -> tuple[str, ...] | float | None:
    """Return what a version has in a field: texts, or a number; None of a figure or a tag that it lacks."""
    if field.startswith("metrics."):
        return version.metrics.get(field.removeprefix("metrics."))
    if field.startswith("tags."):
        name = field.removeprefix("tags.")
        text = version.tags.get(name, version.tags.get(f"medkd.{name}"))
        return None if text is None else (text,)
    if field in ("version", "seed"):
        number = str(version.model.version) if field == "version" else version.tags.get("medkd.seed")
        return None if number is None else float(number)
    return _texts(version, field)


def _texts(version: ListedVersion, field: str) -> tuple[str, ...]:
    model, tags = version.model, version.tags
    learned = tags.get(KNOWLEDGE_TAG, NO_KNOWLEDGE)
    arm = tags.get("medkd.arm") or (Role.KNOWLEDGE.value if model.role is Role.KNOWLEDGE else "")
    found: dict[str, tuple[str, ...]] = {
        "name": (model.name,),
        "role": (model.role.value,),
        "recipe": (model.name.removesuffix(f"-{arm}"),),
        "arm": (tags["medkd.arm"],) if "medkd.arm" in tags else (),
        "alias": version.aliases,
        "teacher": _names_of(str(model.teacher)) if model.teacher is not None else (),
        "knowledge": _names_of(learned) if learned != NO_KNOWLEDGE else (),
        "digest": (model.manifest_digest,),
        "weights": (model.weights_digest,),
        "registered": (registered_at(version),),
        "verdict": tuple(text.split()[0] for key, text in sorted(tags.items()) if _is_verdict(key)),
        "explanation.failed": failed_explainers(version),
        "explanation.passed": tuple(
            key.removeprefix(_SANITY) for key, text in sorted(tags.items()) if key.startswith(_SANITY) and text == "passed"
        ),
        "explanation.digest": (tags["medkd.explanations"],) if "medkd.explanations" in tags else (),
    }
    return found[field]


def _names_of(lineage: str) -> tuple[str, ...]:
    """Return by what a version may be named: NAME/VERSION@DIGEST, NAME/VERSION, NAME."""
    numbered = lineage.partition("@")[0]
    return lineage, numbered, numbered.rpartition("/")[0]


def _is_verdict(key: str) -> bool:
    return key.startswith(_PROMOTION) and "." not in key.removeprefix(_PROMOTION)


def failed_explainers(version: ListedVersion) -> tuple[str, ...]:
    """Return the explainers that failed their tests on a version; none where it was not explained."""
    text = version.tags.get("medkd.failed_explainers", "none")
    return () if text == "none" else tuple(text.split(","))


def registered_at(version: ListedVersion) -> str:
    """Return when a version was registered, UTC, to the second."""
    return datetime.fromtimestamp(version.created_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def as_json(version: ListedVersion) -> dict[str, Any]:
    """Return a found version as plain values."""
    model = version.model
    return {
        "model": model.uri,
        "role": model.role.value,
        "aliases": list(version.aliases),
        "teacher": None if model.teacher is None else str(model.teacher),
        "manifest_digest": model.manifest_digest,
        "weights_digest": model.weights_digest,
        "registered": registered_at(version),
        "failed_explainers": list(failed_explainers(version)),
        "metrics": dict(sorted(version.metrics.items())),
        "tags": dict(sorted(version.tags.items())),
    }
