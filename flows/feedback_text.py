"""What a feedback log says in figures: as data for programs, and as lines for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from data_contracts import Estimate, FeedbackEntry, ReviewReport


def figures_of(entries: Sequence[FeedbackEntry], reports: Mapping[str, ReviewReport]) -> dict[str, Any]:
    """Return how many entries there are of each kind, and the figures of agreement, as JSON.

    Args:
        entries: of the log.
        reports: by their digests; without any nothing is said of what became of own reads.
    """
    from medkd.feedback.agreement import agreement_of_readers, changes_by_round, reliance_by_round

    changes = [asdict(one) for one in changes_by_round(entries, reports)] if reports else []
    for one in changes:
        one["counts"] = [{"before": before, "after": after, "judgements": count} for (before, after), count in one["counts"].items()]
    return {
        "entries": len(entries),
        "kinds": dict(Counter(entry.record.SCHEMA.split("/")[0] for entry in entries)),
        "agreement": [asdict(one) for one in agreement_of_readers(entries)],
        "reliance": [_dumped(asdict(one)) for one in reliance_by_round(entries)],
        "changes": [_dumped(one) for one in changes],
    }


def figures_in_words(figures: Mapping[str, Any]) -> list[str]:
    """Return the lines that say the figures of :func:`figures_of`."""
    lines = [f"{figures['entries']} entries: " + ", ".join(f"{count} {kind}" for kind, count in figures["kinds"].items())]
    for one in figures["agreement"]:
        bounds = "" if one["interval"] is None else f" [{one['interval'][0]:.2f}, {one['interval'][1]:.2f}]"
        kappa = "undefined" if one["kappa"] is None else f"{one['kappa']:.2f}{bounds}"
        lines.append(f"round {one['round']}, {one['question']}: kappa {kappa} of {', '.join(one['readers'])} over {one['items']} items")
    for one in figures["reliance"]:
        lines.append(f"round {one['round']}: wrong maps accepted {_share(one['wrong'])}, the models' own {_share(one['genuine'])}")
    for one in figures["changes"]:
        moved = f"own reads changed {_share(one['changed'])}, of those that differed, to the model's answer {_share(one['to_model'])}"
        lines.append(f"round {one['round']}: {moved}; {one['undefined']} not comparable")
    return lines


def _dumped(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: value.model_dump() if isinstance(value, Estimate) else value for name, value in figures.items()}


def _share(estimate: Mapping[str, Any] | None) -> str:
    return (
        "never asked" if estimate is None else f"{estimate['mean']:.2f} [{estimate['low']:.2f}, {estimate['high']:.2f}] of {estimate['n']}"
    )
