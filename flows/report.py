"""Flow: one review report per study."""

from __future__ import annotations

from data_contracts import ReportSet, ReviewPanel, VolumeRef
from flows.engine import orchestrated, run_all
from medkd.review.compose_report import report_studies
from medkd.storage.workspace import Workspace


@orchestrated
def report(workspace: Workspace, volumes: tuple[VolumeRef, ...], source: str, panel: ReviewPanel) -> ReportSet:
    """Write record, page and picture of each study; ``source`` is the folder of their store (relative to the run's)."""
    shards = [(workspace, volumes[begin::2], source, panel) for begin in range(2) if volumes[begin::2]]
    written = run_all(report_studies, shards, title="reports")
    return ReportSet(
        reports=tuple(ref for part in written for ref in part.reports),
        pages=tuple(ref for part in written for ref in part.pages),
        pictures=tuple(ref for part in written for ref in part.pictures),
        refused=tuple(one for part in written for one in part.refused),
    )
