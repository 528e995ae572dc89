"""A network whose answer is a weighted sum of the pixels that are visible: what every faithfulness measure should say is known."""

import torch

from medkd.measures._perturb import Perturbation


def linear_game(weight, n=1):
    """Return the perturbation of score = sum of weight * image with image 1 and baseline 0: [n, 1, *space]."""
    image = torch.ones(n, 1, *weight.shape)

    def score(changed, _case):
        return (changed[:, 0] * weight).flatten(1).sum(1)

    return Perturbation(score=score, image=image, baseline=image * 0, points=11)
