"""Adversarially robust distillation: on images changed against it, the student still answers as the teacher does on the images themselves."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medkd.distillation._reduce import divergence, require_teacher
from medkd.distillation.logit_kd import logit_kd
from medkd.knowledge.interface import Knowledge
from medkd.trace import Sample, Trace, running_statistics
from medkd.trace import trace as run
from medkd.types import Number, Scalar

NEEDS = frozenset({"teacher"})
TASKS = frozenset({"classification"})
SOURCE = "adversarially robust distillation, Goldblum et al. AAAI 2020 (1905.09747); changes sought against the teacher's answer as in RSLAD, Zi et al. 2021 (2108.07969)"
RANGE = (0.0, float("inf"))
# At equal networks the change still moves the student's answer, so that another student can be lower.
MINIMUM_AT_TEACHER = False
STOPS_GRADIENT = "the change of the images is sought first and held: it is a maximum, whose own movement adds nothing to first order"


def ard(
    student: Trace,
    teacher: Knowledge | None,
    sample: Sample,
    *,
    epsilon: float = 0.03,
    steps: int = 3,
    temperature: Number = 4.0,
) -> Scalar:
    """Return ``logit_kd`` of the student on changed images and the teacher on the images as they are, mean over cases.

    Each image is changed by at most ``epsilon`` in every voxel, by steps along the sign of the gradient of KL(teacher || student) (projected
    gradient ascent from the image itself, with running statistics). It needs no labels, and reads a store like a live teacher. Robustness is bought: beside
    ``logit_kd`` or labels expect less accuracy on images as they are, and none against larger changes or of another kind.

    Args:
        student: trace whose model is asked again, ``steps`` + 1 times.
        teacher: its logits of the images as they are.
        sample: weights of the cases.
        epsilon: largest change of a voxel, in units of the network's input ([-1, 1], or deviations).
        steps: of the search; each is 2.5 ``epsilon`` / ``steps`` long.
        temperature: as in ``logit_kd``.
    """
    knowledge = require_teacher(teacher, "ard")
    with running_statistics(student.model):
        changed = perturbed(student.model, student.image, knowledge.logits().float(), epsilon=epsilon, steps=steps)
        answered = run(student.model, {**student.inputs, "image": changed})
    return logit_kd(answered, knowledge, sample, temperature=temperature)


def perturbed(model: nn.Module, image: Tensor, logits: Tensor, *, epsilon: float, steps: int) -> Tensor:
    """Return images on which a network answers otherwise than ``logits``, each voxel within ``epsilon`` of ``image`` [batch, channel, *space].

    Args:
        model: asked ``steps`` times; neither its weights nor their gradients are touched.
        image: where the search begins.
        logits: answers to be left, [batch, classes].
        epsilon: largest change of a voxel.
        steps: of the search.
    """
    found, image = image.detach(), image.detach()
    for _ in range(steps):
        with torch.enable_grad():
            tried = found.requires_grad_()
            gap = divergence(logits.detach(), model(tried).float()).sum()
        (slope,) = torch.autograd.grad(gap, [tried])
        found = tried.detach() + 2.5 * epsilon / steps * slope.sign()
        found = image + (found - image).clamp(-epsilon, epsilon)
    return found
