from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import Arm, AttributionSource, LossTerm, Recipe, read_record

GOLDEN = Path(__file__).parent / "golden" / "recipe_3.json"


def test_an_arm_asks_the_teacher_itself_unless_it_says_otherwise():
    arm = Arm(terms=(LossTerm(loss="logit_kd"),))
    assert (arm.attribution_source, arm.knowledge, arm.init, arm.unlabelled) == (AttributionSource.TEACHER, "live", "random", False)
    with pytest.raises(ValueError, match="at least 1 item"):
        Arm(terms=())


def test_trainings_that_differ_in_their_seed_alone_are_siblings():
    recipe = read_record(GOLDEN.read_bytes(), Recipe)
    first, second = (recipe.student_training("kd", seed) for seed in (0, 1))
    assert first.sibling_key() == second.sibling_key()
    assert first.digest() != second.digest()
    assert recipe.teacher_training().sibling_key() != first.sibling_key()
