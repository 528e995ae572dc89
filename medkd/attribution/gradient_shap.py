"""Expected gradients: integrated gradients averaged over baselines drawn round the low end of the window."""

from __future__ import annotations

import torch

from medkd.attribution._budget import affordable
from medkd.attribution._gradients import as_asked, image_gradients, refuse_differentiable
from medkd.attribution._grid import require_finite
from medkd.targets import Target
from medkd.trace import Trace
from medkd.types import AttributionMap

SOURCE = "GradientSHAP, Lundberg & Lee 2017 (1705.07874); expected gradients, Erion et al. 2021 (1906.10670)"
SCOPE, ACCESS = "local", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, True, True, False, True
TASKS = frozenset({"classification", "segmentation"})
#: Options under which its values sum to the difference of scores within a few per cent.
COMPLETE_WITH = {"samples": 256, "noise": 0.0}


def gradient_shap(
    trace: Trace, target: Target, *, differentiable: bool = False, samples: int = 32, baseline: float = -1.0, noise: float = 0.1
) -> AttributionMap:
    """Return the mean over drawn baselines b and places a of the path of (x - b) * d score / d (b + a (x - b)), summed over channels.

    In expectation the values sum to the score less the mean score of the baselines. The places are drawn one per equal share of the path,
    which leaves a fraction of the error of free draws.

    Args:
        trace: gives the model and the image [batch, channel, *space].
        target: any differentiable function of the logits, or several.
        differentiable: refused.
        samples: draws; fewer under a time budget. All cases of a batch get the same.
        baseline: mean of the baselines in the network's input units.
        noise: standard deviation of the baselines, same units; 0 makes it integrated gradients with drawn nodes.

    Returns:
        Map [batch, *space]; [batch, targets, *space] of several targets.

    Raises:
        ExplanationError: ``NOT_DIFFERENTIABLE`` or ``MAP_NOT_FINITE``.
    """
    refuse_differentiable(differentiable, "gradient_shap")
    image = trace.image.detach()
    count = affordable(samples, lambda: image_gradients(trace.model, trace.inputs, target))
    total = torch.zeros((), device=image.device)
    for index in range(count):
        reference = baseline + noise * torch.randn(image.shape[1:]).to(image)
        place = (index + float(torch.rand(()))) / count
        between = reference + place * (image - reference)
        total = total + image_gradients(trace.model, {**trace.inputs, "image": between}, target) * (image - reference)[:, None]
    return require_finite(as_asked((total / count).sum(2), target), "gradient_shap")
