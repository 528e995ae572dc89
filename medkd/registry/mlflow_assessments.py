"""What readers said, as MLflow shows it: assessments of a trace, which stands for a report beside the version that was asked.

MLflow lets everybody who may write delete assessments: they are shown here and kept elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from mlflow.entities import AssessmentSource, Feedback, TraceInfo, TraceLocation, TraceState
from mlflow.exceptions import MlflowException
from mlflow.tracing.client import TracingClient
from mlflow.tracking import MlflowClient

from data_contracts import ModelRef
from data_contracts.private import privately
from medkd.registry.mlflow_model import MODEL_TAG
from medkd.registry.mlflow_runs import reached

#: Metadata of an assessment: the digest of the entry that it was made from.
ENTRY = "medkd.entry"


class SaidOfReport(Protocol):
    """What a reader said of a report (``medkd.feedback.mirror``)."""

    @property
    def report(self) -> str:
        """Return the digest of the report."""
        ...

    @property
    def at(self) -> str:
        """Return when it was said, in UTC."""
        ...

    @property
    def reviewer(self) -> str:
        """Return the pseudonym of the reader."""
        ...

    @property
    def entry(self) -> str:
        """Return the digest of the entry of the feedback log."""
        ...

    @property
    def said(self) -> Mapping[str, str | int]:
        """Return what was said of each thing."""
        ...


class MlflowAssessments:
    """Assessments of a tracking server, or of a run's own database.

    Args:
        uri: of the registry.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._client, self._traces = MlflowClient(uri), TracingClient(uri)

    @privately()
    @reached
    def show(self, model: ModelRef, judged: SaidOfReport) -> int:
        """Show what a reader said of a report beside a version, once however often it is asked for; return how many were not there before.

        Args:
            model: that the report is of.
            judged: what was said.

        Raises:
            RegistryError: ``REGISTRY_UNREACHABLE`` or ``REGISTRY_UNREADABLE``.
        """
        trace = "tr-" + hashlib.sha256(f"{model.uri}\n{judged.report}".encode()).hexdigest()[:32]
        try:
            known = self._traces.get_trace_info(trace)
        except MlflowException:  # not there, or a server that is gone, which the next call says
            version = self._client.get_model_version(model.name, str(model.version))
            experiment = self._client.get_run(str(version.run_id)).info.experiment_id
            known = self._traces.start_trace(_trace(trace, experiment, version.tags.get(MODEL_TAG), judged))
        there = {(one.name, (one.metadata or {}).get(ENTRY)) for one in known.assessments or ()}
        new = {name: value for name, value in judged.said.items() if (name, judged.entry) not in there}
        source = AssessmentSource(source_type="HUMAN", source_id=judged.reviewer)
        for name, value in new.items():
            self._traces.log_assessment(trace, Feedback(name=name, value=value, source=source, metadata={ENTRY: judged.entry}))
        return len(new)


def _trace(trace: str, experiment: str, model: str | None, judged: SaidOfReport) -> TraceInfo:
    metadata = {"mlflow.trace_schema.version": "3"} | ({} if model is None else {"mlflow.modelId": model})
    return TraceInfo(
        trace_id=trace,
        trace_location=TraceLocation.from_experiment_id(experiment),
        request_time=int(datetime.fromisoformat(judged.at).timestamp() * 1000),
        execution_duration=0,
        state=TraceState.OK,
        request_preview=f"report {judged.report[:12]}",
        trace_metadata=metadata,
        tags={"mlflow.traceName": "reviewed report", "medkd.report": judged.report},
    )
