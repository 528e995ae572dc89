"""A loss statement as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from data_contracts import ChangedCase, LossItem, LossStatement
from flows.tables import interval, number, table
from medkd.registry.card_text import loss_sentences

#: Cases of each side that are named.
_MOST_CASES = 5


def loss_text(statement: LossStatement) -> str:
    """Return the statement: sentences, tables of losses and gains, cases that changed sides, what was not measured."""
    parts = [f"{statement.subject}, seed {statement.seed}\n" + "\n".join(loss_sentences(statement))]
    parts += [_table(title, items) for title, items in (("lost", statement.losses), ("gained", statement.gains)) if items]
    if statement.unchanged:
        parts.append("unchanged: " + "; ".join(item.what for item in statement.unchanged))
    if statement.answers is not None:
        sides = (("lost", statement.answers.worst_lost), ("gained", statement.answers.best_gained))
        parts += [f"cases {side}, by how far: {_cases(cases)}" for side, cases in sides if cases]
    if statement.not_measured:
        parts.append("\n".join(f"not measured: {one.what}: {one.reason}" for one in statement.not_measured))
    parts.append(statement.rule)
    return "\n\n".join(parts)


def _table(title: str, items: Sequence[LossItem]) -> str:
    columns = {
        "teacher": [number(item.teacher) for item in items],
        "student": [number(item.student) for item in items],
        "worse by": [interval(item.loss, signed=True) for item in items],
        "sure": ["yes" if item.sure else "no" for item in items],
        "patients": [str(item.loss.n) for item in items],
    }
    return table(title, [item.what for item in items], columns, width=160)


def _cases(cases: Sequence[ChangedCase]) -> str:
    named = [f"{one.case_key} ({number(one.teacher)} to {number(one.student)})" for one in cases[:_MOST_CASES]]
    more = f", and {len(cases) - _MOST_CASES} more" if len(cases) > _MOST_CASES else ""
    return ", ".join(named) + more
