"""Flow: a registered model is audited for shortcuts on a labelled folder, and the audit is kept beside its version."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from data_contracts import AuditReport
from flows.orchestration import flow, submit_all, task
from medkd.audit import attach_audit, write_audit
from medkd.audit.audit_model import AuditOptions
from medkd.cohorts.external_dataset import FolderHints
from medkd.storage.workspace import Workspace


@dataclass(frozen=True)
class AuditRequest:
    """Who is audited: a registered model, on which folder, with which options."""

    model: str
    data: Path
    hints: FolderHints
    options: AuditOptions


audit_to_folder = task(write_audit.audit_to_folder)
keep_audit = task(attach_audit.attach_to_version)


@flow
def audit(workspace: Workspace, request: AuditRequest) -> AuditReport:
    """Audit a model; imported arrays are thrown away, the record is attached to the version."""
    with tempfile.TemporaryDirectory(prefix="medkd-") as scratch:
        call = (workspace, request.data, request.hints, request.model, request.options, Path(scratch))
        report = submit_all(audit_to_folder, [call], title="audit")[0]
    submit_all(keep_audit, [(workspace, request.model, report)], title="register")
    return report
