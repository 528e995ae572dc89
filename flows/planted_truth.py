"""Flow: networks that are known to use a lesion, a marker or both, explained by every explainer, and the table of who found it."""

from __future__ import annotations

from data_contracts import PlantedTruth
from flows.engine import orchestrated, run_all
from medkd.experiment.planted_truth import every_explainer, judge_explainers
from medkd.experiment.write_planted_truth import write_planted_truth
from medkd.storage.workspace import Workspace


@orchestrated
def planted_truth(workspace: Workspace, cases: int, seed: int) -> PlantedTruth:
    """Return the table; it is written to the workspace and shown in its tracking server."""
    truth = run_all(judge_explainers, [(workspace, cases, seed, every_explainer())], title="planted truth")[0]
    write_planted_truth(workspace, truth)
    return truth
