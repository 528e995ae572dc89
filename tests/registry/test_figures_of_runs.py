"""What a recipe's run shows: every seed its own figures, an arm its mean and interval, each metric its unit and direction."""

from __future__ import annotations

import io
from types import SimpleNamespace

from PIL import Image

from data_contracts import Estimate, Scorecard
from medkd.registry.draw_scorecards import draw_scorecards
from medkd.registry.metric_notes import experiment_note, metric_note
from medkd.registry.recipe_run import flattened, source_tags
from medkd.registry.recipe_summary import arm_metrics, scorecards_html, seed_figures
from medkd.storage.workspace import run_folder_id

CARD = Scorecard(
    subject="r/kd", role="student", cohort_digest="c", weights_digests=("1" * 64, "2" * 64), seeds=(4, 7),
    figures={"auc": Estimate(mean=0.75, low=0.7, high=0.8, n=9), "hausdorff_95_lesion": Estimate(mean=5.0, low=4.0, high=6.0, n=9)},
    per_seed={"auc": (0.7, 0.8), "hausdorff_95_lesion": (5.0, None)},
)  # fmt: skip


def test_a_seed_has_its_own_figures_and_none_where_they_are_undefined():
    assert seed_figures(CARD, 4) == {"auc": 0.7, "hausdorff_95_lesion": 5.0}
    assert seed_figures(CARD, 7) == {"auc": 0.8}


def test_an_arm_has_mean_and_interval():
    assert arm_metrics([CARD]) | {"kd/auc": 0.75, "kd/auc_low": 0.7, "kd/auc_high": 0.8} == arm_metrics([CARD])


def test_unit_and_direction_follow_from_the_measure_that_a_figure_begins_with():
    assert (metric_note("hausdorff_95_lesion").unit, metric_note("hausdorff_95_lesion").direction) == ("mm", "lower is better")
    assert metric_note("auc_debiased").higher_is_better is True
    assert metric_note("ece").higher_is_better is False
    assert metric_note("train_seconds").unit == "s"
    assert metric_note("nobody_knows") is None
    assert "| `hausdorff_95_lesion` | mm | lower is better |" in experiment_note(SimpleNamespace(description="x"), [CARD])


def test_table_and_picture_are_of_the_same_figures():
    page = scorecards_html("r<script>", [CARD])
    assert "<script>" not in page
    assert "0.750" in page
    assert "higher is better" in page
    assert Image.open(io.BytesIO(draw_scorecards("r", [CARD]))).width > 600


def test_a_configuration_becomes_parameters_by_dotted_place():
    terms = {"fit": {"epochs": 5, "strong": None}, "terms": [{"loss": "kd", "options": {"t": 4.0}}], "sizes": [8, 16], "e": {}}
    assert flattened(terms) == {
        "fit.epochs": "5", "fit.strong": "null", "terms.0.loss": "kd", "terms.0.options.t": "4.0", "sizes": "[8, 16]",
    }  # fmt: skip


def test_a_folder_keeps_its_name_and_the_source_is_named_without_places(tmp_path):
    assert run_folder_id(tmp_path) == run_folder_id(tmp_path)
    assert source_tags()["mlflow.source.name"].startswith("medkd ")
    assert not any("/" in value for value in source_tags().values())
