"""A verdict as people read it."""

from __future__ import annotations

import pytest

from data_contracts import PromotionVerdict
from medkd.promotion.check_promotion import check_promotion
from medkd.promotion.verdict_text import refusal, verdict_markdown, verdict_table
from tests.promotion.promoters import POLICY


def test_every_check_is_a_row_with_both_figures_and_what_refuses_stands_out(registry, make):
    registry.set_alias("r-kd", "champion", make(mark="old", evidence=0.6).version)
    verdict = check_promotion(registry, make(mark="new", evidence=0.3).uri, POLICY)
    text = verdict_markdown(verdict)
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(verdict.checks)
    assert sum("**fails**" in row for row in rows) == 1
    (row,) = [row for row in rows if row.startswith("| evidence | relevance_mass_accuracy |")]
    assert "| 0.3 | 0.6 | -0.300 [-0.300, -0.300] | -0.05 |" in row
    assert "calibration: expected calibration error" in verdict_table(verdict)
    assert verdict.id in refusal(verdict)


def test_a_verdict_cannot_say_passed_where_a_check_refuses(registry, make):
    verdict = check_promotion(registry, make(dice=0.2).uri, POLICY)
    with pytest.raises(ValueError, match="expected passed to be what the checks say"):
        PromotionVerdict(**{**verdict.model_dump(), "passed": True})
