"""The Pareto table as one picture: what a form costs against what it answers, and whether it still looks where the version looked."""

from __future__ import annotations

import io
import math

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure as Sheet
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from data_contracts import BANNER, CompressionReport, FormFigures

#: Names of task figures on axes.
_NAMES = {"dice": "Dice", "auc": "AUC"}
_MAP, _NO_MAP, _FRONT = "viridis", "#999999", "#000000"
#: Area of a marker per square root of a kilobyte, and its bounds, in points squared.
_AREA, _LEAST, _MOST = 14.0, 90.0, 900.0


def draw_compression(report: CompressionReport) -> bytes:
    """Return a PNG: milliseconds per case against the task figure with its interval.

    A marker's area goes with the bytes, its colour with the rank correlation of the maps; refused forms are hollow, those on the front have a
    black edge.
    """
    forms = sorted((one for one in report.forms if one.seconds_per_case is not None), key=_milliseconds)
    sheet = Sheet(figsize=(9.6, 5.2), dpi=120, layout="constrained")
    axes, names = sheet.subplots(1, 2, width_ratios=[3.2, 1.0])
    known = [one.map_rank_correlation.mean for one in forms if one.map_rank_correlation is not None]
    low = min([*known, 0.94])
    for number, one in enumerate(forms, 1):
        _form(axes, one, low, number)
    _axes(axes, report)
    sheet.colorbar(
        ScalarMappable(Normalize(low, 1.0), _MAP), ax=axes, label="rank correlation of class maps with the version's", shrink=0.85
    )
    names.axis("off")
    names.text(0.0, 1.0, "\n".join(_said(number, one) for number, one in enumerate(forms, 1)), va="top", fontsize=8, linespacing=1.5)
    sheet.supxlabel(f"area: bytes · hollow: refused · black edge: on the Pareto front · {BANNER}", fontsize=7, color="0.35")
    stream = io.BytesIO()
    FigureCanvasAgg(sheet).print_png(stream, metadata={"Software": "medkd"})
    return stream.getvalue()


def _axes(axes: Axes, report: CompressionReport) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.15, y=0.12)
    axes.set_xlabel("ms per case end to end, one thread (to the grid, network, arg-max, writing)")
    axes.set_ylabel(f"{_NAMES[report.task_figure]} on test patients, 95 % interval")
    axes.set_title(f"{report.name}: forms of {report.source.name} version {report.source.version}\n{report.processor}", fontsize=8)
    axes.grid(visible=True, which="both", linewidth=0.3, alpha=0.6)


def _milliseconds(one: FormFigures) -> float:
    return 1000 * (one.seconds_per_case or 0.0)


def _form(axes: Axes, one: FormFigures, low: float, number: int) -> None:
    x, y = _milliseconds(one), one.task.mean
    # The version itself has the maps that others are compared with.
    agreement = 1.0 if one.name == "torch" else None if one.map_rank_correlation is None else one.map_rank_correlation.mean
    shade = None if agreement is None else (agreement - low) / (1 - low)
    colour = to_hex(_NO_MAP if shade is None else colormaps[_MAP](shade))
    axes.plot([x, x], [one.task.low, one.task.high], color=colour, linewidth=1, alpha=0.6, zorder=2)
    area = min(max(_AREA * math.sqrt(one.bytes / 1000), _LEAST), _MOST)
    edge, face = _FRONT if one.on_front else colour, "none" if one.refusals else colour
    # Hollow ones on top: what lies below them is still seen.
    axes.scatter([x], [y], s=area, facecolors=[face], edgecolors=[edge], linewidths=1.8, zorder=3 + bool(one.refusals))
    # Beside the marker, above and below in turns: neighbours keep their numbers apart.
    side = 1 if number % 2 else -1
    place, reach = "bottom" if side > 0 else "top", side * (3 + math.sqrt(area) / 2)
    axes.annotate(
        str(number), (x, y), xytext=(0, reach), textcoords="offset points", ha="center", va=place, fontsize=9, zorder=5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
    )  # fmt: skip


def _said(number: int, one: FormFigures) -> str:
    reasons = ", ".join(sorted({refusal.code.removeprefix("FORM_").lower() for refusal in one.refusals}))
    name = f"{number}  {one.name}{' (the version)' if one.name == 'torch' else ''}"
    return f"{name}\n     refused: {reasons}" if reasons else name
