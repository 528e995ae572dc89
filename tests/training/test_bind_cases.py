"""Networks that nothing can be made from, and tasks whose pictures would have no truth, are refused before a teacher is trained."""

from __future__ import annotations

import pytest

from data_contracts import MedkdError
from medkd.training.recipes import vary_recipe

FREE = {"arms": {"free": {"terms": [{"loss": "logit_kd"}], "cases": "synthesised"}}, "experiment": None, "explain.explainers": []}


def test_a_teacher_without_running_statistics_is_named(recipe):
    network = {"builder": "vit", "options": {}}
    with pytest.raises(MedkdError, match=r"running statistics of batch normalisation .* vit keeps none") as caught:
        vary_recipe(recipe, FREE | {"teacher.network": network, "teacher.terms": [{"loss": "cross_entropy"}]})
    assert caught.value.code == "STATISTICS_MISSING"
    # Its control asks nothing of the teacher's build.
    noise = {"arms": {"free": {"terms": [{"loss": "logit_kd"}], "cases": "noise"}}}
    vary_recipe(recipe, FREE | noise | {"teacher.network": network, "teacher.terms": [{"loss": "cross_entropy"}]})


@pytest.mark.parametrize(
    "changes",
    [
        {"student.hidden_classes": ["malignant"], "student.network.options.channels": [4, 4, 4, 4]},
        {"task.channels": ["enhanced", "plain"], "teacher.inputs": ["enhanced"], "student.inputs": ["plain"]},
    ],
)
def test_a_student_that_sees_something_else_is_refused(recipe, changes):
    with pytest.raises(MedkdError, match="sees what its teacher sees") as caught:
        vary_recipe(recipe, FREE | changes)
    assert caught.value.code == "RECIPE_NEEDS"


def test_a_segmentation_is_refused_with_the_reason(recipe):
    unet = {"builder": "unet", "options": {"channels": [4, 8, 8]}}
    changes = {"task.kind": "segmentation", "task.classes": ["background", "lesion"], "teacher.network": unet, "student.network": unet}
    changes |= {"teacher.terms": [{"loss": "cross_entropy"}], "explain": {"explainers": [], "measures": []}}
    with pytest.raises(MedkdError, match="a synthesised outline has no truth to follow") as caught:
        vary_recipe(recipe, FREE | changes)
    assert caught.value.code == "RECIPE_NEEDS"
