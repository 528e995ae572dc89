"""A network with two heads from batch to scorecard: each term reads its head, both are taught, judged, explained and registered as one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import flows
from data_contracts import Arm, AttributionSource, LossBalancing, LossTerm, NetworkSpec
from medkd.cohorts.prepare import prepare_cohorts
from medkd.distillation.cross_entropy import cross_entropy
from medkd.evaluation.case_results import collect_case_results
from medkd.evaluation.evaluate import evaluate_model, summarise
from medkd.evaluation.gate_teacher import judge_teacher
from medkd.explanation.explain_cohort import explain_cohort
from medkd.knowledge.interface import LiveKnowledge, knowledge_of_head
from medkd.models._build import build_network
from medkd.models._heads import head_view
from medkd.models._load import load_network
from medkd.recipe_calls.evaluation_calls import (
    by_arm,
    card_calls,
    case_teacher,
    evaluation_calls,
    explanation_calls,
    loss_calls,
    results_calls,
)
from medkd.recipe_calls.training_calls import further_teacher_calls, gate_call, student_calls, teachers_of
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import local_workspace
from medkd.trace import Sample, trace
from medkd.training.balance import LossBalancer
from medkd.training.objective import Objective
from medkd.training.recipes import read_recipe
from medkd.training.train import distill, setup_training, student_cohort, train_teacher
from medkd.training.training_run import TrainingRun

SMALL = {
    "data.teacher": 16, "data.teacher_validation": 8, "data.student": 8, "data.unlabelled": 8, "data.test": 16, "seeds": [0],
    "teacher.network.options.channels": [4, 6], "student.network.options.channels": [4, 4], "teacher.fit.epochs": 1,
    "student.fit.epochs": 1, "student.fit.samples_per_epoch": 16, "teacher.gate.enforce": False, "explain.cases": 2,
}  # fmt: skip
#: Terms of both heads, with and without a teacher.
BOTH = (LossTerm(loss="cross_entropy"), LossTerm(loss="cross_entropy", head="classification"))
TAUGHT = (*BOTH, LossTerm(loss="logit_kd", head="classification"), LossTerm(loss="attribution_transfer", head="classification"))


@pytest.fixture(scope="module")
def networks():
    spec = NetworkSpec(builder="multi_task_unet", options={"channels": (4, 6, 8)})
    return build_network(spec, seed=0).eval(), build_network(spec, seed=1).eval()


@pytest.fixture(scope="module")
def sample():
    image = torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    masks = (image[:, 0] > 1).to(torch.uint8)
    return Sample(inputs={"image": image}, labels=masks.long(), masks=masks, case_labels=torch.tensor([0, 1, 1, -1]))


def test_a_term_reads_the_answers_and_labels_of_its_head(networks, sample):
    student, teacher = networks
    kept = trace(student, sample.inputs, layers=("features", "bottleneck"))
    values = {
        term.label: float(value) for term, _, value in Objective(TAUGHT).evaluate(kept, LiveKnowledge(teacher, sample.inputs), sample)
    }
    view, cases = head_view(student, "classification"), replace(sample, labels=sample.case_labels)
    alone = trace(view, sample.inputs, layers=("network.bottleneck",))
    assert values["cross_entropy_2"] == pytest.approx(float(cross_entropy(alone, None, cases)), rel=1e-5)
    assert values["cross_entropy"] != pytest.approx(values["cross_entropy_2"], rel=1e-3)
    wanted = LiveKnowledge(head_view(teacher, "classification").eval(), sample.inputs)
    by_view = {
        term.label: float(value)
        for term, _, value in Objective(tuple(t.model_copy(update={"head": None}) for t in TAUGHT[2:])).evaluate(
            alone, wanted, replace(cases, valid_mask=None)
        )
    }
    assert values["logit_kd"] == pytest.approx(by_view["logit_kd"], rel=1e-4)
    assert values["attribution_transfer"] == pytest.approx(by_view["attribution_transfer"], rel=1e-4)


def test_a_control_replaces_the_maps_of_a_head_and_never_its_answers(networks, sample):
    from data_contracts import AttributionSource
    from medkd.knowledge.control import ControlledKnowledge
    from medkd.targets import class_margin

    _, teacher = networks
    plain = LiveKnowledge(teacher, sample.inputs)
    control = knowledge_of_head(ControlledKnowledge(plain, AttributionSource.ANOTHER_PATIENT, sample), "classification")
    own = knowledge_of_head(plain, "classification")
    torch.testing.assert_close(control.logits(), own.logits())
    assert not torch.allclose(control.attribution("cam", class_margin(1)), own.attribution("cam", class_margin(1)))


def test_learnt_variances_divide_the_tasks_and_their_logarithms_are_added(networks, sample):
    student, _ = networks
    objective = Objective(BOTH)
    balancer = LossBalancer(LossBalancing(uncertainty=True), objective)
    with torch.no_grad():
        balancer.log_variances.copy_(torch.tensor([0.5, -1.0]))
    terms = list(objective.evaluate(trace(student, sample.inputs, layers=("bottleneck",)), None, sample))
    divided = balancer.divided(terms)
    for (_, _, before), (_, _, after), log_variance in zip(terms, divided, (0.5, -1.0), strict=True):
        assert float(after) == pytest.approx(float(before) * torch.tensor(-log_variance).exp().item() + log_variance, rel=1e-5)
    sum(value for _, _, value in divided).backward()
    assert bool((balancer.log_variances.grad != 0).all())
    assert [value for _, _, value in LossBalancer(LossBalancing(norms=True), objective).divided(terms)] == [value for _, _, value in terms]


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Return a small run and its workspace: the teacher and two arms."""
    recipe = read_recipe(Path(flows.__file__).parent / "recipes" / "multi_task.yaml", SMALL)
    recipe = recipe.model_copy(update={"arms": {arm: recipe.arms[arm] for arm in ("kd_explanation", "kd_uncertainty")}})
    workspace = local_workspace(tmp_path_factory.mktemp("two_heads"))
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), "")
    trained = RecipeResult(recipe, cohorts, teacher=train_teacher(workspace, recipe.teacher_training(), cohorts))
    return replace(trained, students=tuple(distill(*call) for call in student_calls(workspace, trained))), workspace


def test_one_scorecard_has_dice_and_auc_with_intervals_and_maps_of_both_heads(result):
    run, workspace = result
    arms = by_arm(evaluate_model(*call) for call in evaluation_calls(workspace, run))
    for call in card_calls(workspace, run, arms):
        figures = summarise(*call).figures
        assert {"dice", "auc", "ece", "classification_relevance_mass_accuracy"} <= set(figures)
        assert figures["auc"].low <= figures["auc"].mean <= figures["auc"].high


def test_each_head_is_explained_by_itself(result):
    run, workspace = result
    calls = explanation_calls(workspace, run)
    assert len(calls) == 2 * len(run.students)
    bundles = [explain_cohort(*call) for call in (calls[0], calls[len(run.students)])]
    assert [one.subject.partition("/")[0] for one in bundles] == ["multi-task", "multi-task-classification"]
    assert {one.explanations[0].target.kind for one in bundles} == {"lesion_margin", "class_margin"}
    assert loss_calls(workspace, run) == []


@pytest.fixture(scope="module")
def taught_by_two(tmp_path_factory):
    """Return a small run whose teachers have one head each, and its workspace."""
    small = {**SMALL, "teacher.network.options.channels": [4, 6, 8], "teachers.classifier.network.options.channels": [4, 4, 6, 8]}
    small |= {"teachers.classifier.fit.epochs": 1, "teachers.classifier.gate.enforce": False}
    recipe = read_recipe(Path(flows.__file__).parent / "recipes" / "multi_task_two_teachers.yaml", small)
    workspace = local_workspace(tmp_path_factory.mktemp("two_teachers"))
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), "")
    run = RecipeResult(recipe, cohorts, teacher=train_teacher(workspace, recipe.teacher_training(), cohorts))
    run = replace(run, teachers=tuple(train_teacher(*call) for call in further_teacher_calls(workspace, run, 0)))
    run = replace(run, verdicts=tuple(judge_teacher(*gate_call(workspace, run, one)) for one in run.teachers))
    return replace(run, students=tuple(distill(*call) for call in student_calls(workspace, run))), workspace


def test_two_teachers_of_one_head_each_teach_a_student_of_both(taught_by_two):
    run, workspace = taught_by_two
    (classifier,) = run.teachers
    assert (run.teacher.task.case_classes, classifier.task.classes) == ((), ("benign", "malignant"))
    assert {finding.requirement for finding in run.verdicts[0].findings} == {"min_auc"}
    assert case_teacher(run) == classifier
    arms = by_arm(evaluate_model(*call) for call in evaluation_calls(workspace, run))
    cards = {call[3][0].arm: set(summarise(*call).figures) for call in card_calls(workspace, run, arms)}
    assert "auc" not in cards["teacher"]
    assert "dice" not in cards["teacher_classifier"]
    for arm in ("alone", "kd", "kd_explanation"):
        assert {"dice", "auc", "classification_agreement", "classification_relevance_mass_accuracy"} <= cards[arm]
    collected = collect_case_results(*results_calls(workspace, run, arms)[0])
    assert len(collected) == len(run.evaluated)


def test_each_term_heard_the_teacher_that_has_its_head(taught_by_two):
    run, workspace = taught_by_two
    spec = run.recipe.student_training("kd_explanation", 0)
    training = TrainingRun(workspace, spec)
    cohort = student_cohort(workspace, spec, run.cohorts)
    source = setup_training(training, cohort, teachers_of(run, run.recipe, "kd_explanation", 0), None).source(AttributionSource.TEACHER)
    answers = source.for_batch(cohort.draw(torch.arange(4), spec.task, spec.fit, torch.Generator()))
    image = cohort.images[:4]
    with torch.no_grad():
        torch.testing.assert_close(answers.logits(), load_network(workspace, run.teacher)(image))
        torch.testing.assert_close(answers.of_head("classification").logits(), load_network(workspace, run.teachers[0])(image))


def test_a_student_of_both_heads_is_explained_beside_each_teacher(taught_by_two):
    run, workspace = taught_by_two
    calls = explanation_calls(workspace, run)
    assert [call[4] for call in calls] == [run.teacher] * len(run.students) + [run.teachers[0]] * len(run.students)
    bundle = explain_cohort(*calls[len(run.students)])
    assert bundle.teacher_digest == run.teachers[0].weights_digest
    assert bundle.explanations[0].target.kind == "class_margin"


def test_the_objective_of_an_arm_says_nothing_of_heads_where_there_is_one():
    plain = Arm(terms=(LossTerm(loss="cross_entropy"),))
    assert "head" not in plain.canonical_json().decode()
    assert "uncertainty" not in Arm(terms=plain.terms, balance=LossBalancing(norms=True)).canonical_json().decode()
