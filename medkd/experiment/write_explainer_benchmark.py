"""Planted truth for people: a table (Markdown, CSV), a picture, and a run in the tracking server."""

from __future__ import annotations

import csv
import io

import numpy as np

from data_contracts import BANNER, Estimate, ExplainerBenchmark
from medkd.catalogue import MEASURES
from medkd.experiment.explainer_benchmark import MEASURED
from medkd.explanation.baselines import BASELINES
from medkd.registry.interface import LoggedRun
from medkd.registry.publish import open_registry
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace

_LOWER_IS_BETTER = {"share_error"}


def write_explainer_benchmark(workspace: Workspace, truth: ExplainerBenchmark) -> None:
    """Write ``explainer_benchmark.json``, ``.md``, ``.csv`` and ``.png`` to the workspace and show them in the tracking server."""
    root = workspace.root
    truth.write(root / "explainer_benchmark.json")
    write_bytes(root / "explainer_benchmark.md", planted_truth_markdown(truth).encode())
    write_bytes(root / "explainer_benchmark.csv", _csv(truth).encode())
    write_bytes(root / "explainer_benchmark.png", draw_planted_truth(truth))
    files = tuple(root / f"explainer_benchmark.{kind}" for kind in ("json", "md", "csv", "png"))
    arms = [
        LoggedRun(name=f"{network}/{explainer}", metrics={name: figure.mean for name, figure in figures.items()})
        for network, explainers in truth.figures.items()
        for explainer, figures in explainers.items()
    ]
    parent = LoggedRun(name="planted truth", params={"cases": str(truth.cases), "seed": str(truth.seed)}, files=files)
    open_registry(workspace).log_experiment(truth.digest(), parent, arms)


def ranked(truth: ExplainerBenchmark, network: str) -> list[str]:
    """Return the explainers of a network, best first by average precision, baselines among them."""
    explainers = truth.figures[network]
    return sorted(explainers, key=lambda name: -explainers[name]["map_auprc"].mean)


def planted_truth_markdown(truth: ExplainerBenchmark) -> str:
    """Return one table per network."""
    lines = []
    for network in truth.networks:
        used = "; ".join(f"without the {name} {_signed(figure)} logit" for name, figure in network.effects.items())
        who = (
            "What the network of both has over the network of the lesion"
            if network.name == "gap"
            else f"The network that uses {_what(network.name)}"
        )
        lines += [f"**{who}** (accuracy {network.accuracy:.3f}; its score falls {used}):", ""]
        lines += ["| explainer | " + " | ".join(_heading(name) for name in MEASURED) + " |", "|---|" + "---|" * len(MEASURED)]
        for explainer in ranked(truth, network.name):
            figures = truth.figures[network.name][explainer]
            name = f"*{explainer.removeprefix('baseline_')} (baseline)*" if explainer in BASELINES else f"`{explainer}`"
            lines.append(f"| {name} | " + " | ".join(_cell(figures.get(measure)) for measure in MEASURED) + " |")
        lines.append("")
    left_out = "; ".join(f"`{name}` {reason}" for name, reason in sorted(truth.not_shown.items()))
    return "\n".join(
        [*lines, f"n = {truth.cases} cases, seed {truth.seed}, 95 % bootstrap intervals over cases. Not shown: {left_out}.", ""]
    )


def _heading(measure: str) -> str:
    lower = measure in _LOWER_IS_BETTER or (measure in MEASURES.names() and not MEASURES.entry(measure).fact("HIGHER_IS_BETTER"))
    return f"{measure} {'↓' if lower else '↑'}"


def _what(network: str) -> str:
    return "lesion and marker" if network == "both" else f"the {network}"


def _cell(figure: Estimate | None) -> str:
    return "–" if figure is None else f"{figure.mean:.2f} [{figure.low:.2f}, {figure.high:.2f}]"


def _signed(figure: Estimate) -> str:
    return f"{figure.mean:.1f} [{figure.low:.1f}, {figure.high:.1f}]"


def _csv(truth: ExplainerBenchmark) -> str:
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(["network", "explainer", "measure", "mean", "low", "high", "n", "missing"])
    for network, explainers in truth.figures.items():
        for explainer, figures in explainers.items():
            for measure, figure in figures.items():
                table.writerow([network, explainer, measure, figure.mean, figure.low, figure.high, figure.n, figure.missing])
    return stream.getvalue()


def draw_planted_truth(truth: ExplainerBenchmark) -> bytes:
    """Return a PNG: average precision with its interval, one panel per network, baselines in grey."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Sheet

    sheet = Sheet(figsize=(3.6 * len(truth.networks) + 2, 0.32 * max(len(e) for e in truth.figures.values()) + 1.6), layout="constrained")
    FigureCanvasAgg(sheet)
    axes = np.atleast_1d(sheet.subplots(1, len(truth.networks), sharex=True))
    for panel, network in zip(axes, truth.networks, strict=True):
        names = ranked(truth, network.name)[::-1]
        for row, name in enumerate(names):
            figure = truth.figures[network.name][name]["map_auprc"]
            colour = "#8a8f98" if name in BASELINES else "#d66014"
            panel.barh(row, figure.mean, color=colour, height=0.62)
            panel.plot([figure.low, figure.high], [row, row], color="black", linewidth=1.2)
        panel.set_yticks(range(len(names)), [name.removeprefix("baseline_") for name in names], fontsize=8)
        what = "both less lesion: the marker" if network.name == "gap" else f"network uses {_what(network.name)}"
        panel.set_title(f"{what}\naccuracy {network.accuracy:.2f}", fontsize=10)
        panel.set_xlim(0, 1)
        panel.grid(axis="x", alpha=0.3)
    sheet.supxlabel(f"average precision of the map against what the network uses, n = {truth.cases}; grey: baselines. {BANNER}", fontsize=8)
    stream = io.BytesIO()
    sheet.savefig(stream, format="png", dpi=110, metadata={"Software": ""})
    return stream.getvalue()
