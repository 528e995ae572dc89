from __future__ import annotations

import torch

from medkd.measures._perturb import Perturbation, blurred
from medkd.measures.insertion import insertion


def test_the_right_order_restores_the_score_sooner():
    image = torch.rand(3, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    perturbation = Perturbation(score=lambda changed, _: changed.flatten(1).mean(1), image=image, baseline=image * 0, points=12)
    assert bool((insertion(image[:, 0], perturbation) > insertion(-image[:, 0], perturbation)).all())


def test_the_blurred_baseline_keeps_brightness_and_removes_detail():
    image = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    smooth = blurred(image)
    assert abs(float(smooth.mean() - image.mean())) < 0.02
    assert float(smooth.std()) < 0.2 * float(image.std())
    torch.testing.assert_close(blurred(torch.full((1, 1, 32, 32), 0.3)), torch.full((1, 1, 32, 32), 0.3))
