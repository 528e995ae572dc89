"""Training without labels: parts of each image are hidden and the network fills them in, so that a student begins with an encoder that saw them.

The network is the student's own. A 1x1 convolution behind the features that its class map is read from puts out the voxels of each cell of their
grid (the light decoder of SimMIM, Xie et al. 2022, 2111.09886), and is thrown away.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from data_contracts import CohortSet, DataError, PretrainingConfig, PretrainingSpec, StartingWeights, Subset, TrainingConfig
from medkd.cohorts.open_cohort import open_for_training
from medkd.cohorts.tensor_cohort import TensorCohort, concatenate
from medkd.cohorts.volume_cohort import VolumeCohort, concatenate_volumes
from medkd.models._build import build_network, specify_network
from medkd.precision import training_device
from medkd.seeds import derive_seed
from medkd.storage.gpu_slot import gpu_slot
from medkd.storage.stage import stage
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace
from medkd.trace import forked_rng, layer_map_of, trace

#: How volumes are cut: anywhere, since no label is read.
_ANYWHERE = TrainingConfig(epochs=1, foreground_share=0.0)


@stage
def pretrain(workspace: Workspace, spec: PretrainingSpec, cohorts: CohortSet) -> StartingWeights:
    """Train a student's network to fill in hidden parts of the images that it may learn from, and store its weights.

    Args:
        workspace: where files go.
        spec: ``recipe.pretraining(seed)``.
        cohorts: the subsets of that seed's students alone: nothing else is opened.

    Raises:
        DataError: ``LOSS_NOT_FINITE``.
    """
    images = _Images(_cohort(workspace, spec, cohorts), spec)
    network = build_network(
        specify_network(spec.network, spec.task), seed=derive_seed(spec.recipe.partition("--")[0], "student", spec.seed)
    )
    with gpu_slot() as gpu, forked_rng(derive_seed("pretraining", spec.seed)):
        device = training_device(gpu)
        errors = _fill_in(network.to(device), images, spec.config)
    payload = safetensors.torch.save({name: value.cpu().contiguous() for name, value in network.state_dict().items()})
    key = f"models/{spec.recipe}/pretrained-{spec.seed}-{hashlib.sha256(payload).hexdigest()[:12]}.safetensors"
    write_bytes(workspace.store.root / key, payload)
    digests = sorted(use.cohort.sha256 for use in cohorts.uses.values())
    return StartingWeights(
        source="pretraining",
        weights=workspace.store.refer(key),
        skip_head=True,
        cohort_digest=hashlib.sha256("\n".join(digests).encode()).hexdigest(),
        first_error=errors[0],
        last_error=errors[-1],
    )


def _cohort(workspace: Workspace, spec: PretrainingSpec, cohorts: CohortSet) -> TensorCohort | VolumeCohort:
    subsets = [subset for subset in (Subset.STUDENT_TRAIN.of(spec.seed), Subset.UNLABELLED.of(spec.seed)) if subset in cohorts.uses]
    first, *more = (open_for_training(cohorts, subset, workspace.store, spec.task) for subset in subsets)
    for extra in more:
        if isinstance(first, VolumeCohort) and isinstance(extra, VolumeCohort):
            first = concatenate_volumes(first, extra)
        elif isinstance(first, TensorCohort) and isinstance(extra, TensorCohort):
            first = concatenate(first, extra)
    return first


@dataclass(frozen=True)
class _Images:
    """Images that are drawn without their labels."""

    cohort: TensorCohort | VolumeCohort
    spec: PretrainingSpec

    def __len__(self) -> int:
        return len(self.cohort)

    def draw(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return images [batch, 1, *space]."""
        if isinstance(self.cohort, VolumeCohort):
            return self.cohort.draw(rows, self.spec.task, _ANYWHERE, generator).image
        return self.cohort.images[rows]


def _fill_in(network: nn.Module, images: _Images, config: PretrainingConfig) -> list[float]:
    """Train in place; return the mean squared error of hidden voxels of each epoch, in deviations of the image."""
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(derive_seed("pretraining draws", images.spec.seed))
    first = images.draw(torch.tensor([0, 0]), generator).to(device)
    decoder = _Decoder.for_network(network, first).to(device)
    optimizer = torch.optim.AdamW([*network.parameters(), *decoder.parameters()], lr=config.learning_rate)
    batches = max(1, len(images) // config.batch_size)
    steps = config.epochs * batches
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.01 + 0.99 * (1 + math.cos(math.pi * min(step / steps, 1))) / 2)
    errors: list[float] = []
    network.train()
    for _ in range(config.epochs):
        order, summed = torch.randperm(len(images), generator=generator), 0.0
        for batch in range(batches):
            rows = order[batch * config.batch_size : (batch + 1) * config.batch_size]
            # Batch normalisation needs two cases.
            image = images.draw(rows if len(rows) > 1 else rows.repeat(2), generator).to(device)
            hidden = hidden_cells(image, config, generator)
            error = _error(network, decoder, image, hidden)
            if not bool(torch.isfinite(error)):
                raise DataError(
                    "LOSS_NOT_FINITE",
                    f"expected a finite error of the pretraining of {images.spec.recipe}, got {float(error)}: lower its rate",
                )
            optimizer.zero_grad()
            error.backward()
            nn.utils.clip_grad_norm_([*network.parameters(), *decoder.parameters()], 1.0)
            optimizer.step()
            schedule.step()
            summed += float(error.detach())
        errors.append(summed / batches)
    network.eval()
    return errors


def hidden_cells(image: Tensor, config: PretrainingConfig, generator: torch.Generator) -> Tensor:
    """Return which voxels are hidden, bool [batch, 1, *space]: whole cells, the same share of each image."""
    space = image.shape[2:]
    grid = [math.ceil(extent / config.cell) for extent in space]
    count = max(1, round(config.mask_ratio * math.prod(grid)))
    ranks = torch.rand(len(image), math.prod(grid), generator=generator).argsort(1).argsort(1)
    cells = (ranks < count).reshape(len(image), 1, *grid)
    for axis in range(len(space)):
        cells = cells.repeat_interleave(config.cell, axis + 2)
    place: tuple[Any, ...] = (..., *(slice(extent) for extent in space))
    return cells[place].to(image.device)


def _error(network: nn.Module, decoder: _Decoder, image: Tensor, hidden: Tensor) -> Tensor:
    axes = tuple(range(1, image.ndim))
    mean, deviation = image.mean(axes, keepdim=True), image.std(axes, keepdim=True).clamp_min(1e-4)
    seen = torch.where(hidden, mean, image)
    layer = layer_map_of(network).cam_layer
    filled = decoder(trace(network, seen, layers=(layer,)).feature(layer), image.shape[2:])
    gap = (filled - (image - mean) / deviation).square()
    found: Tensor = (gap * hidden).sum() / hidden.sum()
    return found


class _Decoder(nn.Module):
    """From features on a grid to voxels: a 1x1 convolution with a channel for each voxel of a cell."""

    def __init__(self, channels: int, cell: tuple[int, ...]) -> None:
        super().__init__()
        self.cell = cell
        self.conv = (nn.Conv2d if len(cell) == 2 else nn.Conv3d)(channels, math.prod(cell), 1)

    @classmethod
    def for_network(cls, network: nn.Module, image: Tensor) -> _Decoder:
        """Return the decoder behind the features of a network's class map."""
        layer = layer_map_of(network).cam_layer
        with torch.no_grad():
            features = trace(network, image, layers=(layer,)).feature(layer)
        cell = tuple(math.ceil(extent / cells) for extent, cells in zip(image.shape[2:], features.shape[2:], strict=True))
        return cls(features.shape[1], cell)

    def forward(self, features: Tensor, space: tuple[int, ...]) -> Tensor:
        """Return voxels [batch, 1, *space]."""
        voxels, grid, dims = self.conv(features), features.shape[2:], len(self.cell)
        apart = voxels.reshape(len(voxels), *self.cell, *grid)
        order = [0, *(axis for place in range(dims) for axis in (1 + dims + place, 1 + place))]
        whole = apart.permute(order).reshape(len(voxels), 1, *(cells * size for cells, size in zip(grid, self.cell, strict=True)))
        if tuple(whole.shape[2:]) == tuple(space):
            return whole  # type: ignore[no-any-return]
        return functional.interpolate(whole, size=tuple(space), mode="nearest")
