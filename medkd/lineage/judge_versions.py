"""Which registered versions stay, and why: nothing goes that an alias, a report, a reader or the lineage of something kept needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from data_contracts import ModelRef, RetentionPolicy
from medkd.lineage.judgement import Judgement, days_since
from medkd.registry.descent import descent
from medkd.registry.interface import KNOWLEDGE_TAG, Registry, VersionContents
from medkd.registry.mlflow_purge import MlflowHousekeeping


@dataclass(frozen=True)
class _KnownVersions:
    """The versions that were read from a registry."""

    models: tuple[ModelRef, ...]

    def names(self) -> tuple[str, ...]:
        return tuple(sorted({model.name for model in self.models}))

    def versions(self, name: str) -> tuple[ModelRef, ...]:
        return tuple(model for model in self.models if model.name == name)


def reasons_to_keep(registry: Registry, contents: list[VersionContents], policy: RetentionPolicy, now: float) -> dict[str, str]:
    """Return why each version that stays does, by URI.

    Args:
        registry: that holds the versions.
        contents: of every version.
        policy: what is kept.
        now: seconds since 1970.
    """
    reasons: dict[str, str] = {}
    numbers: dict[str, list[int]] = {}
    for one in contents:
        numbers.setdefault(one.model.name, []).append(one.model.version)
    for one in contents:
        why = next(_own_reasons(registry, one, (policy, numbers[one.model.name]), now), None)
        if why is not None:
            reasons[one.model.uri] = why
    # Asked of what was read: a registry would be searched anew for every version.
    known = _KnownVersions(tuple(one.model for one in contents))
    for one in contents:
        model = one.model
        if model.uri in reasons:
            for ancestor in descent(known, model, one.tags.get(KNOWLEDGE_TAG))[:-1]:
                reasons.setdefault(ancestor.uri, f"{model.name}/{model.version} descends from it")
    return reasons


def judge_versions(
    contents: list[VersionContents], reasons: dict[str, str], housekeeping: MlflowHousekeeping, now: float
) -> Iterator[Judgement]:
    """Yield what is decided of each version; those that go, the newest first, so that students go before their teachers."""
    for one in sorted(contents, key=lambda each: (each.model.uri not in reasons, -each.created_ms, each.model.uri)):
        name, size = f"{one.model.name}/{one.model.version}", housekeeping.size_of(one.model)
        if one.model.uri in reasons:
            yield Judgement("version", name, reasons[one.model.uri], size)
        else:
            why = f"nothing needs it, registered {days_since(one.created_ms, now):.0f} days ago"
            yield Judgement("version", name, why, size, partial(housekeeping.remove_version, one.model))


def _own_reasons(registry: Registry, contents: VersionContents, kept: tuple[RetentionPolicy, list[int]], now: float) -> Iterator[str]:
    policy, numbers = kept
    model = contents.model
    aliases = [alias for alias, version in registry.aliases(model.name).items() if version == model.version]
    if aliases:
        yield f"alias {', '.join(aliases)}"
    if _has(contents, "feedback"):
        yield "a reader has judged it"
    if policy.keep_reported and _has(contents, "report"):
        yield "a report was made with it"
    if model.version in sorted(numbers)[-policy.keep_newest :]:
        yield "the only version" if len(numbers) == 1 else "the newest version" if policy.keep_newest == 1 else "one of the newest versions"
    if days_since(contents.created_ms, now) < policy.keep_days:
        yield f"younger than {policy.keep_days} days"


def _has(contents: VersionContents, what: str) -> bool:
    return any(key.startswith(f"medkd.{what}") for key in contents.tags) or any(place.startswith(what) for place in contents.attached)
