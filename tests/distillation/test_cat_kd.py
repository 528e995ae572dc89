from __future__ import annotations

import pytest
import torch

from data_contracts import DataError
from medkd.attribution._attribute import attribute
from medkd.distillation.cat_kd import cat_kd
from medkd.knowledge.interface import LiveKnowledge
from medkd.targets import class_logit
from medkd.trace import layer_map_of, trace


def test_it_is_two_minus_two_cosines_averaged_over_classes(make_network, make_sample):
    student, teacher, sample = make_network(0).eval(), make_network(1).eval(), make_sample(3)
    kept = trace(student, sample.inputs, layers=(layer_map_of(student).cam_layer,))
    value = cat_kd(kept, LiveKnowledge(teacher, sample.inputs), sample, grid=32)
    terms = []
    for index in range(2):
        student_values, teacher_values = (
            attribute(n, sample.image, class_logit(index), explainer="cam").flatten(1).double() for n in (student, teacher)
        )
        terms.append(2 - 2 * torch.nn.functional.cosine_similarity(student_values, teacher_values, dim=1))
    assert float(value) == pytest.approx(float(torch.stack(terms).mean()), abs=1e-5)


def test_maps_of_any_scale_are_alike(make_network, make_sample):
    student, sample = make_network(0).eval(), make_sample(2)
    teacher = make_network(0).eval()
    head = teacher.get_submodule(layer_map_of(teacher).head)
    head.weight.data *= 7
    kept = trace(student, sample.inputs, layers=(layer_map_of(student).cam_layer,))
    assert float(cat_kd(kept, LiveKnowledge(teacher, sample.inputs), sample)) == pytest.approx(0, abs=1e-5)


def test_restricted_to_the_lesion_what_is_far_from_it_does_not_count(make_network, make_sample, task):
    teacher, sample = make_network(1).eval(), make_sample(2)
    if task == "segmentation":
        # On noise the teacher sees lesions everywhere: let it see few.
        margin = teacher(sample.image).detach().diff(dim=1)
        teacher.get_submodule(layer_map_of(teacher).head).bias.data[1] -= margin.flatten().quantile(0.99)
    knowledge = LiveKnowledge(teacher, sample.inputs)
    lesion = sample.masks if task == "classification" else (knowledge.logits().argmax(1) > 0).to(torch.uint8)
    allowed = torch.nn.functional.max_pool2d(lesion[:, None].float(), 5, 1, 2)[:, 0]
    student = make_network(0).eval()
    kept = trace(student, sample.inputs, layers=(layer_map_of(student).cam_layer,))
    value = cat_kd(kept, knowledge, sample, grid=32, region="lesion", reach=2)
    terms = []
    for index in range(2):
        student_values, teacher_values = (
            (attribute(n, sample.image, class_logit(index), explainer="cam") * allowed).flatten(1).double() for n in (student, teacher)
        )
        terms.append(2 - 2 * torch.nn.functional.cosine_similarity(student_values, teacher_values, dim=1))
    assert float(value) == pytest.approx(float(torch.stack(terms).mean()), abs=1e-4)
    assert float(value) != pytest.approx(float(cat_kd(kept, knowledge, sample, grid=32)), abs=1e-4)


def test_a_classification_without_masks_cannot_be_restricted(make_network, make_sample, task):
    if task == "segmentation":
        pytest.skip("the region is the teacher's answer there")
    student, sample = make_network(0).eval(), make_sample(2, masks=None)
    kept = trace(student, sample.inputs, layers=(layer_map_of(student).cam_layer,))
    with pytest.raises(DataError) as caught:
        cat_kd(kept, LiveKnowledge(make_network(1).eval(), sample.inputs), sample, region="lesion")
    assert caught.value.code == "MASKS_MISSING"
