"""The scoreboard as one picture: who is how good, who learns how fast, and what accuracy costs in explanation."""

from __future__ import annotations

import io

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Sheet

from data_contracts import BANNER, ArmVariant, Scoreboard, Search
from medkd.experiment.choose import dominated

#: Okabe and Ito's colours: told apart by people who see colours differently.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
PLAIN, GOOD, BAD, CONTROL = "#0072b2", "#009e73", "#d55e00", "#999999"


def draw_scoreboard(board: Scoreboard) -> bytes:
    """Return a PNG: arms with their intervals, and beside them learning curves and the Pareto sweep where there are any."""
    arms = sorted((arm for arm, figures in board.arms.items() if board.primary in figures), key=lambda arm: ArmVariant.parse(arm).setting)
    panels = 1 + bool(board.epoch_selections) + (board.pareto is not None)
    sheet = Sheet(figsize=(7.0 + 5.2 * (panels - 1), max(4.6, 0.27 * len(arms) + 1.6)), dpi=110)
    axes = list(sheet.subplots(1, panels, squeeze=False, width_ratios=[1.35, *[1.0] * (panels - 1)])[0])
    _forest(axes.pop(0), board, arms)
    if board.epoch_selections:
        _curves(axes.pop(0), board)
    if board.pareto is not None:
        _sweep(axes.pop(0), board.pareto, board.searched[board.pareto])
    sheet.text(0.5, 0.004, BANNER, ha="center", fontsize=7, color="0.4")
    sheet.set_layout_engine("constrained", rect=(0, 0.025, 1, 0.975))
    stream = io.BytesIO()
    FigureCanvasAgg(sheet).print_png(stream, metadata={"Software": "medkd"})
    return stream.getvalue()


def _forest(axes: Axes, board: Scoreboard, arms: list[str]) -> None:
    for place, arm in enumerate(reversed(arms)):
        figure = board.arms[arm][board.primary]
        colour = (
            BAD if arm in board.harmful else CONTROL if ArmVariant.parse(arm).control is not None else GOOD if _helps(board, arm) else PLAIN
        )
        axes.plot([figure.low, figure.high], [place, place], color=colour, linewidth=2)
        axes.plot(figure.mean, place, marker="o", color=colour, markersize=5)
    axes.set_yticks(range(len(arms)), list(reversed(arms)), fontsize=8)
    alone = board.arms.get(board.baselines[0], {}).get(board.primary)
    if alone is not None:
        axes.axvline(alone.mean, color="0.6", linestyle="--", linewidth=1)
    axes.set_xlabel(f"{board.primary} (95 % interval); dashed: {board.baselines[0]}")
    axes.set_title(f"{board.name}: green above {board.baselines[1]} (Holm), orange harmful, grey controls", fontsize=9)
    axes.grid(axis="x", color="0.9")


def _helps(board: Scoreboard, arm: str) -> bool:
    """Return whether an arm's interval against plain soft labels is above zero, corrected for the number of arms."""
    return any(
        c.a == arm
        and ArmVariant.parse(c.b).at("") == ArmVariant(arm=board.baselines[1])
        and c.metric == board.primary
        and c.low > 0
        and c.p_holm < 0.05
        for c in board.comparisons
    )


def _curves(axes: Axes, board: Scoreboard) -> None:
    shown = [arm for arm in board.epoch_selections if ArmVariant.parse(arm).control is None]
    for index, arm in enumerate(shown):
        plateau, colour = board.epoch_selections[arm], COLOURS[index % len(COLOURS)]
        style = "-" if index < len(COLOURS) else "--"
        axes.plot([p.epoch for p in plateau.curve], [p.oracle for p in plateau.curve], style, color=colour, label=arm, linewidth=1.5)
        chosen = next(p for p in plateau.curve if p.epoch == plateau.epoch)
        axes.plot(chosen.epoch, chosen.oracle, marker="o", color=colour)
    axes.set_xlabel("epoch (dot: chosen on same-bias validation cases)")
    axes.set_ylabel(f"{board.primary}, mean over seeds")
    axes.set_title("learning curves of the long training", fontsize=9)
    axes.legend(fontsize=7)
    axes.grid(color="0.9")


def _sweep(axes: Axes, arm: str, search: Search) -> None:
    off = dominated(search.configurations)
    front = sorted((c.agreement, c.task) for c, beaten in zip(search.configurations, off, strict=True) if not beaten)
    axes.plot([a for a, _ in front], [t for _, t in front], color="0.7", linewidth=1)
    for index, tried in enumerate(search.configurations):
        colour = GOOD if index == search.chosen else "0.6" if off[index] else PLAIN
        axes.plot(tried.agreement, tried.task, marker="o", color=colour, markersize=9 if index == search.chosen else 6)
        said = "\n".join(f"{field.rpartition('.')[2]} {value}" for field, value in tried.options.items())
        text = f"{said}\noracle {tried.oracle:.3f}"
        axes.annotate(text, (tried.agreement, tried.task), xytext=(6, 5), textcoords="offset points", fontsize=7)
    axes.set_xlabel("agreement of class maps with the teacher's, validation")
    axes.set_ylabel("task figure, same-bias validation")
    axes.set_title(f"{arm}: accuracy against explanation\ngreen: chosen, highest {search.by}; grey: beaten in both", fontsize=9)
    axes.margins(0.25)
    axes.grid(color="0.9")
