"""Flow: studies explained by a panel, and one review report per study."""

from __future__ import annotations

from data_contracts import ReportSet, ReviewPanel, VolumeRef
from flows.orchestration import flow, submit_all, task
from medkd.explanation.explain_panel import explain_studies, panel_requests
from medkd.review.write_report import report_studies
from medkd.storage.workspace import Workspace

explain_shard = task(explain_studies)
report_shard = task(report_studies)


@flow
def report(workspace: Workspace, volumes: tuple[VolumeRef, ...], source: str, panel: ReviewPanel) -> ReportSet:
    """Explain each study, then write its record, page and picture; ``source`` is the folder of their store (relative to the run's)."""
    shards = [(workspace, volumes[begin::2], source, panel, panel_requests(panel)) for begin in range(2) if volumes[begin::2]]
    explained = submit_all(explain_shard, shards, title="explain studies")
    calibrations = tuple(one.calibration for one in (panel.segmentation, panel.classification) if one.calibration is not None)
    training = tuple(one.training_features for one in (panel.segmentation, panel.classification) if one.training_features is not None)
    written = submit_all(report_shard, [(workspace, part, source, calibrations, training) for part in explained], title="reports")
    return ReportSet(
        reports=tuple(ref for part in written for ref in part.reports),
        pages=tuple(ref for part in written for ref in part.pages),
        pictures=tuple(ref for part in written for ref in part.pictures),
        explanations=tuple(ref for part in written for ref in part.explanations),
        refused=tuple(one for part in written for one in part.refused),
    )
