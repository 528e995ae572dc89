from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from data_contracts import StrongAugmentation, TrainingConfig
from medkd.distillation.cross_entropy import cross_entropy
from medkd.trace import TEACHER_IMAGE, Sample, trace
from medkd.volumes.mix import harden, mix

BASE = TrainingConfig(epochs=1, mix_alpha=1.0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def with_knowledge(sample, task):
    draw = generator(5)
    n, space = len(sample.image), sample.image.shape[2:]
    logits = torch.randn(n, 2, *(space if task == "segmentation" else ()), generator=draw)
    teacher = {
        "logits": logits,
        "features/last": torch.randn(n, 3, 8, 8, generator=draw),
        "maps/cam": torch.randn(n, 2, 8, 8, generator=draw),
    }
    return Sample(**{**vars(sample), "teacher": teacher, "valid_mask": torch.ones(n, *space, dtype=torch.bool)})


def test_mixup_blends_the_image_and_what_the_teacher_says_of_it(make_sample, task):
    sample = with_knowledge(make_sample(4), task)
    mixed = mix(sample, BASE.model_copy(update={"mix": "mixup"}), generator(1))
    share = float(mixed.shares[0])
    # Which case was blended in is read off the image, and must be the same for everything.
    partner = next(
        p for p in range(1, 4) if torch.allclose(mixed.image, share * sample.image + (1 - share) * sample.image.roll(p, 0), atol=1e-5)
    )
    for name in ("features/last", "maps/cam"):
        own = sample.teacher[name]
        torch.testing.assert_close(mixed.teacher[name], share * own + (1 - share) * own.roll(partner, 0))
    p = sample.teacher["logits"].softmax(1)
    torch.testing.assert_close(mixed.teacher["logits"].softmax(1), share * p + (1 - share) * p.roll(partner, 0))
    assert torch.equal(mixed.other_labels, sample.labels.roll(partner, 0))
    assert torch.equal(mixed.labels, sample.labels)


def test_cutmix_pastes_the_same_box_everywhere(make_sample, task):
    sample = with_knowledge(make_sample(4), task)
    mixed = mix(sample, BASE.model_copy(update={"mix": "cutmix"}), generator(3))
    partner = next(p for p in range(1, 4) if bool(((mixed.image == sample.image) | (mixed.image == sample.image.roll(p, 0))).all()))
    pasted = (mixed.image != sample.image)[:, 0].any(0)
    rows, columns = pasted.any(1).nonzero().flatten(), pasted.any(0).nonzero().flatten()
    assert int(pasted.sum()) == len(rows) * len(columns) > 0
    assert torch.equal(mixed.masks[:, pasted], sample.masks.roll(partner, 0)[:, pasted])
    assert torch.equal(mixed.masks[:, ~pasted], sample.masks[:, ~pasted])
    if task == "segmentation":
        assert torch.equal(mixed.labels[:, pasted], sample.labels.roll(partner, 0)[:, pasted])
        assert torch.equal(mixed.teacher["logits"][:, :, pasted], sample.teacher["logits"].roll(partner, 0)[:, :, pasted])
        assert mixed.other_labels is None
    else:
        assert float(mixed.shares[0]) == pytest.approx(1 - float(pasted.float().mean()), abs=1e-6)
        p, share = sample.teacher["logits"].softmax(1), float(mixed.shares[0])
        torch.testing.assert_close(mixed.teacher["logits"].softmax(1), share * p + (1 - share) * p.roll(partner, 0))


def test_blended_cases_pay_for_both_labels_by_their_shares(make_network, make_sample, task):
    sample, network = make_sample(4), make_network(0).eval()
    mixed = mix(sample, BASE.model_copy(update={"mix": "mixup"}), generator(1))
    kept, share = trace(network, mixed.inputs), float(mixed.shares[0])
    value = cross_entropy(kept, None, mixed, dice=0.0)
    parts = [functional.cross_entropy(kept.logits, labels) for labels in (mixed.labels, mixed.other_labels)]
    assert float(value) == pytest.approx(float(share * parts[0] + (1 - share) * parts[1]), rel=1e-4)


def test_nothing_is_mixed_unless_it_is_asked_for_and_draws_are_those_of_the_generator(make_sample):
    sample, config = make_sample(3), BASE.model_copy(update={"mix": "mixup"})
    assert mix(sample, BASE, generator()) is sample
    assert torch.equal(mix(sample, config, generator(2)).image, mix(sample, config, generator(2)).image)


def test_the_student_gets_a_harder_image_and_the_teacher_the_one_as_it_was(make_sample):
    sample = make_sample(3)
    hard = harden(sample, StrongAugmentation(noise=0.2, blur=1.0, gamma=1.5, hidden=1), generator(1))
    assert hard.inputs[TEACHER_IMAGE] is sample.image
    assert float((hard.image - sample.image).abs().mean()) > 0.02
    assert torch.equal(hard.labels, sample.labels)
    assert harden(sample, None, generator()) is sample


def test_a_blur_keeps_a_constant_and_widens_a_point_by_its_deviation():
    from medkd.volumes.mix import _blurred

    assert torch.allclose(_blurred(torch.full((1, 9, 9), 3.0), 1.5), torch.full((1, 9, 9), 3.0), atol=1e-5)
    point = torch.zeros(1, 41, 41)
    point[0, 20, 20] = 1.0
    spread = _blurred(point, 2.0)[0].sum(1)
    places = torch.arange(41.0) - 20
    assert float((spread * places**2).sum()) == pytest.approx(4.0, rel=0.05)


def test_the_teacher_is_asked_about_the_easier_image(make_network, make_sample):
    from medkd.knowledge.source import LiveSource

    teacher, sample = make_network(1).eval(), make_sample(2)
    hard = harden(sample, StrongAugmentation(noise=1.0), generator(1))
    assert torch.equal(LiveSource(teacher).for_batch(hard).logits(), LiveSource(teacher).for_batch(sample).logits())
