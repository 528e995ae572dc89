"""A network with several heads, seen by one of them: whatever asks a network for its answer and its class map asks that head."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from data_contracts import Checkpoint, ExplanationError, Task, TaskKind
from medkd.models._inputs import picking
from medkd.trace import LayerMap, Sample, Trace, layer_map_of, trace, with_layer_map

#: Under which name a view holds its network.
_INNER = "network"


class HeadView(nn.Module):
    """A network whose answer is what one of its other heads puts out."""

    def __init__(self, network: nn.Module, head: str) -> None:
        super().__init__()
        self.network, self.name = network, head

    def forward(self, image: Tensor) -> Tensor:
        """Return the head's logits."""
        return trace(self.network, image).outputs[self.name]


def head_view(network: nn.Module, head: str) -> nn.Module:
    """Return a network as one of its other heads sees it: its weights are the network's own.

    Raises:
        ExplanationError: ``HEAD_MISSING`` when it has no such head.
    """
    known = layer_map_of(network)
    if head not in known.other_heads or head not in known.other_cam_layers:
        raise ExplanationError(
            "HEAD_MISSING",
            f"expected a network with a head for {head} (multi_task_unet), {type(network).__name__} has {sorted(known.other_heads)}",
        )
    layer = f"{_INNER}.{known.other_cam_layers[head]}"
    return with_layer_map(
        HeadView(network, head), LayerMap(feature_layers=(layer,), cam_layer=layer, head=f"{_INNER}.{known.other_heads[head]}")
    )


def for_task(network: nn.Module, checkpoint: Checkpoint, task: Task) -> nn.Module:
    """Return the network of a checkpoint as a task asks it: the head that classifies where that is the task of a network that does both,
    and its own channels of what the task shows."""
    if checkpoint.task.case_classes and task.kind is TaskKind.CLASSIFICATION:
        network = head_view(network, TaskKind.CLASSIFICATION.value)
    return picking(network, checkpoint.task, task)


def trace_of_head(kept: Trace, head: str) -> Trace:
    """Return a pass as one of the other heads sees it: nothing is computed again, and gradients go the same way."""
    features = {f"{_INNER}.{layer}": value for layer, value in kept.features.items()}
    return Trace(head_view(kept.model, head), kept.inputs, {"default": kept.outputs[head]}, {**kept.features, **features})


def sample_of_cases(sample: Sample) -> Sample:
    """Return a batch as a head that classifies reads it: its labels are those of the cases, and it has no voxels."""
    return replace(sample, labels=sample.case_labels, valid_mask=None, voxel_weights=None, case_labels=None)
