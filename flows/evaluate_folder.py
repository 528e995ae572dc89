"""Flow: a registered model is scored on a folder it has never seen."""

from __future__ import annotations

import tempfile
from pathlib import Path

from data_contracts import FolderEvaluation
from flows.orchestration import flow, submit_all, task
from medkd.cohorts.external_dataset import FolderHints
from medkd.evaluation import write_score
from medkd.storage.workspace import Workspace

evaluate_on_folder = task(write_score.evaluate_folder)


@flow
def evaluate_folder(workspace: Workspace, data: Path, hints: FolderHints, model: str, teacher: str | None) -> FolderEvaluation:
    """Score a model on a folder and write record, tables and picture to the workspace; imported arrays are thrown away."""
    with tempfile.TemporaryDirectory(prefix="medkd-") as scratch:
        calls = [(workspace, data, hints, model, teacher, Path(scratch))]
        return submit_all(evaluate_on_folder, calls, title="evaluate")[0]
