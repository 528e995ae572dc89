"""Three students side by side: which is which, on which studies, and that the gate sees those that judge alone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from data_contracts import AttentionValues, Comparison, Estimate, FeedbackDirectives, Scorecard, load_record
from medkd.feedback import compare_students as module
from medkd.feedback.compare_students import compare_students
from medkd.registry.recipe_result import RecipeResult
from tests.flows.recording import GOLDEN, golden_recipe

DIRECTIVES = load_record(GOLDEN / "feedback_directives_1.json", FeedbackDirectives)
CARD = load_record(GOLDEN / "scorecard_1.json", Scorecard)
#: Share inside the label and on forbidden voxels of each student's maps, on studies that teach and on those that judge.
SHARES = {"before": ((0.2, 0.6), (0.3, 0.5)), "control": ((0.25, 0.6), (0.3, 0.4)), "after": ((0.9, 0.0), (0.5, 0.1))}


@pytest.fixture
def students(monkeypatch):
    """Return results of three students whose maps and tests are as directed; stages that would ask networks answer from that."""
    recipe = golden_recipe("r")

    def result(name):
        models = tuple(SimpleNamespace(weights_digest=letter * 64, seed=seed, of=name) for seed, letter in enumerate("ab"))
        return RecipeResult(
            recipe, name, teacher=SimpleNamespace(of="teacher"), students=models, scorecards=(CARD.model_copy(update={"subject": "r/kd"}),)
        )

    def attention(_, model, _cohorts, directed, explainer):
        assert (directed, explainer) == (DIRECTIVES, "cam")
        (teaching, judging), cases = SHARES[model.of], tuple(f"c{n}" for n in range(12))
        columns = [(teaching if n < 6 else judging) for n in range(12)]
        return AttentionValues(
            weights_digest=model.weights_digest, seed=model.seed, explainer=explainer, case_keys=cases, patient_keys=cases,
            parts=("train",) * 6 + ("eval",) * 6, inside=tuple(one[0] for one in columns), outside=tuple(one[1] for one in columns),
        )  # fmt: skip

    def compare(_, cohorts, arm, baseline):
        assert cohorts == "after"
        return Comparison(arm=arm[0], baseline=baseline[0], figures={"auc": Estimate(mean=0.0, low=-0.004, high=0.01, n=9)})

    monkeypatch.setattr(module, "measure_attention", attention)
    monkeypatch.setattr(module, "compare_arms", compare)
    monkeypatch.setattr(module, "evaluate_model", lambda _, __, ___, model, teacher: f"{model.of} beside {teacher.of}")
    monkeypatch.setattr(module, "explainer_in", lambda _: "cam")
    return {name: result(name) for name in SHARES}


def test_the_student_after_is_compared_with_each_other_on_the_studies_that_judge(students):
    found = compare_students("workspace", students, DIRECTIVES)
    assert (found.recipe, found.arm, found.directives) == ("r", "kd", DIRECTIVES.digest())
    assert found.differences["before"]["inside"].mean == pytest.approx(0.2)
    assert found.differences["control"]["outside"].mean == pytest.approx(-0.3)
    assert found.verdict.passed
    attention = found.students["after"].attention
    assert {part: one.studies for part, one in attention.items()} == {"train": 6, "eval": 6, "all": 12}
    assert attention["train"].inside.mean == pytest.approx(0.9)
    assert attention["all"].outside.mean == pytest.approx(0.05)
    assert found.students["before"].weights_digests == ("a" * 64, "b" * 64)


def test_maps_that_are_better_only_on_studies_that_taught_are_refused(students, monkeypatch):
    monkeypatch.setitem(SHARES, "after", (SHARES["after"][0], SHARES["before"][1]))
    verdict = compare_students("workspace", students, DIRECTIVES).verdict
    assert not verdict.passed
    assert all("share" in one.requirement for one in verdict.findings if not one.holds)
