"""The Pareto table as one picture: what a form costs against what it answers, and whether it still looks where the version looked."""

from __future__ import annotations

import io
import math

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Sheet

from data_contracts import BANNER, CompressionReport, FormFigures

#: Names of task figures on axes.
_NAMES = {"dice": "Dice", "auc": "AUC"}
_MAP = "viridis"
#: Area of a marker per square root of a kilobyte, and its bounds, in points squared.
_AREA, _LEAST, _MOST = 12.0, 40.0, 900.0
_NO_MAP = "#999999"


def draw_compression(report: CompressionReport) -> bytes:
    """Return a PNG: milliseconds per case against the task figure with its interval.

    A marker's area goes with the bytes, its colour with the rank correlation of the maps; refused forms are hollow, the front is a line.
    """
    forms = [one for one in report.forms if one.seconds_per_case is not None]
    sheet = Sheet(figsize=(8.6, 5.4), dpi=120, layout="constrained")
    axes = sheet.subplots()
    scale = Normalize(min([*(one.map_rank_correlation.mean for one in forms if one.map_rank_correlation is not None), 0.94]), 1.0)
    colours = ScalarMappable(scale, _MAP)
    _front(axes, forms)
    for place, one in enumerate(sorted(forms, key=_milliseconds)):
        _form(axes, one, colours, above=place % 2 == 0)
    axes.set_xscale("log")
    axes.margins(x=0.22, y=0.25)
    axes.set_xlabel("ms per case end to end, one thread (bringing to the grid, network, arg-max, writing)")
    axes.set_ylabel(f"{_NAMES[report.task_figure]} on test patients, 95 % interval")
    axes.set_title(f"{report.name}: forms of {report.source.name} {report.source.version}\n{report.processor}", fontsize=8)
    axes.grid(True, which="both", linewidth=0.3, alpha=0.6)
    sheet.colorbar(colours, ax=axes, label="rank correlation of class maps with the version's", shrink=0.8)
    note = f"area: bytes · hollow: refused · line: not beaten in all four · {BANNER}"
    sheet.supxlabel(note, fontsize=7, color="0.35")
    stream = io.BytesIO()
    FigureCanvasAgg(sheet).print_png(stream, metadata={"Software": "medkd"})
    return stream.getvalue()


def _milliseconds(one: FormFigures) -> float:
    return 1000 * (one.seconds_per_case or 0.0)


def _form(axes: Axes, one: FormFigures, colours: ScalarMappable, *, above: bool) -> None:
    x, y = _milliseconds(one), one.task.mean
    # The version itself has the maps that others are compared with.
    agreement = 1.0 if one.name == "torch" else None if one.map_rank_correlation is None else one.map_rank_correlation.mean
    colour = _NO_MAP if agreement is None else colours.to_rgba(agreement)
    axes.plot([x, x], [one.task.low, one.task.high], color=colour, linewidth=1, alpha=0.6, zorder=2)
    axes.scatter(
        [x],
        [y],
        s=min(max(_AREA * math.sqrt(one.bytes / 1000), _LEAST), _MOST),
        facecolors="none" if one.refusals else [colour],
        edgecolors=[colour],
        linewidths=1.8,
        zorder=3,
    )
    reasons = sorted({refusal.code.removeprefix("FORM_").lower() for refusal in one.refusals})
    label = f"{one.name}\n{', '.join(reasons)}" if reasons else one.name
    axes.annotate(
        label,
        (x, one.task.high if above else one.task.low),
        xytext=(0, 5 if above else -5),
        textcoords="offset points",
        ha="center",
        va="bottom" if above else "top",
        fontsize=8,
    )


def _front(axes: Axes, forms: list[FormFigures]) -> None:
    points = sorted((_milliseconds(one), one.task.mean) for one in forms if one.on_front)
    axes.plot([x for x, _ in points], [y for _, y in points], color="0.6", linewidth=1, linestyle="--", zorder=1)
