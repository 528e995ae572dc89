from __future__ import annotations

import pytest
import torch

from data_contracts import KnowledgeError
from medkd.attribution.cam import cam
from medkd.distillation.logit_kd import logit_kd
from medkd.knowledge.class_map import ClassMap, MappedKnowledge, MappedTarget
from medkd.knowledge.interface import LiveKnowledge
from medkd.targets import class_logit, class_margin
from medkd.trace import layer_map_of, trace
from tests.knowledge.precomputed import PrecomputedKnowledge

TEACHER, STUDENT = ("background", "anterior", "posterior", "vessel"), ("background", "hippocampus")
CLASS_MAP = {"background": ("background",), "hippocampus": ("anterior", "posterior")}


def test_merged_logits_are_the_sum_of_probabilities_and_dropped_classes_share_nothing():
    logits = torch.randn(3, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    merged = ClassMap.between(TEACHER, STUDENT, CLASS_MAP).logits(logits).softmax(1)
    p = logits.softmax(1)
    kept = p[:, :3].sum(1)
    torch.testing.assert_close(merged[:, 1], (p[:, 1] + p[:, 2]) / kept)


def test_the_same_classes_need_no_map():
    assert ClassMap.between(STUDENT, STUDENT, {}) is None


@pytest.mark.parametrize(
    ("student", "class_map", "named"),
    [
        (STUDENT, {}, "background"),
        (STUDENT, {**CLASS_MAP, "hippocampus": ("amygdala",)}, "amygdala"),
        (STUDENT, {**CLASS_MAP, "tumour": ("vessel",)}, "tumour"),
        (STUDENT, {"background": ("background", "anterior"), "hippocampus": ("anterior",)}, "once"),
        (STUDENT, {"background": (), "hippocampus": ("anterior",)}, "empty"),
    ],
)
def test_a_map_that_does_not_fit_is_refused_naming_the_class(student, class_map, named):
    with pytest.raises(KnowledgeError, match=named) as caught:
        ClassMap.between(TEACHER, student, class_map)
    assert caught.value.code == "CLASSES_DIFFER"


def test_the_slope_of_a_mapped_target_is_that_of_finite_differences():
    mapping, target = ClassMap.between(TEACHER, STUDENT, CLASS_MAP), class_margin(1)
    logits = torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mapped = MappedTarget(target, mapping)
    found = mapped.coefficients(logits)
    for index in range(4):
        step = torch.zeros_like(logits)
        step[:, index] = 1e-2
        slope = (mapped(logits + step) - mapped(logits - step)) / 2e-2
        torch.testing.assert_close(found[:, index].double(), slope.double(), atol=1e-3, rtol=1e-3)


def test_a_student_of_two_classes_learns_from_a_teacher_of_four(make_network, make_sample, task):
    sample = make_sample(2)
    student, teacher = make_network(0, classes=2).train(), make_network(1, classes=4).eval()
    mapping = ClassMap.between(TEACHER, STUDENT, CLASS_MAP)
    knowledge = MappedKnowledge(LiveKnowledge(teacher, sample.inputs), mapping)
    value = logit_kd(trace(student, sample.inputs), knowledge, sample)
    value.backward()
    direct = logit_kd(trace(student, sample.inputs), PrecomputedKnowledge(mapping.logits(teacher(sample.image).detach())), sample)
    assert float(value) == pytest.approx(float(direct), rel=1e-5)


def test_a_map_of_one_class_alone_is_the_teachers_own(make_network, make_sample, task):
    """A student's class that stands for one of the teacher's is explained as that one is, when nothing is dropped."""
    sample, teacher = make_sample(2), make_network(1, classes=2).eval()
    mapping = ClassMap.between(("a", "b"), ("x", "y"), {"x": ("b",), "y": ("a",)})
    knowledge = MappedKnowledge(LiveKnowledge(teacher, sample.inputs), mapping)
    own = cam(trace(teacher, sample.image, layers=(layer_map_of(teacher).cam_layer,)), class_logit(1))
    torch.testing.assert_close(knowledge.attribution("cam", class_logit(0)), own.detach(), atol=1e-5, rtol=1e-4)
    assert torch.equal(knowledge.features("last"), LiveKnowledge(teacher, sample.inputs).features("last"))
