"""A cross-validation as a terminal shows it: pooled figures with their intervals and the spread over the folds."""

from __future__ import annotations

import textwrap

from data_contracts import CrossValidation
from flows.tables import WIDTH, interval, number, table

#: Figures that the table shows; the record holds all.
_SHOWN = ("auc", "dice", "ece", "agreement", "relevance_mass_accuracy")


def cross_validation_text(found: CrossValidation) -> str:
    """Return the tables: folds, pooled figures, paired differences, ensemble."""
    cells = [(arm, name, pooled) for arm, pooled in found.arms.items() for name in _SHOWN if name in pooled.figures]
    rows = [f"{arm} {name}" for arm, name, _ in cells]
    columns = {
        "pooled": [interval(pooled.figures[name]) for _, name, pooled in cells],
        "spread": [number(pooled.spread[name]) for _, name, pooled in cells],
        "per fold": [" ".join("-" if value is None else number(value) for value in pooled.per_fold[name]) for _, name, pooled in cells],
    }
    members = ", ".join(f"{one.number}: {one.n}" for one in found.folds)
    parts = [f"{found.recipe}: {len(found.folds)} folds ({found.folded_by}); patients {members}", table("arm and figure", rows, columns)]
    if found.differences:
        parts.append(_differences(found))
    if found.ensemble is not None:
        score = found.ensemble
        each = {name: " ".join(number(value) for value in score.singles[name]) for name in score.figures}
        shown = {
            "ensemble": [interval(figure) for figure in score.figures.values()],
            "gain": [interval(one, signed=True) for one in score.gain.values()],
            "each alone": list(each.values()),
        }
        parts.append(table(f"{len(score.teachers)} teachers, {score.n} held out", list(score.figures), shown))
    return "\n\n".join(parts)


def _differences(found: CrossValidation) -> str:
    pairs = [(one, name) for one in found.differences for name in _SHOWN if name in one.figures]
    shares = [one.gap_closure.get(name) for one, name in pairs]
    closed = [
        "no gap" if share is None and name in one.gap_closure else interval(share) for share, (one, name) in zip(shares, pairs, strict=True)
    ]
    columns = {"difference": [interval(one.figures[name], signed=True) for one, name in pairs]}
    if any(closed):
        columns["gap closed"] = closed
    how = dict.fromkeys(one.interval for one in found.differences)
    return "\n".join(
        (
            table("paired", [f"{one.arm} - {one.baseline} {name}" for one, name in pairs], columns),
            *textwrap.wrap(f"In brackets: {'; or '.join(how)}.", WIDTH),
        )
    )
