"""What a run says at its end: a table for people, a dictionary for machines."""

from __future__ import annotations

import math
import statistics
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_contracts import Comparison, Estimate, FolderEvaluation, KnowledgeRef, ModelRef, Recipe, Registered, Scorecard, TaskKind
from flows.cost_text import ROWS, cost_note, cost_rows, cost_summary, costs_of
from flows.tables import interval, table
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.starts import repeated_stages
from medkd.storage.workspace import Workspace

if TYPE_CHECKING:
    from flows.pipeline import PipelineResult

PREFIX = {TaskKind.CLASSIFICATION: "cls", TaskKind.SEGMENTATION: "seg", TaskKind.DETECTION: "det"}
#: Figures that a line of text shows of a student.
MAIN = frozenset({"cpm", "ap_10", "auc", "auc_debiased", "auc_same_bias", "dice", "hausdorff_95", "surface_dice", "ece"})
#: Columns of the tables: title and figure.
COLUMNS = {
    TaskKind.CLASSIFICATION: (
        ("AUC", "auc"),
        ("AUC same bias", "auc_same_bias"),
        ("AUC {}", "auc_{}"),
        ("recall {}", "recall_{}"),
        ("recall {}, bias put right", "shifted_recall_{}"),
        ("AUC de-biased", "auc_debiased"),
        ("AUC reversed", "auc_reversed"),
        ("agreement", "agreement"),
        ("mass in lesion", "relevance_mass_accuracy"),
        ("pointing", "pointing"),
        ("marker effect", "marker_effect"),
    ),
    TaskKind.SEGMENTATION: (
        ("Dice", "dice"),
        ("Dice {}", "dice_{}"),
        ("HD95 {} mm", "hausdorff_95_{}"),
        ("NSD {}", "surface_dice_{}"),
        ("Dice to teacher", "dice_to_teacher"),
        ("agreement", "agreement"),
        ("mass in lesion", "relevance_mass_accuracy"),
    ),
    TaskKind.DETECTION: (
        ("CPM", "cpm"),
        ("sensitivity at 1", "sensitivity_at_1"),
        ("AP .1", "ap_10"),
        ("AP .5", "ap_50"),
        ("recall", "recall"),
        ("false positives", "false_positives"),
        ("agreement", "agreement"),
        ("mass in lesion", "relevance_mass_accuracy"),
    ),
}


def _columns(recipe: Recipe) -> list[tuple[str, str]]:
    """Return the columns of a recipe's table; those with a gap once for each foreground class."""
    named = recipe.task.classes if recipe.task.kind is TaskKind.CLASSIFICATION else recipe.task.classes[1:]
    names = [(name, name.lower().replace(" ", "_")) for name in named]
    return [
        (title.format(name), figure.format(key))
        for title, figure in COLUMNS[recipe.task.kind]
        for name, key in (names if "{}" in figure else [("", "")])
    ]


def run_summary(result: PipelineResult, workspace: Workspace, *, engine: str, seconds: float, project: Path) -> dict[str, Any]:
    """Return the machine-readable summary of a run; paths are relative to ``project``."""
    pages = () if result.reports is None else result.reports.pages
    return {
        "ok": True,
        "seconds": round(seconds, 1),
        "engine": engine,
        "ingest": {} if result.ingested is None else result.ingested.summary()["ingest"],
        "models": [
            {"name": model.name, "version": model.version, "digest": model.manifest_digest, "role": model.role.value}
            for one in result.recipes
            if one.registered is not None
            for model in one.registered.models
        ],
        "scorecards": {
            key: {**scorecard_summary(card), "cost": cost_summary(costs_of(one, card))}
            for one in result.recipes
            for key, card in _cards(one).items()
        },
        "comparisons": {
            f"{PREFIX[one.recipe.task.kind]}.{c.arm} - {c.baseline}": {name: _bounds(figure) for name, figure in c.figures.items()}
            for one in result.recipes
            for c in _comparisons(one)
        },
        "explanations": sum(len(bundle.explanations) for one in result.recipes for bundle in one.bundles),
        "reports": [_relative(workspace.store.path(ref), project) for ref in pages],
        "pictures": [] if result.reports is None else [_relative(workspace.store.path(ref), project) for ref in result.reports.pictures],
        "tracking_uri": workspace.tracking_uri,
        "repeated": repeated_stages(workspace),
    }


def scorecard_summary(card: Scorecard) -> dict[str, Any]:
    """Return means by name, and the interval of each below ``interval``."""
    return {
        **{name: figure.mean for name, figure in card.figures.items()},
        "seeds": list(card.seeds),
        "n": {name: figure.n for name, figure in card.figures.items()},
        "interval": {"method": card.interval, **{name: [figure.low, figure.high] for name, figure in card.figures.items()}},
        "seed_deviation": {name: _deviation(values) for name, values in card.per_seed.items() if len(card.seeds) > 1},
        "parameters": card.parameters,
        "latency_ms": card.latency_ms,
        "train_seconds": card.train_seconds,
    }


def run_tables(result: PipelineResult) -> str:
    """Return the tables of a run as text: one per recipe, then what later arms gain and give up against earlier ones."""
    return "\n\n".join(part for one in result.recipes for part in (_table(one), _gains(one)) if part)


def folder_json(evaluation: FolderEvaluation) -> dict[str, Any]:
    """Return what ``medkd evaluate-folder --json`` ends with."""
    return {
        "n": evaluation.n,
        "cases": evaluation.cases,
        "files": evaluation.files,
        "conventions": evaluation.conventions,
        "interval": evaluation.interval,
        "metrics": _figures_json(evaluation.metrics),
        "teacher_metrics": _figures_json(evaluation.teacher_metrics),
        "subgroups": {
            column: {
                value: {"n": group.n, "cases": group.cases, "metrics": _figures_json(group.metrics)} for value, group in values.items()
            }
            for column, values in evaluation.subgroups.items()
        },
    }


def _figures_json(figures: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
    return {name: {**_bounds(figure), "n": figure.n, "missing": figure.missing} for name, figure in figures.items()}


def folder_tables(evaluation: FolderEvaluation) -> str:
    """Return the tables of a folder's evaluation: all figures, then those that subgroups are compared by."""
    names = sorted(evaluation.metrics)
    header = [
        "metric",
        f"{evaluation.model.name} {evaluation.model.version}",
        *([f"{evaluation.teacher.name} {evaluation.teacher.version}"] if evaluation.teacher else []),
        "missing",
    ]
    rows = [
        [
            name,
            _cell(evaluation.metrics[name]),
            *([_cell(evaluation.teacher_metrics.get(name))] if evaluation.teacher else []),
            str(evaluation.metrics[name].missing),
        ]
        for name in names
    ]
    method = f"In brackets: {evaluation.interval}" if evaluation.n > 1 else evaluation.interval[:1].upper() + evaluation.interval[1:]
    parts = [_align([header, *rows]) + f"\n{method}; {evaluation.n} patient{'s' * (evaluation.n > 1)}, {evaluation.cases} cases."]
    chosen = [name for name in names if name.split("_")[0] in ("auc", "dice", "ece")][:4]
    groups = [
        [f"{column}: {value}", str(group.n), *(_cell(group.metrics.get(name)) for name in chosen)]
        for column, values in evaluation.subgroups.items()
        for value, group in values.items()
    ]
    if groups:
        parts.append(_align([["subgroup", "patients", *chosen], *groups]))
    refused = {code: count for code, count in evaluation.files.items() if code != "accepted"}
    if refused:
        parts.append("left out: " + ", ".join(f"{count} files {code}" for code, count in refused.items()))
    return "\n\n".join(parts)


def _cards(result: RecipeResult) -> Mapping[str, Scorecard]:
    return {f"{PREFIX[result.recipe.task.kind]}.{card.subject.rpartition('/')[2]}": card for card in result.scorecards}


def _comparisons(result: RecipeResult) -> Sequence[Comparison]:
    return result.comparisons


def _table(result: RecipeResult) -> str:
    cards = _cards(result)
    columns = [(title, name) for title, name in _columns(result.recipe) if any(name in card.figures for card in cards.values())]
    # Seeds are compared by what the recipe is about: the de-biased AUC where there is a planted bias.
    main = next((name for name in ("auc_debiased", "dice", "auc") if any(name in card.per_seed for card in cards.values())), "")
    rows = [*(title for title, _ in columns), "seeds", f"sd of {main}", "parameters", "ms per image", "training, s", *ROWS]
    filled = {
        key: [*(interval(card.figures.get(name)) for _, name in columns), *_costs(card, main), *cost_rows(costs_of(result, card))]
        for key, card in cards.items()
    }
    sizes = sorted({figure.n for card in cards.values() for figure in card.figures.values()})
    method = next(iter(cards.values())).interval
    note = f"In brackets: {method};\nn = {', '.join(map(str, sizes))} patients, by figure."
    if any(len(card.seeds) > 1 for card in cards.values()):
        note += "\nOver few seeds that is narrow: arms are told apart by their paired differences, seeds and patients crossed."
    cost = cost_note(tuple(one for card in cards.values() for one in costs_of(result, card)))
    return "\n".join((table(result.recipe.name, rows, filled), note, *([cost] if cost else ())))


def _costs(card: Scorecard, main: str) -> list[str]:
    return [
        str(len(card.seeds)),
        "" if len(card.seeds) < 2 else _short(_deviation(card.per_seed.get(main, ()))),
        f"{card.parameters:,}",
        "" if card.latency_ms is None else f"{card.latency_ms:.2f}",
        "" if card.train_seconds is None else f"{card.train_seconds:.0f}",
    ]


def _gains(result: RecipeResult) -> str:
    compared = _comparisons(result)
    if not compared:
        return ""
    columns = [(title, name) for title, name in _columns(result.recipe) if any(name in one.figures for one in compared)]
    main = next((n for n in ("auc_debiased", "dice", "auc") if any(f"gap_closure_{n}" in one.figures for one in compared)), None)
    rows = [*(title for title, _ in columns), *([] if main is None else [f"gap closed, {main}"])]
    filled = {
        f"{one.arm} - {one.baseline}": [
            *(interval(one.figures.get(name), signed=True) for _, name in columns),
            *([] if main is None else [interval(one.figures.get(f"gap_closure_{main}"))]),
        ]
        for one in compared
    }
    price = (
        "\nA fall of the AUC under the same bias is the price of giving up the shortcut; the de-biased AUC\nbeside it is the gain."
        if result.recipe.data.kind == "phantom" and result.recipe.task.kind is TaskKind.CLASSIFICATION
        else ""
    )
    # The sentence is long, and tables fit a hundred columns.
    said = textwrap.fill(f"Paired over cases and seeds; {compared[0].interval}.", 98)
    return f"{table('differences', rows, filled)}\n{said}{price}"


def _align(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _cell(figure: Estimate | None) -> str:
    if figure is None:
        return ""
    # One patient has no interval: all resamples of it are the same.
    return _short(figure.mean) if figure.n < 2 else f"{_short(figure.mean)} [{_short(figure.low)}, {_short(figure.high)}]"


def _deviation(values: Sequence[float | None]) -> float:
    """Return the standard deviation over seeds (n - 1): how stable an arm is."""
    defined = [value for value in values if value is not None]
    return statistics.stdev(defined) if len(defined) > 1 else math.nan


def _short(value: float) -> str:
    return "nan" if math.isnan(value) else f"{value:.3f}"


def _bounds(figure: Estimate) -> dict[str, float | None]:
    """Return mean and bounds; the bounds of one patient are null."""
    return {"mean": figure.mean, "low": figure.low if figure.n > 1 else None, "high": figure.high if figure.n > 1 else None}


def _relative(path: Path, project: Path) -> str:
    return path.relative_to(project).as_posix() if path.is_relative_to(project) else str(path)


def knowledge_summary(model: ModelRef, knowledge: KnowledgeRef) -> dict[str, Any]:
    """Return the machine-readable summary of an extraction."""
    parts = ["logits", *(f"features of {layer}" for layer in knowledge.layers), *(f"maps by {key}" for key in knowledge.maps)]
    return {
        "ok": True,
        "uri": model.uri,
        "digest": model.manifest_digest,
        "teacher": None if model.teacher is None else str(model.teacher),
        "cases": knowledge.cases,
        "views": knowledge.config.views,
        "stores": parts,
        "bytes": knowledge.bytes,
        "logit_bytes": knowledge.payload_bytes,
        "raw_logit_bytes": knowledge.raw_bytes,
        **knowledge.measured,
    }


def knowledge_text(summary: Mapping[str, Any]) -> str:
    """Return the summary of an extraction for people."""
    views = f"{summary['views']} views each" if summary["views"] else "clean images"
    lines = [
        f"knowledge  {summary['uri']}, of {summary['teacher']}",
        f"cases      {summary['cases']}, {views}",
        f"stores     {', '.join(summary['stores'])}",
        f"bytes      {summary['bytes']:,}; the logits 1/{summary['raw_logit_bytes'] / max(1, summary['logit_bytes']):.0f} of float32",
    ]
    if "kl" in summary:
        lines.append(f"replayed   KL {summary['kl']:.1e} per voxel, the same answer in {summary['argmax_agreement']:.2%}")
    return "\n".join(lines)


def students_summary(registered: Registered, cards: Sequence[Scorecard]) -> dict[str, Any]:
    """Return the machine-readable summary of students that learned from a store."""
    return {
        "ok": True,
        "models": [
            {"uri": model.uri, "digest": model.manifest_digest, "teacher": None if model.teacher is None else str(model.teacher)}
            for model in registered.models
        ],
        "scorecards": {card.subject: scorecard_summary(card) for card in cards},
    }


def students_text(summary: Mapping[str, Any]) -> str:
    """Return the summary of students for people."""
    lines = [f"{model['uri']}  learned from {model['teacher'] or 'labels'}" for model in summary["models"]]
    for subject, card in summary["scorecards"].items():
        shown = {name: value for name, value in card.items() if isinstance(value, float) and name in MAIN}
        lines.append(f"{subject}: " + "; ".join(f"{name} {value:.3f}" for name, value in shown.items()))
    return "\n".join(lines)
