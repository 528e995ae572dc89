"""The whole demo: what the README says of it is what it does. Minutes long, so it is extended."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.extended, pytest.mark.timeout(900)]


def test_explanations_carry_what_soft_labels_do_not(tmp_path):

    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "demo", "--json"],
        cwd=tmp_path,
        env={**os.environ, "MEDKD_ENGINE": "prefect"},
        capture_output=True,
        text=True,
        timeout=880,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    cards = json.loads(done.stdout.splitlines()[-1])["scorecards"]
    alone, kd, fused = (cards[f"cls.{arm}"] for arm in ("alone", "kd", "kd_explanation"))
    assert fused["auc_debiased"] > kd["auc_debiased"] + 0.05 > alone["auc_debiased"]
    assert fused["auc_debiased"] > alone["auc_debiased"] + 0.2
    assert fused["marker_effect"] < 0.03 < kd["marker_effect"] < alone["marker_effect"]
    assert fused["agreement"] > kd["agreement"] + 0.3
    assert fused["auc_same_bias"] < alone["auc_same_bias"]
    assert cards["seg.kd"]["dice"] > cards["seg.alone"]["dice"] + 0.005
    assert cards["cls.teacher"]["marker_effect"] < 0.05


def test_the_first_report_of_the_tutorial_shows_a_lesion_that_the_teacher_sees_too(tmp_path):
    def medkd(*arguments):
        command = [sys.executable, "-m", "flows.cli", *arguments]
        environment = {**os.environ, "MEDKD_ENGINE": "prefect"}
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=880)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    medkd("demo", "--out", "runs/demo")
    medkd("phantom", "--out", "my-dicom", "--studies", "3", "--seed", "21")
    said = medkd(
        "run-study", "my-dicom/study002", "--model", "models:/phantom-segmentation-kd/1", "--run", "runs/demo", "--out", "my-report"
    )
    first = next(line for line in said.splitlines() if line.startswith("lesion 1: "))
    assert "teacher agrees" in first
