"""An audit written down: the record, a table in Markdown, a sheet of examples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data_contracts import BANNER, ArtefactEffect, AuditReport, Estimate, ShortcutVerdict
from medkd.audit.audit_model import Audit, AuditOptions, audit_registered
from medkd.audit.draw_audit import draw_audit
from medkd.cohorts.external_dataset import FolderHints
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace
from medkd.wording import require_neutral

RECORD, TABLE, PICTURE = "audit.json", "audit.md", "audit.png"


def audit_to_folder(
    workspace: Workspace, root: Path, hints: FolderHints, model_uri: str, options: AuditOptions, scratch: Path
) -> AuditReport:
    """Audit a registered version (``audit_registered``) and write what was found to the workspace's folder."""
    audit = audit_registered(workspace, root, hints, model_uri, options, scratch)
    write_audit(audit, workspace.root)
    return audit.report


def write_audit(audit: Audit, out: Path) -> None:
    """Write ``audit.json``, ``audit.md`` and ``audit.png`` to a folder."""
    audit.report.write(out / RECORD)
    write_bytes(out / TABLE, audit_markdown(audit.report).encode())
    write_bytes(out / PICTURE, draw_audit(audit))


def audit_markdown(report: AuditReport) -> str:
    """Return an audit as Markdown: what is followed, a row per artefact, what metadata predict, and what it cannot say."""
    return require_neutral("\n".join(_lines(report)) + "\n")


def summary(report: AuditReport) -> str:
    """Return one sentence: what the model follows."""
    followed = report.with_verdict(ShortcutVerdict.FOLLOWS)
    silent, open_ones = (len(report.with_verdict(one)) for one in (ShortcutVerdict.SILENT, ShortcutVerdict.UNDETERMINED))
    named = ", ".join(one.name for one in followed) or "no artefact"
    return f"follows {named}; silent under {silent}, undetermined under {open_ones} of {len(report.artefacts)}"


def _lines(report: AuditReport) -> Iterator[str]:
    model, what = report.model, "Dice" if report.task == "segmentation" else "probability"
    yield f"# Shortcut audit of {model.name} {model.version}\n"
    yield f"{model.name} {model.version} ({model.role}) {summary(report)}, on {report.folder}: {report.n} patients, {report.cases} cases.\n"
    yield f"Bound: a mean change of {what} up to {report.bound:g} counts as none. In brackets: {report.interval}.\n"
    yield f"| artefact | verdict | change of {what} | size of the change | control | answers that flip | before → after | map on it (before; area) | p |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for one in report.artefacts:
        yield _row(one)
    yield ""
    for one in report.artefacts:
        yield f"- {one.name}: {one.reason}."
    if report.metadata:
        yield "\n## What metadata alone predict\n"
        yield "A shortcut that the data hold, whether the model follows it or not: logistic regression, patients kept apart.\n"
        yield "| columns | AUC | predicts the label |\n|---|---|---|"
        for found in report.metadata:
            yield f"| {', '.join(found.columns)} | {shown(found.auc)} | {'yes' if found.predicts else 'no'} |"
    yield "\n## What this audit cannot say\n"
    for limit in report.limits:
        yield f"- {limit}"
    yield f"\n{BANNER}"


def _row(one: ArtefactEffect) -> str:
    toward = f" ({one.toward})" if one.toward else ""
    figures = "" if one.figure_before is None or one.figure_after is None else f"{one.figure_before.mean:.3f} → {one.figure_after.mean:.3f}"
    mass = "" if one.mass is None else f"{one.mass.mass.mean:.3f} ({one.mass.mass_before.mean:.3f}; {one.mass.area:.3f})"
    cells = (one.name, one.verdict.value, shown(one.effect, signed=True) + toward, shown(one.magnitude), shown(one.control))
    return f"| {' | '.join(cells)} | {shown(one.flips)} | {figures} | {mass} | {one.p_corrected:.2g} |"


def shown(figure: Estimate, *, signed: bool = False) -> str:
    """Return a figure with its interval."""
    form = "+.3f" if signed else ".3f"
    return f"{figure.mean:{form}} [{figure.low:{form}}, {figure.high:{form}}]"
