"""The Pareto table for people and programs: record, Markdown, picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data_contracts import BANNER, CompressionReport, Estimate, FormFigures
from medkd.compression.draw_compression import draw_compression
from medkd.storage.store import write_bytes

#: Files of a compression.
RECORD, TABLE, PICTURE = "compression.json", "compression.md", "pareto.png"


def write_compression(folder: Path, report: CompressionReport) -> tuple[Path, ...]:
    """Write record, table and picture to a folder and return their files."""
    return (
        report.write(folder / RECORD),
        write_bytes(folder / TABLE, compression_markdown(report).encode()),
        write_bytes(folder / PICTURE, draw_compression(report)),
    )


def compression_rows(report: CompressionReport) -> dict[str, list[str]]:
    """Return the columns of the table, a cell per form, by their heads."""
    forms = report.forms
    return {
        report.task_figure: [said(one.task) for one in forms],
        "against version": [said(one.task_difference, signed=True) for one in forms],
        "calibration": [said(one.calibration) for one in forms],
        "maps, ranks": [said(one.map_rank_correlation) for one in forms],
        "maps, signs": [said(one.map_sign_stability) for one in forms],
        "maps, lesion": [said(one.map_lesion_share, signed=True) for one in forms],
        "kB": [f"{one.bytes / 1000:,.0f}" for one in forms],
        "parameters": [f"{one.parameters:,}" for one in forms],
        "ms": ["" if one.seconds_per_case is None else f"{1000 * one.seconds_per_case:.1f}" for one in forms],
        "speed": [speed(one.speed) for one in forms],
        "same runtime": [speed(one.speed_same_runtime) for one in forms],
        "MB": ["" if one.peak_megabytes is None else f"{one.peak_megabytes:.0f}" for one in forms],
        "mWh": ["" if one.watt_hours_per_case is None else f"{1000 * one.watt_hours_per_case:.3f}" for one in forms],
        "verdict": [verdict(one) for one in forms],
    }


def verdict(one: FormFigures) -> str:
    """Return what came of a form in a word or two."""
    if one.name == "torch":
        return "the version"
    codes = ", ".join(sorted({refusal.code for refusal in one.refusals}))
    return codes or ("front" if one.on_front else "within bounds")


def refused_sentences(report: CompressionReport) -> Iterator[str]:
    """Yield why each refused form is refused, and why others could not be made, a line each."""
    for one in report.forms:
        for refusal in one.refusals:
            yield f"{one.name}: {refusal.code}: {refusal.why}"
    for name, refusal in report.failed.items():
        yield f"{name}: not made: {refusal.code}: {refusal.why}"


def compression_markdown(report: CompressionReport) -> str:
    """Return the table as Markdown, with what refuses a form."""
    columns = compression_rows(report)
    heads = ["form", *columns]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for place, one in enumerate(report.forms):
        lines.append(f"| {' | '.join([one.name, *(cells[place] for cells in columns.values())])} |")
    patients = report.forms[0].task.n if report.forms else 0
    parts = [
        f"# {report.name}",
        f"Forms of {report.source.name} version {report.source.version}, on {patients} test patients. Processor: {report.processor}, one thread.",
        "\n".join(lines),
        *(["## Refused\n\n" + "\n".join(f"- {line}" for line in refused_sentences(report))] if any(refused_sentences(report)) else []),
        "Intervals are 95 % over patients (over the turns for speed: their range). Speed is that of the version asked by torch, and of the float32 "
        "version asked by the same runtime, divided by the form's. Energy is an estimate from processor seconds.",
        f"![What forms cost and keep]({PICTURE})",
        BANNER,
    ]
    return "\n\n".join(parts) + "\n"


def said(figure: Estimate | None, *, signed: bool = False) -> str:
    """Return a figure with its interval; empty where there is none."""
    if figure is None:
        return ""
    form = "+.3f" if signed else ".3f"
    return f"{figure.mean:{form}} [{figure.low:{form}}, {figure.high:{form}}]"


def speed(figure: Estimate | None) -> str:
    """Return how many times as fast something is, with the range of the turns; empty where it was not measured."""
    return "" if figure is None else f"{figure.mean:.2f} [{figure.low:.2f}, {figure.high:.2f}]"
