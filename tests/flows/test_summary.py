"""An interval is over patients: one patient has none, and that is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import FolderEvaluation, read_record
from flows.summary import folder_json, folder_tables
from medkd.evaluation.score_folder import NO_INTERVAL

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden" / "folder_evaluation_1.json"


@pytest.mark.parametrize("n", [1, 2])
def test_one_patient_has_no_interval(n):
    kept = read_record(GOLDEN.read_bytes(), FolderEvaluation)
    metrics = {name: figure.model_copy(update={"n": n}) for name, figure in kept.metrics.items()}
    changes = {"n": n, "metrics": metrics, "teacher_metrics": {}, "subgroups": {}, **({"interval": NO_INTERVAL} if n == 1 else {})}
    evaluation = kept.model_copy(update=changes)
    text, said = folder_tables(evaluation), folder_json(evaluation)
    figure = next(iter(said["metrics"].values()))
    assert ("[" in text.split("\n\n")[0]) is (n > 1)
    assert ("No interval" in text) is (n == 1)
    assert (figure["low"] is None) is (n == 1)
    assert figure["mean"] is not None
