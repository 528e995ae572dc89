"""Flow: networks that are known to use a lesion, a marker or both, explained by every explainer, and the table of who found it."""

from __future__ import annotations

from data_contracts import ExplainerBenchmark
from flows.orchestration import flow, submit_all, task
from medkd.experiment.explainer_benchmark import every_explainer, judge_explainers
from medkd.experiment.write_explainer_benchmark import write_explainer_benchmark
from medkd.storage.workspace import Workspace

judge = task(judge_explainers)


@flow
def explainer_benchmark(workspace: Workspace, cases: int, seed: int) -> ExplainerBenchmark:
    """Return the table; it is written to the workspace and shown in its tracking server."""
    truth = submit_all(judge, [(workspace, cases, seed, every_explainer())], title="planted truth")[0]
    write_explainer_benchmark(workspace, truth)
    return truth
