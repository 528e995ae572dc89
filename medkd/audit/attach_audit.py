"""An audit kept beside the version that it is of: files, then the digest as a tag."""

from __future__ import annotations

from pathlib import Path

from data_contracts import AuditReport, ModelRef
from medkd.audit.write_audit import PICTURE, RECORD, TABLE
from medkd.registry.interface import Registry, resolve
from medkd.registry.publish import open_registry
from medkd.registry.version_files import AUDIT, AUDIT_RECORD
from medkd.storage.workspace import Workspace

#: Folder of artefacts beside a version with its audit.
PLACE = AUDIT_RECORD.partition("/")[0]


def attach_audit(registry: Registry, model: ModelRef, report: AuditReport, folder: Path) -> bool:
    """Put an audit beside its version, and say whether it was not there yet; the newest audit is the one that counts.

    Args:
        registry: that holds the version.
        model: the version.
        report: of it.
        folder: that the audit was written to.
    """
    if registry.tags(model).get(AUDIT) == report.digest():
        return False
    registry.attach(model, {PLACE: [folder / name for name in (RECORD, TABLE, PICTURE)]}, {AUDIT: report.digest()})
    return True


def attach_to_version(workspace: Workspace, uri: str, report: AuditReport) -> bool:
    """As :func:`attach_audit`, of the files in a workspace's folder and in its registry."""
    registry = open_registry(workspace)
    return attach_audit(registry, resolve(registry, uri), report, workspace.root)
