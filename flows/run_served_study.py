"""One new study, asked without torch: as :mod:`flows.run_study`, by ONNX Runtime or OpenVINO, with maps in closed form."""

from __future__ import annotations

from pathlib import Path

from data_contracts import ExplanationRequest
from flows.ingested_study import StudyChoice, StudyOutcome, ingest_study
from flows.orchestration import flow, submit_all, task
from medkd.explanation.served_registered import explain_served_registered
from medkd.results.write_results import publish_results
from medkd.review.write_report import write_report
from medkd.serving.open_runtime import Runtime
from medkd.storage.workspace import Workspace

explain_study = task(explain_served_registered)
report_study = task(write_report)
publish_dicom = task(publish_results)


@flow
def run_served_study(
    workspace: Workspace,
    source: Path,
    model_uri: str,
    request: ExplanationRequest,
    runtime: Runtime,
    choice: StudyChoice,
) -> StudyOutcome:
    """Ingest a study below the workspace, ask a registered model about one of its volumes by a run-time, report and register what it finds.

    Raises:
        OutputError, DataError: as :func:`flows.ingested_study.ingest_study`.
    """
    out = workspace.root
    ingested, images, store = ingest_study(workspace, source, choice.series, choice.policy, model_uri)
    artefact = submit_all(explain_study, [(workspace, images, store, model_uri, request, out, runtime)], title="explain")[0]
    report = submit_all(report_study, [(workspace, artefact, store, out)], title="report")[0]
    if choice.dicom_out is None:
        return StudyOutcome(ingested, artefact, report)
    results = submit_all(publish_dicom, [(artefact, store, source, choice.dicom_out)], title="DICOM results")[0]
    return StudyOutcome(ingested, artefact, report, results)
