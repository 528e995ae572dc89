from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from data_contracts import Estimate, GateFinding, Scoreboard, load_record, read_record
from medkd.experiment.write_scoreboard import logged_arm, scoreboard_csv, scoreboard_markdown, scoreboard_text, write_scoreboard
from medkd.storage.workspace import local_workspace
from tests.registry.memory_registry import MemoryRegistry

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden" / "scoreboard_2.json"


@pytest.fixture
def board():
    kept = read_record(GOLDEN.read_bytes(), Scoreboard)
    figures = {**kept.arms["kd"], "parameters": Estimate(mean=12345, low=12345, high=12345, n=2)}
    return kept.model_copy(update={"arms": {"alone": kept.arms["kd"], "kd": figures, "kd@plateau": figures}})


def test_everything_is_written_and_shown_in_the_tracking_server(board, tmp_path):
    workspace, registry = local_workspace(tmp_path / "run"), MemoryRegistry()
    write_scoreboard(workspace, board, registry)
    assert load_record(tmp_path / "run" / "scoreboard.json", Scoreboard) == board
    assert {path.suffix for path in (tmp_path / "run").glob("scoreboard.*")} == {".json", ".md", ".csv", ".png"}
    parent, arms = registry.experiments[board.digest()]
    assert (parent.name, parent.params["harmful"]) == ("experiment shortcut", "hints")
    assert [arm.name for arm in arms] == ["shortcut/alone", "shortcut/kd", "shortcut/kd@plateau"]


def test_an_arm_is_logged_with_bounds_what_was_chosen_and_its_curve_where_it_is_one_of_a_curve(board):
    plain, late = logged_arm(board, "kd"), logged_arm(board, "kd@plateau")
    assert (plain.metrics["auc_debiased"], plain.metrics["auc_debiased_low"], plain.metrics["auc_debiased_high"]) == (0.75, 0.5, 0.875)
    assert plain.params == late.params == {"terms.1.weight": "3.0"}
    assert plain.history == ()
    assert late.history == ({"epoch": 2, "task": 0.75, "agreement": 0.5, "oracle": 0.625},)
    assert logged_arm(board, "alone").params == {}


def test_verdicts_are_sentences(board):
    text = scoreboard_text(board)
    assert "shortcut: primary figure auc_debiased, seeds 0, 1" in text
    assert "harmful: hints (interval of auc_debiased minus alone below zero)" in text
    assert "control shuffled helps, but less than the teacher's explanations in kd_explanation" in text
    assert "null repetitions: 1 of alone, none flagged as harmful" in text
    assert "teacher of base: passes its gate" in text
    assert "rounds weighted by the gap: gap 1.50 (round 0 kept; all 1 rounds made)" in text


@pytest.mark.parametrize(
    ("helps_as_much", "low", "said"),
    [(True, 0.1, "HELPS AS MUCH as"), (False, 0.1, "helps, but less than"), (False, -0.1, "does not help as")],
)
def test_a_control_helps_as_much_less_or_not(board, helps_as_much, low, said):
    (verdict,) = board.controls
    changed = verdict.model_copy(update={"helps_as_much": helps_as_much, "gain": verdict.gain.model_copy(update={"low": low})})
    assert f"control shuffled {said} the teacher's explanations" in scoreboard_text(board.model_copy(update={"controls": (changed,)}))


def test_a_teacher_that_fails_its_gate_is_said_with_what_was_measured(board):
    finding = GateFinding(requirement="min_auc", measured=0.512, bound=0.7, holds=False)
    gate = board.gates["base"].model_copy(update={"findings": (finding,)})
    assert "fails its gate before anybody copies it: min_auc 0.7 (measured 0.512)" in scoreboard_text(
        board.model_copy(update={"gates": {"base": gate}})
    )


def test_what_a_gate_could_not_measure_is_said(board):
    why = {"max_marker_effect": "the data has no marker pairs"}
    gate = board.gates["base"].model_copy(update={"findings": (), "not_measured": why})
    said = "passes its gate; max_marker_effect not measured: the data has no marker pairs"
    assert said in scoreboard_text(board.model_copy(update={"gates": {"base": gate}}))


def test_the_page_holds_verdicts_tables_and_what_was_searched(board):
    page = scoreboard_markdown(board)
    assert page.startswith("# shortcut\n")
    assert "| kd | 0.750 [0.500, 0.875] |" in page
    assert "| kd | 12,345 |" in page
    assert "| kd | terms.1.weight=3.0 | 0.750 | 0.500 |  | 0.625 | chosen by agreement, by task, by oracle |" in page
    assert "- `@wrong`: w" in page


def test_a_row_of_the_table_is_a_figure_of_an_arm(board):
    rows = list(csv.DictReader(io.StringIO(scoreboard_csv(board))))
    assert len(rows) == 5
    assert rows[0] == {
        "arm": "alone",
        "figure": "auc_debiased",
        "mean": "0.75",
        "low": "0.5",
        "high": "0.875",
        "n": "600",
        "missing": "0",
        "unit": "",
    }
