"""The command: what it refuses before anything is trained; and, extended, the whole loop with a log on disk."""

from __future__ import annotations

import json

import pytest

from data_contracts import Feedback, load_record
from flows.demo import RECIPES
from medkd.feedback.log import FeedbackLog
from tests.flows.recording import GOLDEN

RECIPE = RECIPES / "phantom-classification.yaml"


@pytest.fixture
def asked(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDKD_WORKERS", "0")
    return lambda *more: here("redistill", RECIPE, "--engine", "none", "--out", tmp_path / "run", *more)


def test_a_log_that_is_not_there_an_arm_that_is_none_and_feedback_without_reports_are_refused(asked, tmp_path):
    assert asked("--feedback", tmp_path / "nowhere")[0::2][0] == 2
    FeedbackLog(tmp_path / "log").append(load_record(GOLDEN / "feedback_2.json", Feedback))
    for more, code in (
        (("--feedback", tmp_path / "nowhere"), "SOURCE_MISSING"),
        (("--feedback", tmp_path / "log", "--arm", "nobody"), "RECIPE_ARM"),
        (("--feedback", tmp_path / "log", "--reports", tmp_path / "nowhere"), "SOURCE_MISSING"),
        (("--feedback", tmp_path / "log"), "FEEDBACK_TEACHES_NOTHING"),
        (("--feedback", tmp_path), "FEEDBACK_EMPTY"),
    ):
        status, _, said = asked(*more)
        assert status == 2
        assert said.strip().splitlines()[-1].startswith(f"{code}: expected "), said
    assert not list((tmp_path / "run").rglob("*.safetensors"))


def test_an_altered_log_is_refused_by_its_entry(asked, tmp_path):
    log = FeedbackLog(tmp_path / "log")
    log.append(load_record(GOLDEN / "feedback_2.json", Feedback))
    lines = tmp_path / "log" / "feedback.jsonl"
    lines.write_bytes(lines.read_bytes().replace(b'"seconds_on_page":', b'"seconds_on_page": ', 1))
    status, _, said = asked("--feedback", tmp_path / "log")
    assert status == 2
    assert "FEEDBACK_LOG_ALTERED: expected " in said


@pytest.mark.extended
def test_the_whole_loop_ends_in_figures_and_a_verdict(asked, tmp_path):
    from medkd.cohorts.open_cohort import open_pictures
    from medkd.cohorts.prepare import prepare_cohorts
    from medkd.dicom.confidentiality.secret import site_secret
    from medkd.storage.workspace import local_workspace
    from medkd.training.recipes import read_recipe
    from tests.feedback.simulated_readers import feedback_on, report_of
    from tests.shared_fixtures import SMALL

    small = [part for field, value in SMALL.items() for part in ("--set", f"{field}={json.dumps(value)}")]
    workspace, recipe = local_workspace(tmp_path / "drawn"), read_recipe(RECIPE, SMALL)
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), "")
    cohort = open_pictures(cohorts, "student_train/0", workspace.store, recipe.task)
    log = FeedbackLog(tmp_path / "log")
    for row, case in enumerate(cohort.cases[:24]):
        report = report_of(case.case_key, case.patient_key, tuple(cohort.images.shape[2:]))
        folder = tmp_path / "reports" / case.case_key
        folder.mkdir(parents=True)
        report.write(folder / "report.json")
        log.append(feedback_on(report, row, cohort.masks[row : row + 1].numpy() == 0))
    assert site_secret()
    status, said, errors = asked(
        "--feedback", tmp_path / "log", "--reports", tmp_path / "reports", "--arm", "kd_explanation", "--json", *small
    )
    assert status == 0, errors
    summary = json.loads(said.strip().splitlines()[-1])
    assert summary["studies"]["train"] + summary["studies"]["eval"] == 24
    assert set(summary["students"]) == {"before", "control", "after"}
    assert summary["passed"] == (summary["candidate"] is not None)
    assert json.loads((tmp_path / "run" / "redistill.json").read_text()) == summary
