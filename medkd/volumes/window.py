"""Intensity windows: from stored values to what a network sees."""

from __future__ import annotations

import torch
from torch import Tensor


def window_intensity(values: Tensor, window: tuple[float, float]) -> Tensor:
    """Map ``window`` linearly to [-1, 1], clipping outside. Shape is kept; the result is float32."""
    low, high = window
    return ((values.to(torch.float32) - low) / (high - low)).clamp_(0.0, 1.0).mul_(2.0).sub_(1.0)
