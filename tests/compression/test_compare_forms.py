"""The table of planted forms: one that looks elsewhere is blinder, one that answers the contrary is worse; nothing else is said of them."""

from __future__ import annotations

import pytest

from data_contracts import Candidate, CompressionRecipe, FormRefusal
from medkd.compression.answer_cases import answer_form
from medkd.compression.compare_forms import MeasuredForms, compare_forms
from medkd.compression.time_forms import FormCost
from tests.compression.made import blind, contrary, made, own_form, payload_of, planted

LINEAGE = f"r-kd/1@{'a' * 64}"


@pytest.fixture(scope="module")
def report(workspace, cohorts, student):
    payload = payload_of(workspace, student)
    forms = {
        "torch": own_form(workspace, cohorts, student, "torch"),
        "onnx": own_form(workspace, cohorts, student, "onnx"),
        "blind": planted(workspace, student, "blind", blind(payload, student.task.image_size[-1])),
        "contrary": planted(workspace, student, "contrary", contrary(payload)),
    }
    answers = {name: (answer_form(workspace, form, cohorts, None),) for name, form in forms.items()}
    from data_contracts import Quantisation

    forms["impossible"] = made(workspace, cohorts, student, "impossible", quantise=Quantisation(method="dynamic"))
    costs = {name: FormCost((1.0 if name == "torch" else 0.5,) * 3, 0.5, 100.0) for name in answers}
    measured = MeasuredForms(
        {name: (form,) for name, form in forms.items()},
        answers,
        costs,
        "a processor",
        {"unprunable": FormRefusal(code="NOT_PRUNABLE", why="PReLU")},
    )
    recipe = CompressionRecipe(name="r", recipe="r", model="models:/r-kd/1", candidates={"blind": Candidate()})
    return compare_forms(workspace, recipe, LINEAGE, cohorts, measured)


def codes(report, name):
    return {refusal.code for refusal in next(one for one in report.forms if one.name == name).refusals}


def test_a_form_whose_maps_lie_elsewhere_is_blinder_and_nothing_else(report):
    assert codes(report, "blind") == {"FORM_BLINDER"}


def test_a_form_that_answers_the_contrary_is_worse(report):
    assert "FORM_WORSE" in codes(report, "contrary")


def test_the_version_by_another_runtime_passes_with_the_version_s_own_figures(report):
    own, other = (next(one for one in report.forms if one.name == name) for name in ("torch", "onnx"))
    assert codes(report, "onnx") == set()
    assert other.task.mean == pytest.approx(own.task.mean, abs=1e-3)
    assert other.map_rank_correlation.mean == pytest.approx(1.0, abs=1e-3)
    assert (other.speed.mean, other.speed_same_runtime.mean) == (2.0, 1.0)
    assert own.task_difference is None
    assert own.map_rank_correlation is None
    assert report.forms[0].name == "torch"


def test_what_could_not_be_made_is_named_with_the_reason(report):
    assert {name: why.code for name, why in report.failed.items()} == {"unprunable": "NOT_PRUNABLE", "impossible": "NOT_QUANTISABLE"}


def test_the_same_forms_give_the_same_table(report):
    assert report == type(report).model_validate_json(report.model_dump_json())
    assert report.task_figure == "auc"
