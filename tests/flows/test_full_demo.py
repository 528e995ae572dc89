"""The whole demo: what the README says of it is what it does. Minutes long, so it is extended."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.extended, pytest.mark.timeout(900)]


def test_explanations_carry_what_soft_labels_do_not(tmp_path):

    done = subprocess.run([sys.executable, "-m", "flows.cli", "demo", "--json"], cwd=tmp_path, capture_output=True, text=True, timeout=880)
    assert done.returncode == 0, done.stderr[-2000:]
    cards = json.loads(done.stdout.splitlines()[-1])["scorecards"]
    alone, kd, fused = (cards[f"cls.{arm}"] for arm in ("alone", "kd", "kd_explanation"))
    assert fused["auc_debiased"] > kd["auc_debiased"] + 0.05 > alone["auc_debiased"]
    assert fused["marker_effect"] < 0.1 < kd["marker_effect"] < alone["marker_effect"]
    assert fused["agreement"] > kd["agreement"] + 0.3
    assert fused["auc_same_bias"] < alone["auc_same_bias"]
    assert cards["seg.kd"]["dice"] > cards["seg.alone"]["dice"] + 0.02
    assert cards["cls.teacher"]["marker_effect"] < 0.05
