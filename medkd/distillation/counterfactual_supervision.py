"""Without the lesion there is no answer, and the lesion alone gives it: masks as interventions on the image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from data_contracts import DataError
from medkd.distillation._reduce import over_batch
from medkd.knowledge.interface import Knowledge
from medkd.trace import Sample, Trace, running_statistics
from medkd.types import Scalar

NEEDS = frozenset({"labels", "masks", "views"})
TASKS = frozenset({"classification"})
SOURCE = "counterfactual and invariant images, Chang et al. CVPR 2021 (2106.01127)"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = False


def counterfactual_supervision(
    student: Trace, teacher: Knowledge | None, sample: Sample, *, dilation: int = 4, alone: float = 1.0
) -> Scalar:
    """Return KL(uniform || student's answer without the lesion) plus ``alone`` times its cross-entropy on the lesion alone.

    What is hidden gets the image's mean. The student is asked again with running statistics, two more images a case. A mark that goes with
    the class is still there when the lesion is not, and must then say nothing: few masks teach that for all cases.

    Args:
        student: trace whose model is asked again, logits [batch, classes].
        teacher: not used; the masks are a person's.
        sample: labels [batch], -1 where missing; masks [batch, *space], empty where there is none: such cases do not count.
        dilation: voxels by which the mask is grown.
        alone: weight of the second part.
    """
    del teacher
    if sample.masks is None or sample.labels is None:
        raise DataError(
            "MASKS_MISSING",
            f"expected labels and lesion masks for counterfactual_supervision, this batch of {len(student.image)} lacks them",
        )
    pool = {2: functional.max_pool1d, 3: functional.max_pool2d, 4: functional.max_pool3d}[sample.masks.ndim]
    lesion = pool((sample.masks > 0).to(student.image.dtype)[:, None], kernel_size=2 * dilation + 1, stride=1, padding=dilation)
    present = lesion.flatten(1).any(1) & (sample.labels >= 0)
    image = student.image
    mean = image.flatten(2).mean(2).reshape(*image.shape[:2], *(1,) * (image.ndim - 2)).expand_as(image)
    with running_statistics(student.model):
        # Both interventions in one pass of twice the batch.
        hidden_logits = student.model(torch.cat([torch.lerp(image, mean, lesion), torch.lerp(mean, image, lesion)])).float()
    without, only = functional.log_softmax(hidden_logits, dim=1).chunk(2)
    uniform = torch.full_like(without, 1 / without.shape[1])
    silence: Tensor = functional.kl_div(without, uniform, reduction="none").sum(1)
    # A missing label is -1, which is no class; such a case is weighed by nothing below.
    answer = functional.nll_loss(only, sample.labels.clamp_min(0).long(), reduction="none")
    return over_batch(silence + alone * answer, sample, present)
