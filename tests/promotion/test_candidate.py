"""What a finished run proposes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from data_contracts import CohortSet, Estimate, Registered, RegistryError, Role, Scorecard
from medkd.promotion.candidate import set_candidate
from medkd.promotion.version_records import read_version
from medkd.registry.recipe_result import RecipeResult


def card(arm, role, model, dice):
    figure = Estimate(mean=dice, low=dice, high=dice, n=9)
    return Scorecard(
        subject=f"r/{arm}", role=role, cohort_digest="c" * 64, weights_digests=(model.weights_digest,), seeds=(0,), figures={"dice": figure}
    )


def test_the_best_student_is_proposed_and_no_champion_is_set(registry, make):
    teacher = make(name="r-teacher", role=Role.TEACHER)
    alone, kd = make(name="r-alone", teacher=teacher), make(name="r-kd", teacher=teacher)
    cards = (card("teacher", "teacher", teacher, 0.9), card("alone", "student", alone, 0.6), card("kd", "student", kd, 0.7))
    students = tuple(read_version(registry, model.uri).checkpoint for model in (alone, kd))
    result = RecipeResult(SimpleNamespace(name="r"), CohortSet(uses={}, certificates=()), students=students, scorecards=cards)
    with pytest.raises(RegistryError, match="expected registered models of r"):
        set_candidate(registry, result)
    result = RecipeResult(**{**vars(result), "registered": Registered(models=(teacher, alone, kd))})
    assert set_candidate(registry, result) == kd
    assert (registry.aliases("r-kd"), registry.aliases("r-alone")) == ({"candidate": 1}, {})
