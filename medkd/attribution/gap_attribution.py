"""Where student and teacher part: integrated gradients of the teacher's score less the student's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medkd.attribution._gradients import refuse_differentiable
from medkd.attribution._grid import require_finite
from medkd.attribution.integrated_gradients import integrated_gradients
from medkd.targets import Target
from medkd.trace import LayerMap, Trace, frozen, layer_map_of, trace, with_layer_map
from medkd.types import AttributionMap, Images

SOURCE = "integrated gradients (Sundararajan et al. 2017, 1703.01365) of a difference of networks, own"
NEEDS = frozenset({"teacher"})
SCOPE, ACCESS = "local", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, True, True, False, True
TASKS = frozenset({"classification", "segmentation"})
COMPLETE_WITH = {"steps": 128}


class Difference(nn.Module):
    """The network whose logits are the teacher's minus the student's: what explains it explains the gap.

    Its anatomy is the student's (layers below ``student``), so that it can be traced like any network; its class maps would be the
    student's alone, so only explanations of the input make sense of it.
    """

    def __init__(self, teacher: nn.Module, student: nn.Module) -> None:
        super().__init__()
        self.teacher, self.student = teacher, student
        with_layer_map(self, _below("student", layer_map_of(student)))

    def forward(self, image: Images) -> Tensor:
        """Return teacher's logits minus the student's, [batch, classes, *space]."""
        answer: Tensor = self.teacher(image) - self.student(image)
        return answer


def _below(module: str, layer_map: LayerMap) -> LayerMap:
    """Return an anatomy whose layers lie below a module."""
    return LayerMap(
        feature_layers=tuple(f"{module}.{layer}" for layer in layer_map.feature_layers),
        cam_layer=f"{module}.{layer_map.cam_layer}",
        head=f"{module}.{layer_map.head}",
        deep_heads=tuple(f"{module}.{layer}" for layer in layer_map.deep_heads),
        attention=tuple(f"{module}.{layer}" for layer in layer_map.attention),
    )


def gap_attribution(
    student: Trace,
    target: Target,
    *,
    teacher: nn.Module,
    differentiable: bool = False,
    steps: int = 8,
    chunk: int | None = None,
    baseline: float = -1.0,
) -> AttributionMap:
    """Return the integrated gradients of the gap, [batch, *space], signed, in units of the target.

    Integrated gradients are linear in the explained function, so this is the teacher's map minus the student's, in one path; values of a
    case sum to its gap less the gap at the baseline image.

    Args:
        student: gives the student and the image.
        target: linear in the logits, or several.
        teacher: frozen or not; nothing of it changes.
        differentiable: refused.
        steps: nodes of the path integral.
        chunk: as in ``integrated_gradients``.
        baseline: as in ``integrated_gradients``.

    Raises:
        ExplanationError: ``NOT_DIFFERENTIABLE`` or ``MAP_NOT_FINITE``.
    """
    refuse_differentiable(differentiable, "gap_attribution")
    difference = Difference(teacher, student.model)
    # The path below makes its own passes with a graph: this one needs none.
    with frozen(difference), torch.no_grad():
        kept = trace(difference, student.inputs)
    return require_finite(integrated_gradients(kept, target, steps=steps, chunk=chunk, baseline=baseline), "gap_attribution")
