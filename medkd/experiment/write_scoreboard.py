"""The scoreboard for people: sentences and tables (Markdown), rows (CSV), a picture, and runs in the tracking server."""

from __future__ import annotations

import csv
import io

from data_contracts import BANNER, ArmVariant, Estimate, PairedDifference, Scoreboard, Search
from medkd.experiment.draw_scoreboard import draw_scoreboard
from medkd.registry.interface import LoggedRun, Registry
from medkd.registry.publish import open_registry
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace

#: Figures of the first table after the primary one, in this order, where an arm has them.
COLUMNS = (
    "auc_same_bias", "auc_debiased", "auc_reversed", "auc", "dice", "dice_uncued", "dice_misplaced", "false_positives_at_cue",
    "false_positive_pixels", "marker_effect", "agreement", "agreement_misplaced", "relevance_mass_accuracy", "pointing", "gap_closure",
)  # fmt: skip
#: Figures of the second table.
MORE = (
    "ece", "brier", "answers_as_teacher", "dice_to_teacher", "copies_mistakes", "deletion", "insertion", "model_parameter_randomisation", "parameters",
    "latency_ms", "train_seconds",
)  # fmt: skip


def write_scoreboard(workspace: Workspace, board: Scoreboard, registry: Registry | None = None) -> None:
    """Write ``scoreboard.json``, ``.md``, ``.csv`` and ``.png`` to the workspace and show the experiment in the tracking server."""
    root = workspace.root
    board.write(root / "scoreboard.json")
    write_bytes(root / "scoreboard.md", scoreboard_markdown(board).encode())
    write_bytes(root / "scoreboard.csv", scoreboard_csv(board).encode())
    write_bytes(root / "scoreboard.png", draw_scoreboard(board))
    files = tuple(root / f"scoreboard.{kind}" for kind in ("json", "md", "csv", "png"))
    parent = LoggedRun(
        name=f"experiment {board.name}",
        params={"primary": board.primary, "seeds": str(board.seeds), "harmful": ", ".join(board.harmful) or "none"},
        files=files,
    )
    (registry or open_registry(workspace)).log_experiment(board.digest(), parent, [logged_arm(board, arm) for arm in board.arms])


def logged_arm(board: Scoreboard, arm: str) -> LoggedRun:
    """Return an arm's run: its figures with bounds, what was chosen for it, and its learning curve."""
    metrics: dict[str, float] = {}
    for name, figure in board.arms[arm].items():
        metrics |= {name: figure.mean, f"{name}_low": figure.low, f"{name}_high": figure.high}
    variant = ArmVariant.parse(arm)
    name = str(variant.at(""))
    plateau = board.epoch_selections.get(name) if variant.setting == "plateau" else None
    history = () if plateau is None else tuple(point.model_dump(exclude_none=True) for point in plateau.curve)
    search = board.searched.get(name)
    chosen = {} if search is None else {field: str(value) for field, value in search.configurations[search.chosen].options.items()}
    return LoggedRun(name=f"{board.name}/{arm}", metrics=metrics, params=chosen, history=history)


def scoreboard_text(board: Scoreboard) -> str:
    """Return the verdicts as sentences, one per line."""
    lines = [f"{board.name}: primary figure {board.primary}, seeds {', '.join(map(str, board.seeds))}, {board.epochs} epochs"]
    known = {(c.a, c.b): c for c in board.comparisons if c.metric == board.primary}
    width = max(len(arm) for arm in board.arms)
    for arm, figures in board.arms.items():
        figure = figures.get(board.primary)
        own = [c for c in known.values() if c.a == arm and str(ArmVariant.parse(c.b).at("")) in board.baselines]
        said = "; ".join(f"{_signed(c)} against {c.b}" for c in own)
        lines.append(f"  {arm.ljust(width)}  {'' if figure is None else _cell(figure)}  {said}".rstrip())
    lines += _verdicts(board)
    return "\n".join(lines)


def _verdicts(board: Scoreboard) -> list[str]:
    lines = [f"harmful: {', '.join(board.harmful) or 'none'} (interval of {board.primary} minus {board.baselines[0]} below zero)"]
    for verdict in board.controls:
        said = "HELPS AS MUCH as" if verdict.helps_as_much else "helps, but less than" if verdict.gain.low > 0 else "does not help as"
        lines.append(
            f"control {verdict.control.value} {said} the teacher's explanations in {verdict.arm}: {_signed(verdict.difference)} between them; "
            f"the control itself {_signed(verdict.gain)} against {verdict.gain.b}"
        )
    if board.nulls:
        flagged = f"flagged as harmful: {', '.join(board.null_flags)}" if board.null_flags else "none flagged as harmful"
        lines.append(f"null repetitions: {len(board.nulls)} of {board.baselines[0]}, {flagged} (by chance one in forty would be)")
    for name, gate in board.gates.items():
        failed = [finding.said for finding in gate.findings if not finding.holds]
        missing = "".join(f"; {bound} not measured: {why}" for bound, why in gate.not_measured.items())
        lines.append(
            f"teacher of {name}: "
            + (f"fails its gate before anybody copies it: {', '.join(failed)}" if failed else "passes its gate")
            + missing
        )
    if board.gap is not None:
        for name, group in (("weighted by the gap", board.gap.weighted), ("without weights", board.gap.plain)):
            lines.append(
                f"rounds {name}: "
                + "; ".join(
                    f"gap {' > '.join(f'{r.scores.gap:.2f}' for r in course.rounds)} (round {course.chosen} kept; {course.stopped})"
                    for course in group
                )
            )
    return lines


def scoreboard_markdown(board: Scoreboard) -> str:
    """Return the whole scoreboard as Markdown."""
    parts = [f"# {board.name}", board.description, f"_{BANNER}_", "![scoreboard](scoreboard.png)", "## Verdicts"]
    parts.append("\n".join(f"- {line}" for line in _verdicts(board)))
    parts += ["## Arms", _figures_table(board, COLUMNS), f"In brackets: {board.interval}."]
    parts += ["## Calibration, mistakes, faithfulness, cost", _figures_table(board, MORE)]
    parts += ["Parameters, latency and training time: mean (latency: median), least and most over seeds.", "## Differences"]
    rows = [
        [c.a, c.b, c.metric, _signed(c), f"{c.p:.2g}", f"{c.p_holm:.2g}", str(c.n), str(c.seeds)]
        for c in board.comparisons
        if c.metric in (board.primary, *COLUMNS[:4], "dice", "false_positives_at_cue", "marker_effect", "agreement")
    ]
    parts.append(_table(["arm", "minus", "figure", "difference", "p", "p (Holm)", "patients", "seeds"], rows))
    if board.searched:
        parts += ["## What was searched", _searches(board.searched)]
        parts.append(f"Oracle: {board.primary} on the test cases, shown and never chosen by.")
    if board.epoch_selections:
        rows = [
            [arm, p.by, str(p.epoch), str(p.oracle_epoch), ", ".join(f"{c.epoch}: {c.oracle:.3f}" for c in p.curve)]
            for arm, p in board.epoch_selections.items()
        ]
        parts += ["## Plateaus", _table(["arm", "by", "epoch", "oracle's epoch", f"{board.primary} by epoch"], rows)]
    if board.conditions:
        parts += ["## Conditions", "\n".join(f"- `@{name}`: {text}" for name, text in board.conditions.items())]
    return "\n\n".join(part for part in parts if part) + "\n"


def _searches(searched: dict[str, Search]) -> str:
    rows = []
    for arm, search in searched.items():
        for index, tried in enumerate(search.configurations):
            marks = [
                name
                for name, at in ((f"chosen by {search.by}", search.chosen), ("by task", search.by_task), ("by oracle", search.oracle))
                if at == index
            ]
            options = ", ".join(f"{field}={value}" for field, value in tried.options.items()) or "as in the recipe"
            seen = ["" if value is None else f"{value:.3f}" for value in (tried.task, tried.agreement, tried.response, tried.oracle)]
            rows.append([arm, options, *seen, ", ".join(marks)])
    return _table(["arm", "configuration", "task", "agreement", "response", "oracle", ""], rows)


def _figures_table(board: Scoreboard, columns: tuple[str, ...]) -> str:
    held = [name for name in columns if any(name in figures for figures in board.arms.values())]
    rows = [[arm, *(_cell(figures[name]) if name in figures else "" for name in held)] for arm, figures in board.arms.items()]
    return _table(["arm", *held], rows)


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows)]
    return "\n".join(lines)


def scoreboard_csv(board: Scoreboard) -> str:
    """Return one row per arm and figure."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["arm", "figure", "mean", "low", "high", "n", "missing", "unit"])
    for arm, figures in board.arms.items():
        for name, f in figures.items():
            writer.writerow([arm, name, f"{f.mean:.6g}", f"{f.low:.6g}", f"{f.high:.6g}", f.n, f.missing, f.unit])
    return stream.getvalue()


def _cell(figure: Estimate) -> str:
    if figure.mean >= 1000:
        return f"{figure.mean:,.0f}"
    digits = 3 if abs(figure.mean) < 10 else 1
    return f"{figure.mean:.{digits}f} [{figure.low:.{digits}f}, {figure.high:.{digits}f}]"


def _signed(contrast: PairedDifference) -> str:
    return f"{contrast.difference:+.3f} [{contrast.low:+.3f}, {contrast.high:+.3f}]"
