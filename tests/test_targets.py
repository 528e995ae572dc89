from __future__ import annotations

import pytest
import torch

from data_contracts import ExplanationError
from medkd.targets import (
    MultiTarget,
    SoftLabel,
    class_logit,
    class_margin,
    lesion_margin,
    lesion_margins,
    mean_coefficients,
    missed_lesion,
    soft_labels,
    voxel,
)

LOGITS = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
DENSE = torch.randn(2, 2, 5, 5, generator=torch.Generator().manual_seed(1))


def test_a_class_logit_is_that_logit():
    torch.testing.assert_close(class_logit(2)(LOGITS), LOGITS[:, 2])
    torch.testing.assert_close(class_logit(torch.tensor([0, 3, 1]))(LOGITS), LOGITS[torch.arange(3), torch.tensor([0, 3, 1])])


def test_a_margin_is_the_logit_less_the_mean_of_the_others():
    others = LOGITS[:, [0, 2, 3]].mean(1)
    torch.testing.assert_close(class_margin(1)(LOGITS), LOGITS[:, 1] - others)
    torch.testing.assert_close(class_margin(1)(LOGITS + 9), class_margin(1)(LOGITS), atol=1e-5, rtol=1e-5)


def test_a_lesion_margin_sums_over_the_mask_only():
    mask = torch.zeros(2, 5, 5, dtype=torch.uint8)
    mask[0, 1:3, 2], mask[1, 4, 4] = 1, 1
    by_hand = torch.stack([(DENSE[i, 1] - DENSE[i, 0])[mask[i] > 0].sum() for i in range(2)])
    torch.testing.assert_close(lesion_margin(mask)(DENSE), by_hand)


@pytest.mark.parametrize(
    "target",
    [
        class_logit(1),
        class_margin(0),
        lesion_margin(torch.ones(2, 5, 5)),
        lesion_margin(torch.rand(1, 5, 5)),
        voxel((2, 4)),
        SoftLabel(1, temperature=2.0),
        SoftLabel(0, mask=torch.eye(5)[None].repeat(2, 1, 1)),
    ],
)
def test_coefficients_are_the_gradient_of_the_score(target):
    logits = DENSE.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(target(logits).sum(), logits)
    torch.testing.assert_close(target.coefficients(DENSE), gradient)


def test_a_class_that_does_not_exist_and_a_mask_of_another_grid_are_errors():
    with pytest.raises(ExplanationError) as caught:
        class_logit(4)(LOGITS)
    assert caught.value.code == "TARGET_CLASS"
    with pytest.raises(ExplanationError) as caught:
        lesion_margin(torch.ones(2, 6, 5))(DENSE)
    assert caught.value.code == "TARGET_MASK"


def test_the_record_of_a_lesion_target_holds_the_digest_of_its_mask():
    first, second = lesion_margin(torch.ones(1, 2, 2)).record(), lesion_margin(torch.zeros(1, 2, 2)).record()
    assert first.kind == "lesion_margin"
    assert first.mask_sha256 != second.mask_sha256


def test_a_soft_label_is_the_log_of_a_share():
    shares = soft_labels(4, temperature=3.0)(LOGITS).exp()
    torch.testing.assert_close(shares, (LOGITS / 3).softmax(1))
    inside = torch.zeros(2, 5, 5)
    inside[:, 1:3, 2:4] = 1
    by_hand = DENSE.log_softmax(1)[:, 1, 1:3, 2:4].flatten(1).mean(1)
    torch.testing.assert_close(SoftLabel(1, mask=inside)(DENSE), by_hand)


def test_a_voxel_is_the_margin_there():
    torch.testing.assert_close(voxel((3, 1))(DENSE), DENSE[:, 1, 3, 1] - DENSE[:, 0, 3, 1])
    for place in ((5, 0), (0, -1), (1, 1, 1)):
        with pytest.raises(ExplanationError) as caught:
            voxel(place)(DENSE)
        assert caught.value.code == "TARGET_VOXEL"


def test_several_targets_are_each_alone():
    parts = (class_logit(1), lesion_margin(torch.ones(2, 5, 5)), voxel((0, 0)))
    together = MultiTarget(parts)
    torch.testing.assert_close(together(DENSE), torch.stack([part(DENSE) for part in parts], 1))
    torch.testing.assert_close(together.coefficients(DENSE), torch.stack([part.coefficients(DENSE) for part in parts], 1))
    torch.testing.assert_close(mean_coefficients(together, DENSE), together.coefficients(DENSE).flatten(3).mean(3))


@pytest.mark.parametrize(
    "target",
    [
        class_logit(torch.tensor([1, 0])),
        class_margin(1),
        lesion_margin(torch.rand(2, 5, 5) > 0.5),
        SoftLabel(1, mask=torch.rand(2, 5, 5) > 0.5),
        voxel((1, 2)),
        MultiTarget((class_logit(0), class_margin(torch.tensor([0, 1])))),
    ],
)
def test_the_target_of_a_case_is_its_row_and_holds_for_copies_of_it(target):
    whole = target(DENSE)
    for case in range(2):
        copies = DENSE[case : case + 1].repeat(3, 1, 1, 1)
        torch.testing.assert_close(target.of_case(case)(copies), whole[case : case + 1].expand(3, *whole.shape[1:]))


def test_all_lesions_of_a_case_with_their_classes():
    masks = torch.zeros(2, 5, 5)
    masks[0, 1, 1], masks[1, 3, 3] = 1, 1
    three = torch.cat([DENSE, DENSE[:, :1] ** 2], 1)
    found = lesion_margins(masks, index=[1, 2])(three[:1])
    torch.testing.assert_close(found[0], torch.stack([three[0, 1, 1, 1] - three[0, 0, 1, 1], three[0, 2, 3, 3] - three[0, 0, 3, 3]]))
    for bad in (masks[:0], masks):
        with pytest.raises(ExplanationError):
            lesion_margins(bad, index=[1, 1, 1])


def test_what_was_missed_is_recorded_as_missed():
    assert missed_lesion(torch.ones(1, 2, 2)).record().kind == "missed_lesion"
    assert voxel((1, 2)).record().options["place"] == (1, 2)
    assert soft_labels(3).record().options == {"targets": 3}
