"""`medkd benchmark-explainers` at a size that learns little: the whole way is gone."""

from __future__ import annotations

import pytest

from data_contracts import ExplainerBenchmark, load_record
from medkd.experiment import explainer_benchmark as planted
from medkd.experiment.write_explainer_benchmark import planted_truth_markdown, ranked


@pytest.mark.extended
def test_a_small_run_is_written_and_tracked(here, tmp_path, monkeypatch):
    """A few cases and epochs: the way from cohort to table; the figures are those of `medkd benchmark-explainers`."""
    monkeypatch.setattr(planted, "TRAINING", 48)
    monkeypatch.setattr(planted, "FIT", planted.FIT.model_copy(update={"epochs": 2}))
    status, text, _ = here("benchmark-explainers", "--cases", "2", "--out", tmp_path)
    assert status == 0
    truth = load_record(tmp_path / "explainer_benchmark.json", ExplainerBenchmark)
    assert {network.name for network in truth.networks} == {*planted.NETWORKS, "gap"}
    assert {"gap_attribution", "occlusion", "baseline_random"} <= set(truth.figures["gap"])
    assert "gap_attribution" not in truth.figures["both"]
    assert {"baseline_random", "baseline_edges", "baseline_centre", "grad_cam", "kernel_shap"} <= set(truth.figures["both"])
    assert ranked(truth, "both")[0] in text
    assert planted_truth_markdown(truth) in text
    assert (tmp_path / "explainer_benchmark.png").stat().st_size > 10_000
    assert (tmp_path / "explainer_benchmark.csv").read_text().startswith("network,explainer,measure")
