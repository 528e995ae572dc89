"""What the run of a whole recipe shows in a tracking server: means and intervals of its arms, a table and a picture of its scorecards."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from html import escape

from data_contracts import BANNER, Checkpoint, Estimate, Scorecard
from medkd.registry.draw_scorecards import draw_scorecards
from medkd.registry.interface import LoggedRun
from medkd.registry.metric_notes import experiment_note, metric_note
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace

_STYLE = (
    ":root{color-scheme:light dark}body{font:14px system-ui,sans-serif;margin:1.5rem}table{border-collapse:collapse}"
    "td,th{padding:.3rem .7rem;text-align:right;border-bottom:1px solid #8884}th:first-child,td:first-child{text-align:left}"
    "small{opacity:.7;display:block}"
)


def recipe_summary(workspace: Workspace, result: RecipeResult) -> tuple[LoggedRun, str]:
    """Return figures and files of a recipe's run, and the note of its experiment."""
    name, cards = result.recipe.name, result.scorecards
    folder = workspace.root / "tracking" / name
    files = []
    for file, payload in (("scorecards.html", scorecards_html(name, cards).encode()), ("scorecards.png", draw_scorecards(name, cards))):
        write_bytes(folder / file, payload)
        files.append(folder / file)
    return LoggedRun(name, arm_metrics(cards) | total_cost(result.models), files=tuple(files)), experiment_note(result.recipe, cards)


def total_cost(models: Sequence[Checkpoint]) -> dict[str, float]:
    """Return what all trainings cost together, of memory the largest, as metrics; none where nothing was measured."""
    costs = [model.cost for model in models if model.cost is not None]
    return functools.reduce(operator.add, costs).metrics() if costs else {}


def arm_metrics(cards: Sequence[Scorecard]) -> dict[str, float]:
    """Return the mean of each arm over its seeds, and the bounds of its interval, as metrics."""
    found: dict[str, float] = {}
    for card in cards:
        arm = card.subject.rpartition("/")[2]
        for name, figure in card.figures.items():
            found |= {f"{arm}/{name}": figure.mean, f"{arm}/{name}_low": figure.low, f"{arm}/{name}_high": figure.high}
    return found


def seed_figures(card: Scorecard, seed: int) -> dict[str, float]:
    """Return the figures of one seed of an arm; an arm of one seed has no others than its means."""
    if len(card.seeds) == 1:
        return {name: figure.mean for name, figure in card.figures.items()}
    place = card.seeds.index(seed)
    return {name: value for name, values in card.per_seed.items() if (value := values[place]) is not None}


def scorecards_html(title: str, cards: Sequence[Scorecard]) -> str:
    """Return a page with a row a figure and a column an arm; it asks nothing of a network."""
    names = sorted({name for card in cards for name in card.figures})
    head = "".join(f"<th>{escape(card.subject.rpartition('/')[2])}</th>" for card in cards)
    rows = "".join(f"<tr><td>{_named(name)}</td>{''.join(_cell(card.figures.get(name)) for card in cards)}</tr>" for name in names)
    intervals = "; ".join(sorted({card.interval for card in cards}))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"<h1>{escape(title)}</h1><p>{escape(BANNER)}</p><table><tr><th>figure</th>{head}</tr>{rows}</table>"
        f"<p>Mean over seeds; in brackets the interval: {escape(intervals)}.</p></html>\n"
    )


def _named(name: str) -> str:
    note = metric_note(name)
    said = ", ".join(part for part in (note.unit, note.direction) if part) if note else ""
    return f"{escape(name)}<small>{escape(said)}</small>" if said else escape(name)


def _cell(figure: Estimate | None) -> str:
    return "<td></td>" if figure is None else f"<td>{figure.mean:.3f}<small>[{figure.low:.3f}, {figure.high:.3f}] n={figure.n}</small></td>"
