"""A drift report as one picture: p-values and gathered evidence of the three families, window by window."""

from __future__ import annotations

import io

from data_contracts import BANNER, DriftReport, FeatureFamily
from medkd.drift.drift_text import rate_text

#: Colours and marks that tell the families apart, without colour too.
_STYLE = {FeatureFamily.IMAGES: ("#2166ac", "o"), FeatureFamily.PREDICTIONS: ("#d66014", "s"), FeatureFamily.ATTRIBUTION: ("#1b7837", "^")}


def draw_drift(report: DriftReport) -> bytes:
    """Return a PNG: above p-values on a logarithmic scale and their threshold, below the evidence gathered and its threshold.

    Args:
        report: with at least one window.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Sheet

    sheet = Sheet(figsize=(8, 6), layout="constrained")
    FigureCanvasAgg(sheet)
    above, below = sheet.subplots(2, 1, sharex=True)
    numbers = [window.number for window in report.windows]
    for family, (colour, mark) in _STYLE.items():
        rows = [next(one for one in window.families if one.family is family) for window in report.windows]
        above.semilogy(numbers, [one.p for one in rows], color=colour, marker=mark, label=family.value)
        below.semilogy(numbers, [max(one.e_process, 1e-2) for one in rows], color=colour, marker=mark)
    above.axhline(report.alarm_rate / 2, color="0.3", linestyle="--")
    below.axhline(2 * len(FeatureFamily) / report.alarm_rate, color="0.3", linestyle="--")
    above.set_ylabel("p, all families adjusted")
    below.set_ylabel("evidence over windows")
    below.set_xlabel(f"window of {report.window_studies} studies")
    below.xaxis.get_major_locator().set_params(integer=True)
    alarms = [window for window in report.windows if window.alarm]
    for window in alarms:
        above.axvspan(window.number - 0.4, window.number + 0.4, color="0.9", zorder=0)
    first = next((window for window in alarms), None)
    said = (
        "no alarm" if first is None or first.first_family is None else f"{first.first_family.value} moved first, in window {first.number}"
    )
    above.set_title(f"{report.model}: {said}\n{rate_text(report.alarm_rate)} (dashed), alarms grey", fontsize=10)
    above.legend(loc="lower left", fontsize=8)
    below.text(0.5, -0.3, BANNER, transform=below.transAxes, ha="center", fontsize=7, color="0.5")
    stream = io.BytesIO()
    # Without the version of matplotlib, which it would write in: the same report gives the same bytes.
    sheet.savefig(stream, format="png", dpi=110, metadata={"Software": None}, bbox_inches="tight")
    return stream.getvalue()
