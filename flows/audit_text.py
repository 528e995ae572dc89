"""A shortcut audit as a terminal shows it: a line per artefact, at most a hundred columns."""

from __future__ import annotations

import textwrap

from data_contracts import AuditReport, ShortcutVerdict
from flows.tables import WIDTH, interval, number, table
from medkd.audit.write_audit import summary


def audit_text(report: AuditReport) -> str:
    """Return the table of an audit, the reasons of what is not silent, what metadata predict, and what the audit cannot say."""
    what = "Dice" if report.task == "segmentation" else "probability"
    model = report.model
    rows = [one.name for one in report.artefacts]
    columns = {
        "verdict": [one.verdict.value for one in report.artefacts],
        f"change of {what}": [f"{interval(one.effect, signed=True)}{f' {one.toward}' if one.toward else ''}" for one in report.artefacts],
        "size": [number(one.magnitude.mean) for one in report.artefacts],
        "control": [number(one.control.mean) for one in report.artefacts],
        "flips": [number(one.flips.mean) for one in report.artefacts],
        "p": [f"{one.p_corrected:.2g}" for one in report.artefacts],
    }
    parts = [
        f"{model.name} {model.version} {summary(report)} ({report.n} patients, {report.cases} cases)",
        table("artefact", rows, columns),
    ]
    listed = [one for one in report.artefacts if one.verdict is not ShortcutVerdict.SILENT]
    parts.append("\n".join(_wrapped(f"{one.name}: {one.reason}") for one in listed))
    if report.metadata:
        lines = [f"{', '.join(one.columns)}: AUC {interval(one.auc)}{', predicts the label' * one.predicts}" for one in report.metadata]
        parts.append("Metadata alone (the data hold a shortcut, whether the model follows it or not):\n" + "\n".join(map(_wrapped, lines)))
    parts.append("\n".join(map(_wrapped, report.limits)))
    return "\n\n".join(part for part in parts if part)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent="  ")
