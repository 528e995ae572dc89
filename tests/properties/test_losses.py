"""Properties that every loss of the catalogue keeps: a new loss is tested by existing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from data_contracts import KnowledgeError, NetworkSpec
from medkd.catalogue import LOSSES
from medkd.knowledge.interface import LAST, LiveKnowledge
from medkd.models._build import build_network
from medkd.precision import has_native_bf16
from medkd.task_context import TaskContext
from medkd.trace import LayerMap, Sample, Trace, layer_map_of, trace, with_layer_map
from tests.knowledge.precomputed import PrecomputedKnowledge
from tests.properties.applies import holds_where, once_per_entry

NAMES = LOSSES.names()
CATALOGUE = LOSSES


@pytest.fixture(params=NAMES)
def entry(request, task):
    return LOSSES.entry(request.param)


@pytest.fixture
def make_network(entry, make_network, space):
    """Give a loss that reads coarser heads a network that has them."""

    def make(seed, classes=None):
        classes = classes or entry.fact("MIN_CLASSES", 2)
        if "deep_heads" not in entry.fact("NEEDS"):
            return make_network(seed, classes=classes)
        options = {"filters": (4, 8, 12), "deep_supervision": 1}
        return build_network(NetworkSpec(builder="dyn_unet", out_channels=classes, spatial_dims=space, options=options), seed=seed)

    return make


@pytest.fixture
def make_sample(entry, make_sample):
    """Give a loss that compares classes with one another as many as it needs, and one that reads feedback what readers forbade."""

    def make(n=4, classes=None):
        sample = make_sample(n, classes=classes or entry.fact("MIN_CLASSES", 2))
        forbidden = (sample.masks == 0).to(torch.uint8) * 100
        return replace(sample, forbidden=forbidden) if "forbidden" in entry.fact("NEEDS") else sample

    return make


def traced(network, sample):
    layer_map = layer_map_of(network)
    return trace(network, sample.inputs, layers=(layer_map.cam_layer, *layer_map.encoder_blocks(), *layer_map.deep_heads))


def value_of(entry, student, teacher, sample):
    return entry.function(traced(student, sample), LiveKnowledge(teacher, sample.inputs), sample)


@once_per_entry
def test_a_loss_declares_what_it_needs(entry):
    assert isinstance(entry.fact("NEEDS"), frozenset)
    assert entry.fact("SOURCE")
    assert len(entry.fact("RANGE")) == 2
    assert isinstance(entry.fact("MINIMUM_AT_TEACHER"), bool)


def test_a_loss_that_needs_more_classes_says_why_before_training(entry, task):
    incompatible_reason = getattr(entry.module, "incompatible_reason", None)
    two, many = TaskContext(task, 2), TaskContext(task, 3)
    assert incompatible_reason is None or incompatible_reason(many) is None
    if entry.fact("MIN_CLASSES", 2) == 3:
        assert "two" in incompatible_reason(two) or "one other" in incompatible_reason(two)
    else:
        assert incompatible_reason is None or incompatible_reason(two) is None


def test_a_loss_is_a_finite_float32_scalar_within_its_range(entry, make_network, make_sample):
    value = value_of(entry, make_network(0).train(), make_network(1).eval(), make_sample())
    low, high = entry.fact("RANGE")
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert low - 1e-6 <= float(value) <= high + 1e-6


def test_the_gradient_reaches_the_student_and_never_the_teacher(entry, make_network, make_sample):
    student, teacher = make_network(0).train(), make_network(1).eval()
    value_of(entry, student, teacher, make_sample()).backward()
    gradients = [p.grad for p in student.parameters() if p.grad is not None]
    assert gradients
    assert any(float(g.abs().max()) > 0 for g in gradients)
    assert all(bool(g.isfinite().all()) for g in gradients)
    assert all(p.grad is None for p in teacher.parameters())


def test_the_order_of_cases_does_not_matter(entry, make_network, make_sample):
    student, teacher, sample = make_network(0).eval(), make_network(1).eval(), make_sample(4)
    order = torch.tensor([2, 0, 3, 1])
    shuffled = sample.mapped(lambda values: values[order])
    wanted = float(value_of(entry, student, teacher, sample))
    assert float(value_of(entry, student, teacher, shuffled)) == pytest.approx(wanted, abs=1e-5, rel=1e-5)


def test_a_case_of_weight_zero_does_not_count(entry, make_network, make_sample):
    student, teacher, sample = make_network(0).eval(), make_network(1).eval(), make_sample(4)
    weighted = replace(sample, weights=torch.tensor([1.0, 1.0, 0.0, 0.0]))
    half = sample.rows(slice(2))
    wanted = float(value_of(entry, student, teacher, half))
    assert float(value_of(entry, student, teacher, weighted)) == pytest.approx(wanted, abs=1e-5, rel=1e-5)


@holds_where(lambda *case: case[2] == 2)
def test_a_loss_works_with_three_classes(entry, make_network, make_sample):
    value = value_of(entry, make_network(0, classes=3).train(), make_network(1, classes=3).eval(), make_sample(classes=3))
    assert bool(value.isfinite())


# Where bf16 is emulated pictures show whether a loss is finite in it.
@holds_where(lambda *case: case[2] == 2 or has_native_bf16(torch.device("cpu")))
def test_a_loss_is_finite_under_bf16_autocast(entry, make_network, make_sample, space):
    student, teacher, sample = make_network(0).train(), make_network(1).eval(), make_sample()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = value_of(entry, student, teacher, sample)
    value.backward()
    assert value.dtype == torch.float32
    assert bool(value.isfinite())
    assert all(bool(p.grad.isfinite().all()) for p in student.parameters() if p.grad is not None)


@holds_where(lambda entry, *_: entry.fact("MINIMUM_AT_TEACHER"))
def test_a_student_equal_to_its_teacher_is_at_the_minimum_where_declared(entry, make_network, make_sample):
    student, teacher, sample = make_network(1).eval(), make_network(1).eval(), make_sample()
    at_teacher = value_of(entry, student, teacher, sample)
    assert float(at_teacher) == pytest.approx(entry.fact("RANGE")[0], abs=1e-5)
    assert float(value_of(entry, make_network(0).eval(), teacher, sample)) > float(at_teacher) + 1e-4


@once_per_entry
def test_a_loss_that_needs_a_teacher_says_so(entry, make_network, make_sample):
    sample = make_sample()
    student = traced(make_network(0), sample)
    if "teacher" not in entry.fact("NEEDS"):
        assert bool(entry.function(student, None, sample).isfinite())
        return
    with pytest.raises(KnowledgeError, match=entry.name) as caught:
        entry.function(student, None, sample)
    assert caught.value.code == "TEACHER_MISSING"


def test_a_loss_leaves_modes_flags_and_hooks_as_they_were(entry, make_network, make_sample):
    student, teacher = make_network(0).train(), make_network(1).eval()
    value_of(entry, student, teacher, make_sample())
    assert all(module.training for module in student.modules())
    assert all(p.requires_grad for p in (*student.parameters(), *teacher.parameters()))
    assert not any(module._forward_hooks for network in (student, teacher) for module in network.modules())


# What asks the network again, or has no space, has no other form.
@holds_where(
    lambda entry, task, space: (
        space == 2 and task == "segmentation" and not entry.fact("NEEDS") - {"teacher", "labels", "features", "projector"}
    )
)
def test_a_picture_is_a_volume_of_one_slice(entry, task, space):
    """Terms that read logits and features alone say the same of both; asked once, of segmentations."""
    draw, classes = torch.Generator().manual_seed(0), 3
    logits, wanted = (torch.randn(2, classes, 8, 8, generator=draw) for _ in range(2))
    features, teacher_features = (torch.randn(2, 4, 8, 8, generator=draw) for _ in range(2))
    labels = torch.randint(0, classes, (2, 8, 8), generator=draw)
    values = []
    for deep in (lambda x: x, lambda x: x.unsqueeze(-3)):
        model = with_layer_map(torch.nn.Identity(), LayerMap(feature_layers=("layer",), cam_layer="layer", head=""))
        image = deep(torch.zeros(2, 1, 8, 8))
        kept = Trace(model, {"image": image}, {"default": deep(logits)}, {"layer": deep(features)})
        sample = Sample(inputs={"image": image}, labels=deep(labels), valid_mask=torch.ones_like(deep(labels), dtype=torch.bool))
        values.append(float(entry.function(kept, PrecomputedKnowledge(deep(wanted), features={LAST: deep(teacher_features)}), sample)))
    assert values[0] == pytest.approx(values[1], rel=1e-4, abs=1e-6)
