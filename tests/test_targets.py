from __future__ import annotations

import pytest
import torch

from data_contracts import ExplanationError
from medkd.targets import class_logit, class_margin, lesion_margin

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


@pytest.mark.parametrize("target", [class_logit(1), class_margin(0), lesion_margin(torch.ones(2, 5, 5))])
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
