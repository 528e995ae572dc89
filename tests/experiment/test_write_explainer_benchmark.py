from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from data_contracts import Estimate, ExplainerBenchmark, load_record, read_record
from medkd.experiment import write_explainer_benchmark as module
from medkd.experiment.explainer_benchmark import MEASURED
from medkd.experiment.write_explainer_benchmark import _csv, draw_planted_truth, planted_truth_markdown, ranked, write_explainer_benchmark
from medkd.storage.workspace import local_workspace
from tests.registry.memory_registry import MemoryRegistry

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden" / "explainer_benchmark_2.json"


@pytest.fixture
def truth():
    kept = read_record(GOLDEN.read_bytes(), ExplainerBenchmark)
    means = {"saliency": 0.5, "cam": 0.9, "baseline_random": 0.1}
    figures = {name: {"map_auprc": Estimate(mean=mean, low=mean - 0.1, high=mean + 0.1, n=40)} for name, mean in means.items()}
    return kept.model_copy(update={"figures": {"lesion": figures}})


def test_the_best_explainer_is_first_baselines_among_them(truth):
    assert ranked(truth, "lesion") == ["cam", "saliency", "baseline_random"]


def test_a_table_says_what_the_network_uses_and_which_way_is_better(truth, monkeypatch):
    monkeypatch.setattr(module, "BASELINES", ("baseline_random",))
    text = planted_truth_markdown(truth)
    assert text.startswith("**The network that uses the lesion** (accuracy 0.970; its score falls without the lesion 0.5 [0.4, 0.6] logit")
    assert "map_auprc ↑" in text
    assert "share_error ↓" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert rows[0] == "| `cam` | 0.90 [0.80, 1.00] |" + " – |" * (len(MEASURED) - 1)
    assert rows[2].startswith("| *random (baseline)* | 0.10")
    assert "Not shown: `seg_xres_cam` explains segmentations only." in text


def test_what_two_networks_part_in_has_words_of_its_own(truth):
    (network,) = truth.networks
    gap = truth.model_copy(update={"networks": (network.model_copy(update={"name": "gap"}),), "figures": {"gap": truth.figures["lesion"]}})
    assert "What the network of both has over the network of the lesion" in planted_truth_markdown(gap)


def test_a_row_of_the_table_is_a_measure_of_an_explainer(truth):
    rows = list(csv.DictReader(io.StringIO(_csv(truth))))
    assert [row["explainer"] for row in rows] == ["saliency", "cam", "baseline_random"]
    assert (rows[1]["network"], rows[1]["measure"], rows[1]["mean"]) == ("lesion", "map_auprc", "0.9")


def test_everything_is_written_and_shown_in_the_tracking_server(truth, tmp_path, monkeypatch):
    registry = MemoryRegistry()
    monkeypatch.setattr(module, "open_registry", lambda _: registry)
    write_explainer_benchmark(local_workspace(tmp_path / "run"), truth)
    assert load_record(tmp_path / "run" / "explainer_benchmark.json", ExplainerBenchmark) == truth
    picture = (tmp_path / "run" / "explainer_benchmark.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert picture == draw_planted_truth(truth)
    parent, arms = registry.experiments[truth.digest()]
    assert parent.params == {"cases": "40", "seed": "0"}
    assert [arm.name for arm in arms] == ["lesion/saliency", "lesion/cam", "lesion/baseline_random"]
    assert arms[1].metrics == {"map_auprc": 0.9}
