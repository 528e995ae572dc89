"""A small discriminator tells the student's features from the teacher's; the student learns that it cannot."""

from __future__ import annotations

import math

from torch import nn
from torch.nn import functional

from medkd.attribution._grid import averaged
from medkd.distillation._discriminator import CellDiscriminator
from medkd.distillation._reduce import common_grid, matched_pair, over_batch, over_voxels
from medkd.knowledge.interface import LAST, Knowledge
from medkd.trace import Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"teacher", "features", "projector", "discriminator"})
TASKS = frozenset({"classification", "segmentation", "detection"})
SOURCE = "adversarial feature distillation, Heo et al. 2018 (1812.01872), Liu et al. 2019 (1903.04197: cells of a map); reversed gradient: Ganin et al. 2016 (1505.07818)"
RANGE = (float("-inf"), math.log(2))
MINIMUM_AT_TEACHER = False
UNPAIRED = "it compares distributions of features, so that those of other patients do as well; what it adds must be shown in an experiment"


def adversarial(
    student: Trace,
    teacher: Knowledge | None,
    sample: Sample,
    *,
    grid: int = 8,
    rate: float = 0.1,
    layer: str = LAST,
    teacher_layer: str = LAST,
    projector: nn.Module | None = None,
    discriminator: nn.Module | None = None,
) -> Scalar:
    """Return log 2 - (softplus(-D(t)) + softplus(D(s))) / 2, mean over cells, then over cases.

    For the best D this is the Jensen-Shannon divergence of the features of single cells, in nats: at most log 2 where they are told apart, 0 where they
    are not. The student lowers it; the discriminator, whose gradient is reversed, raises it in the same step. Features are compared by direction (unit
    length over channels), so that a scale tells nothing. What is matched is the *distribution* of features, not the teacher's answer to this image: beside a
    term that says which, such as ``logit_kd``, it may help; by itself it says little of the class, and like all adversarial training it may swing.

    Args:
        student: trace with its layer tapped.
        teacher: gives its features.
        sample: weights of the cases.
        grid: cells along each axis.
        rate: how fast the discriminator's weights move beside the student's; 0 leaves them as they were drawn.
        layer: the student's layer.
        teacher_layer: the teacher's.
        projector: as in ``hint``.
        discriminator: from features [batch, channels, *grid] to a logit a cell (1: the teacher's); the objective makes one and trains it with the
            student. None asks one of fixed random weights.

    Raises:
        KnowledgeError: ``HINT_CHANNELS`` when the numbers of channels differ and there is no projector.
    """
    own, wanted = matched_pair(student, teacher, "adversarial", (layer, teacher_layer), projector)
    cells = common_grid(own, wanted, grid)
    own, wanted = (functional.normalize(averaged(features, cells), dim=1) for features in (own, wanted))
    asked = discriminator or CellDiscriminator.fixed(own.shape[1], own.device)
    of_student, of_teacher = asked(own, rate).float(), asked(wanted, rate).float()
    discriminator_loss = (functional.softplus(-of_teacher) + functional.softplus(of_student)) / 2
    return over_batch(math.log(2) - over_voxels(discriminator_loss[:, 0]), sample)
