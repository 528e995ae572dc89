from __future__ import annotations

import pytest
import torch
from monai.losses import DiceLoss

from medkd.distillation.cross_entropy import cross_entropy
from medkd.trace import Sample, Trace


def traced(logits):
    return Trace(model=torch.nn.Identity(), inputs={"image": torch.zeros(len(logits), 1, 4, 4)}, outputs={"default": logits})


def sample(labels, **more):
    return Sample(inputs={"image": torch.zeros(len(labels), 1, 4, 4)}, labels=labels, **more)


def test_classification_is_cross_entropy():
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 2, 1, 1, 0])
    by_hand = -(logits.double().softmax(1).log()[torch.arange(5), labels]).mean()
    assert float(cross_entropy(traced(logits), None, sample(labels))) == pytest.approx(float(by_hand), abs=1e-6)


def test_segmentation_adds_monais_soft_dice():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 2, 4, 4, generator=generator)
    labels = torch.randint(0, 2, (3, 4, 4), generator=generator)
    entropy = torch.nn.functional.cross_entropy(logits, labels)
    monai = DiceLoss(include_background=False, to_onehot_y=True, softmax=True)(logits, labels[:, None])
    assert float(cross_entropy(traced(logits), None, sample(labels))) == pytest.approx(float(entropy + monai), abs=1e-5)
    assert float(cross_entropy(traced(logits), None, sample(labels), dice=0.0)) == pytest.approx(float(entropy), abs=1e-6)


def test_missing_labels_do_not_count():
    logits = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    known = cross_entropy(traced(logits[:1]), None, sample(torch.tensor([1])))
    mixed = cross_entropy(traced(logits), None, sample(torch.tensor([1, -1, -1])))
    assert float(mixed) == pytest.approx(float(known), abs=1e-6)


def test_a_batch_without_any_label_costs_nothing_and_has_a_gradient():
    logits = torch.randn(2, 2, requires_grad=True)
    loss = cross_entropy(traced(logits), None, sample(torch.tensor([-1, -1])))
    loss.backward()
    assert float(loss) == 0.0
    assert bool((logits.grad == 0).all())


def test_voxels_that_are_not_valid_do_not_count():
    logits = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(1, 4, 4, dtype=torch.int64)
    valid = torch.zeros(1, 4, 4, dtype=torch.bool)
    valid[:, :2] = True
    changed = logits.clone()
    changed[:, :, 2:] += 100
    first, second = (float(cross_entropy(traced(x), None, sample(labels, valid_mask=valid))) for x in (logits, changed))
    assert first == pytest.approx(second, abs=1e-6)
