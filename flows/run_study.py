"""One new study: geometry verified, asked of a registered model, explained, reported, registered, written in patient space."""

from __future__ import annotations

from pathlib import Path

from data_contracts import ExplanationRequest
from flows.ingested_study import StudyChoice, ingest_study
from flows.ingested_study import StudyOutcome as StudyOutcome
from flows.orchestration import flow, submit_all, task
from medkd.explanation.of_registry import explain_registered
from medkd.results.write_results import publish_results
from medkd.review.write_report import write_report
from medkd.storage.workspace import Workspace

explain_study = task(explain_registered)
report_study = task(write_report)
publish_dicom = task(publish_results)


@flow
def run_study(
    workspace: Workspace,
    source: Path,
    model_uri: str,
    request: ExplanationRequest,
    choice: StudyChoice,
) -> StudyOutcome:
    """Ingest a study below the workspace, ask a registered model about one of its volumes (or its images), explain, report and register what it finds.

    Raises:
        OutputError: the workspace's folder is not ours, or holds the source.
        DataError: ``NO_VOLUME`` when nothing could be verified, ``WHICH_SERIES`` when several volumes could be meant.
    """
    out = workspace.root
    ingested, images, store = ingest_study(workspace, source, choice.series, choice.policy, model_uri)
    artefact = submit_all(explain_study, [(workspace, images, store, model_uri, request, out)], title="explain")[0]
    report = submit_all(report_study, [(workspace, artefact, store, out)], title="report")[0]
    if choice.dicom_out is None:
        return StudyOutcome(ingested, artefact, report)
    results = submit_all(publish_dicom, [(artefact, store, source, choice.dicom_out)], title="DICOM results")[0]
    return StudyOutcome(ingested, artefact, report, results)
