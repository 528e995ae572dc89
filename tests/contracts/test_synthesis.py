from __future__ import annotations

import pytest
from pydantic import ValidationError

from data_contracts import Subset, SynthesisConfig
from tests.flows.recording import golden_recipe


def test_pictures_are_asked_for_by_the_arms_alone():
    recipe = golden_recipe()
    assert recipe.synthesis() is None
    arms = {"kd": recipe.arms["kd"], "free": recipe.arms["kd"].model_copy(update={"cases": "synthesised"})}
    spec = recipe.model_copy(update={"arms": arms}).synthesis()
    assert spec is not None
    assert (spec.kinds, spec.seeds, spec.config) == (("synthesised",), recipe.seeds, SynthesisConfig())


def test_recipes_of_before_keep_their_bytes():
    assert b"synthesis" not in golden_recipe().canonical_json()
    assert b'"cases":"real"' not in golden_recipe().canonical_json()


@pytest.mark.parametrize("field", [{"cases": 2}, {"steps": -1}, {"learning_rate": 0}, {"shift": -1}])
def test_settings_that_make_no_pictures_are_refused(field):
    with pytest.raises(ValidationError, match=next(iter(field))):
        SynthesisConfig(**field)


def test_a_student_is_trained_on_the_subset_of_its_cases():
    assert [Subset.learnt_from(kind, 2) for kind in ("real", "synthesised", "noise")] == ["student_train/2", "synthesised/2", "noise/2"]
