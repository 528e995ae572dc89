"""One batch varied for training: its view, blended cases, the student's harder image; a clinical row is left as it is."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from data_contracts import TrainingConfig
from medkd.trace import TEACHER_IMAGE, Sample
from medkd.volumes.augment import draw_view
from medkd.volumes.mix import harden, mix


def vary(sample: Sample, config: TrainingConfig, generator: torch.Generator, *, row_channels: int = 0) -> Sample:
    """Return a batch as training shows it.

    Args:
        sample: as it was drawn from the cohort.
        config: which views, blends and harder images are drawn.
        generator: the only source of randomness (CPU).
        row_channels: how many of the image's channels, the last ones, are a clinical row: these are blended with their cases and never moved,
            brightened or blurred.
    """
    if not row_channels:
        return harden(mix(draw_view(sample, config.augment, generator), config, generator), config.strong, generator)
    images, row = _apart(sample, row_channels)
    blended = mix(_together(draw_view(images, config.augment, generator), row), config, generator)
    images, row = _apart(blended, row_channels)
    return _together(harden(images, config.strong, generator), row)


def _apart(sample: Sample, row_channels: int) -> tuple[Sample, Tensor]:
    image = sample.image
    return replace(sample, inputs={**sample.inputs, "image": image[:, :-row_channels]}), image[:, -row_channels:]


def _together(sample: Sample, row: Tensor) -> Sample:
    joined = {name: torch.cat([value, row], 1) if name in ("image", TEACHER_IMAGE) else value for name, value in sample.inputs.items()}
    return replace(sample, inputs=joined)
