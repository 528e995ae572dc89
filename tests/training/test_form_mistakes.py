from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from data_contracts import PhantomData, TaskKind
from medkd.training.form_mistakes import MOST_SHOWN, form_mistakes, readable_parts

GOLDEN = json.loads((Path(__file__).parents[1] / "contracts" / "golden" / "recipe_3.json").read_text())


def changed(dotted, value):
    """Return the golden recipe with a field set, or taken out by ``...``."""
    payload = copy.deepcopy(GOLDEN)
    *parents, last = dotted.split(".")
    place = payload
    for parent in parents:
        place = place[int(parent)] if isinstance(place, list) else place[parent]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return payload


def said(payload):
    return {mistake.field: str(mistake.error) for mistake in form_mistakes(payload)}


def test_a_recipe_has_no_mistake_of_form():
    assert said(GOLDEN) == {}


@pytest.mark.parametrize(
    ("field", "value", "where", "sentence"),
    [
        ("task", ..., "task", "expected the field 'task', it is not there"),
        ("task.classs", 1, "task.classs", "got 'classs'; did you mean 'classes'?"),
        ("task.kind", "segmentatoin", "task.kind", "did you mean 'segmentation'?"),
        ("data.kind", "dcm", "data", "expected 'phantom', 'image_folder', 'volume_folder', 'dicom', got 'dcm'"),
        ("data.kind", ..., "data", "expected the field 'kind', it is not there in"),
        ("student.fit.epochs", 0, "student.fit.epochs", "expected a number greater than or equal to 1, got 0"),
        ("student.fit.learning_rate", "fast", "student.fit.learning_rate", "as a number, got 'fast'"),
        ("arms.kd.terms", [], "arms.kd.terms", "expected a tuple to have at least 1 item"),
        ("arms.kd.terms.0.loss", 3, "arms.kd.terms.0.loss", "expected a valid string, got 3"),
        ("task.image_size", [1], "task.image_size", "got [1]"),
        ("name", "A", "name", "expected a string to match pattern"),
    ],
)
def test_each_mistake_says_where_what_was_expected_and_what_came(field, value, where, sentence):
    found = said(changed(field, value))
    assert [name for name in found if name == where or name.startswith(f"{where}.")]
    assert any(sentence in text for text in found.values()), found


def test_a_value_that_may_have_several_forms_is_one_mistake():
    found = said(changed("arms.kd.terms.0.feature_layers", 7))
    assert [field for field in found if field.startswith("arms.kd.terms.0")] == ["arms.kd.terms.0.feature_layers"]
    assert " or " in found["arms.kd.terms.0.feature_layers"]


def test_a_policy_that_is_not_allowed_hides_no_other_mistake():
    payload = changed("student.fit.epochs", 0)
    payload["data"] = {"kind": "dicom", "path": "p", "policy": {"actions": {"TOO_FEW_SLICES": "repair"}}}
    assert set(said(payload)) == {"data.policy", "student.fit.epochs"}


def test_a_long_value_is_cut():
    text = said(changed("student.fit.learning_rate", "x" * 999))["student.fit.learning_rate"]
    assert len(text) < MOST_SHOWN + 80
    assert text.endswith("…")


def test_what_is_no_mapping_is_one_mistake():
    assert len(said([1])) == 1


def test_what_can_be_read_of_a_broken_recipe_is_read():
    payload = changed("data.student", "many")
    payload["data"]["difficulty"] = 2.0
    data, task = readable_parts(payload)
    assert data is None
    assert task.kind is TaskKind.CLASSIFICATION
    payload["data"]["teacher_validation"], payload["data"]["student"] = "many", 8
    data, _ = readable_parts(payload, list(form_mistakes(payload)))
    assert isinstance(data, PhantomData)
    assert (data.difficulty, data.teacher_validation) == (2.0, 400)
    assert readable_parts("text") == (None, None)
