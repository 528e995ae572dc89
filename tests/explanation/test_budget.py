"""Within a time the closed form comes first, the cheap before the dear, and what does not fit is named with its figures."""

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import Entry, ExplanationRequest
from medkd.explanation.artefact import keep, replay
from medkd.explanation.budget import CLOSED_FORM, LEFT_OUT, Budget, left_out_caveats, passes_of
from medkd.explanation.defaults import within_seconds
from medkd.explanation.explain_study import StudyImages, explain_study

BOX = np.s_[12:16, 4:8, 18:22]
STEPS = Entry(name="integrated_gradients", options={"steps": 16})


@pytest.mark.parametrize(
    ("entry", "passes"), [(Entry(name="cam"), 1), (Entry(name="saliency"), 3), (STEPS, 48), (Entry(name="occlusion"), 64)]
)
def test_what_a_map_costs(entry, passes):
    assert passes_of(entry) == passes


def test_the_closed_form_comes_first_and_the_cheap_before_the_dear():
    budget = Budget()
    asked = (STEPS, Entry(name="saliency"))
    assert [one.name for one in budget.order(asked)] == ["cam", "saliency", "integrated_gradients"]
    assert [one.name for one in budget.order((STEPS, CLOSED_FORM))] == ["cam", "integrated_gradients"]
    assert [one.name for one in budget.order(asked, closed_form=False)] == ["saliency", "integrated_gradients"]
    assert budget.order(()) == ()


def test_the_first_is_always_asked_and_the_next_where_it_fits():
    budget = Budget()
    assert budget.refuses(CLOSED_FORM, 0.0) is None
    budget.spent(CLOSED_FORM, 0.5)
    assert budget.refuses(Entry(name="saliency"), 1.5) is None
    assert budget.refuses(Entry(name="saliency"), 1.4) == "saliency 1.5/1.4"
    assert budget.refuses(STEPS, -3.0) == "integrated_gradients 24.0/0.0"


def test_what_is_left_out_is_said_once():
    assert left_out_caveats((), 3.0) == ()
    assert left_out_caveats(("a 2.0/1.0",), None) == ()
    (caveat,) = left_out_caveats(("a 2.0/1.0", "b 9.0/1.0"), 3.0)
    assert caveat.code == LEFT_OUT
    assert "3 s" in caveat.text
    assert caveat.text.endswith("a 2.0/1.0, b 9.0/1.0.")


def test_a_study_is_explained_within_its_time_and_again_to_the_bit(loaded, make_volume, tmp_path):
    values, volume = make_volume([BOX])
    request = within_seconds(ExplanationRequest(explainers=(STEPS, Entry(name="saliency"))), 1e-4)
    made = explain_study(StudyImages(values, volume), loaded, request)
    assert {one.method.explainer for one in made.record.maps} == {"cam"}
    (caveat,) = [one for one in made.record.caveats if one.code == LEFT_OUT]
    assert "saliency " in caveat.text
    assert "integrated_gradients " in caveat.text
    assert replay(keep(made, tmp_path / "kept"), values, loaded).same
    whole = explain_study(StudyImages(values, volume), loaded, within_seconds(request, 600.0))
    assert [one.explainer for one in whole.record.sanity_reports] == ["cam", "saliency", "integrated_gradients"]
    assert not [one for one in whole.record.caveats if one.code == LEFT_OUT]


def test_without_a_time_nothing_changes():
    request = ExplanationRequest(explainers=(STEPS,))
    assert within_seconds(request, None) is request
    assert b"cheapest_first" not in request.canonical_json()
