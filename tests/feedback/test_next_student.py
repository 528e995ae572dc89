from __future__ import annotations

import pytest

from data_contracts import Arm, LossTerm, RecipeError
from medkd.feedback.next_student import explainer_in, require_arm


def test_maps_are_made_by_the_explainer_that_the_arm_copies_and_by_class_maps_where_it_copies_none():
    assert explainer_in(Arm(terms=(LossTerm(loss="cross_entropy"),))) == "cam"
    copied = LossTerm(loss="attribution_transfer", options={"explainer": "saliency"})
    assert explainer_in(Arm(terms=(LossTerm(loss="logit_kd"), copied))) == "saliency"


def test_one_arm_is_distilled_again_the_last_where_none_is_named(recipe):
    assert list(require_arm(recipe, "alone").arms) == ["alone"]
    assert list(require_arm(recipe, None).arms) == [list(recipe.arms)[-1]]
    with pytest.raises(RecipeError, match="got 'nobody'") as caught:
        require_arm(recipe, "nobody")
    assert caught.value.code == "RECIPE_ARM"


def test_blended_images_are_refused(recipe):
    fit = recipe.student.fit.model_copy(update={"mix": "mixup"})
    mixed = recipe.model_copy(update={"student": recipe.student.model_copy(update={"fit": fit})})
    with pytest.raises(RecipeError, match="mixup") as caught:
        require_arm(mixed, None)
    assert caught.value.code == "RECIPE_NEEDS"
