from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from data_contracts import CardNotes, Estimate, ExplanationBundle, ModelRef, RegistryError, ReviewPanel, SanityReport, TaskKind, read_record
from medkd.explanation.defaults import DEFAULT_EXPLAINERS
from medkd.registry.recipe_result import RecipeResult
from medkd.review.choose_panel import choose_panel

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden"


@pytest.fixture
def result():
    """Return a maker of what a recipe of a task left: a teacher, two arms of which the second is better, and what tested its maps."""
    checkpoint = read_record((GOLDEN / "review_panel_3.json").read_bytes(), ReviewPanel).classification.student_checkpoint
    bundle = read_record((GOLDEN / "explanation_bundle_2.json").read_bytes(), ExplanationBundle)

    def make(kind, explainers=(), asked=()):
        models = [
            checkpoint.model_copy(update={"arm": arm, "role": role, "weights_digest": digest * 64})
            for arm, role, digest in (("teacher", "teacher", "a"), ("alone", "student", "b"), ("kd", "student", "c"))
        ]
        refs = tuple(
            ModelRef(name=one.arm, version=1, manifest_digest="d" * 64, role=one.role, weights_digest=one.weights_digest) for one in models
        )
        cards = [
            SimpleNamespace(role="student", figures={name: Estimate(mean=mean, low=0, high=1, n=9) for name in ("auc", "dice")},
                            weights_digests=(one.weights_digest,))
            for one, mean in zip(models[1:], (0.6, 0.8), strict=True)
        ]  # fmt: skip
        one = bundle.explanations[0]
        made = tuple(
            one.model_copy(update={"method": one.method.model_copy(update={"explainer": e.name, "options": e.options})}) for e in explainers
        )
        reports = tuple(SanityReport(explainer=e.name, checks=(), trusted=True) for e in explainers)
        bundles = tuple(
            bundle.model_copy(update={"weights_digest": digest, "explanations": made, "sanity_reports": reports})
            for digest in ("b" * 64, "c" * 64)
        )
        recipe = SimpleNamespace(
            name=kind.value,
            task=SimpleNamespace(kind=kind),
            explain=SimpleNamespace(explainers=asked),
            card=CardNotes(structures="anatomy" if kind is TaskKind.SEGMENTATION else "lesion"),
        )
        return RecipeResult(
            recipe, None, teacher=models[0], students=tuple(models[1:]), scorecards=tuple(cards), bundles=bundles,
            registered=SimpleNamespace(models=refs),
        )  # fmt: skip

    return make


def test_the_best_student_of_each_task_is_asked_beside_its_teacher(result):
    panel = choose_panel(tuple(result(kind) for kind in TaskKind))
    assert (panel.segmentation.structures, panel.classification.structures) == ("anatomy", "lesion")
    assert (panel.classification.model.name, panel.classification.teacher.name) == ("kd", "teacher")
    assert panel.segmentation.student_checkpoint.weights_digest == "c" * 64


def test_a_verdict_is_of_an_explainer_as_it_was_asked(result):
    defaults = DEFAULT_EXPLAINERS[TaskKind.CLASSIFICATION]
    changed = tuple(one.model_copy(update={"options": {"steps": 2}}) for one in defaults)
    for explainers, tested in ((defaults, {one.name for one in defaults}), (changed, set())):
        panel = choose_panel((result(TaskKind.CLASSIFICATION, explainers), result(TaskKind.SEGMENTATION)))
        assert {one.explainer for one in panel.classification.sanity_reports} == tested


def test_explainers_are_asked_as_the_recipe_asks_them_and_so_have_a_verdict(result):
    cam, integrated = DEFAULT_EXPLAINERS[TaskKind.CLASSIFICATION]
    changed = integrated.model_copy(update={"options": {"steps": 2}})
    for made, verdicts in (((cam, changed), {"cam", "integrated_gradients"}), ((cam, integrated), {"cam"})):
        panel = choose_panel((result(TaskKind.CLASSIFICATION, made, (changed,)), result(TaskKind.SEGMENTATION)))
        assert panel.classification.explainers == (cam, changed)
        assert {one.explainer for one in panel.classification.sanity_reports} == verdicts
    assert panel.segmentation.explainers == DEFAULT_EXPLAINERS[TaskKind.SEGMENTATION]


def test_a_report_needs_both_tasks(result):
    with pytest.raises(RegistryError, match="none is for segmentation") as caught:
        choose_panel((result(TaskKind.CLASSIFICATION),))
    assert caught.value.code == "PANEL_INCOMPLETE"
