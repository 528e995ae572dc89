"""What a person reads of a compression: the table, what refuses a form, and what was registered."""

from __future__ import annotations

from typing import Any

from data_contracts import FormFigures
from flows.compress import CompressionResult
from flows.tables import interval, number, table
from medkd.compression.write_compression import refused_sentences, verdict


def compression_text(result: CompressionResult) -> str:
    """Return the tables, the reasons and the versions, no line of a table wider than a terminal of a hundred columns."""
    report = result.report
    forms = report.forms
    names = [one.name for one in forms]
    answers = {
        report.task_figure: [interval(one.task) for one in forms],
        "against version": [interval(one.task_difference, signed=True) for one in forms],
        "calibration": [_mean(one, "calibration") for one in forms],
        "maps: ranks": [_mean(one, "map_rank_correlation") for one in forms],
        "signs": [_mean(one, "map_sign_stability") for one in forms],
        "in lesion": [_mean(one, "map_lesion_share", signed=True) for one in forms],
    }
    costs = {
        "kB": [f"{one.bytes / 1000:,.0f}" for one in forms],
        "parameters": [f"{one.parameters:,}" for one in forms],
        "ms": ["" if one.seconds_per_case is None else f"{1000 * one.seconds_per_case:.1f}" for one in forms],
        "speed": [_mean(one, "speed") for one in forms],
        "same runtime": [_mean(one, "speed_same_runtime") for one in forms],
        "MB": ["" if one.peak_megabytes is None else f"{one.peak_megabytes:.0f}" for one in forms],
        "mWh": ["" if one.watt_hours_per_case is None else f"{1000 * one.watt_hours_per_case:.3f}" for one in forms],
        "verdict": [verdict(one) for one in forms],
    }
    said = [*refused_sentences(report)]
    return "\n\n".join(
        [
            f"{report.name}: forms of {report.source.uri} on {forms[0].task.n} test patients\n{report.processor}, one thread",
            table("form", names, answers),
            table("form", names, costs),
            *(["\n".join(said)] if said else []),
            _registered(result),
        ]
    )


def _mean(one: FormFigures, name: str, *, signed: bool = False) -> str:
    found = getattr(one, name)
    return "" if found is None else number(found.mean, signed=signed)


def _registered(result: CompressionResult) -> str:
    lines = [f"registered {model.uri}" for model in result.versions]
    lines += [f"attached   forms/{form.name} below {form.source.uri}" for form in result.forms]
    return "\n".join(lines) or "nothing is within all bounds: nothing was registered"


def compression_summary(result: CompressionResult) -> dict[str, Any]:
    """Return the same as one object: the record, what is accepted and refused, addresses of versions and forms."""
    report = result.report
    return {
        **report.model_dump(mode="json"),
        "accepted": [one.name for one in report.forms if not one.refusals],
        "refused": {one.name: sorted({refusal.code for refusal in one.refusals}) for one in report.forms if one.refusals},
        "versions": [model.uri for model in result.versions],
        "attached": {form.name: form.source.uri for form in result.forms},
    }
