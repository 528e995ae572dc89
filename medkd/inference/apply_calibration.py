"""Calibrated probabilities from logits, in numpy alone: what serves a model needs no torch for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import Calibration


def apply(logits: NDArray[Any], calibration: Calibration | None, *, axis: int = 1) -> NDArray[np.float32]:
    """Return probabilities of the same shape: the softmax of the calibrated logits, the plain softmax where there is no calibration.

    Args:
        logits: of every class along ``axis``; [case, class, *space] by default.
        calibration: of the network that answered, or None.
        axis: of the classes.

    Raises:
        ValueError: another number of classes than the calibration is for.
    """
    values = np.asarray(logits, dtype=np.float64)
    return softmax(values if calibration is None else scaled(values, calibration.scales, calibration.biases, axis=axis), axis).astype(
        np.float32
    )


def reaches_threshold(logits: NDArray[Any], calibration: Calibration, *, axis: int = 1) -> NDArray[np.bool_] | None:
    """Return where a finding reaches the threshold of the conformal bound, without the axis of the classes; None where there is no bound.

    The threshold is of the probabilities before calibration (:class:`data_contracts.ConformalBound`).
    """
    if calibration.bound.threshold is None:
        return None
    found: NDArray[np.bool_] = finding_probability(np.asarray(logits, dtype=np.float64), axis=axis) >= calibration.bound.threshold
    return found


def finding_probability(logits: NDArray[np.float64], *, axis: int = 1) -> NDArray[np.float64]:
    """Return the uncalibrated probability of any class but the first, summed over these: one less that of the first would round to 0."""
    found: NDArray[np.float64] = np.delete(softmax(logits, axis), 0, axis=axis).sum(axis)
    return found


def scaled(logits: NDArray[np.float64], scales: tuple[float, ...], biases: tuple[float, ...], *, axis: int = 1) -> NDArray[np.float64]:
    """Return logits times the scale of their class plus its bias."""
    if logits.shape[axis] != len(scales):
        raise ValueError(f"expected logits of {len(scales)} classes along axis {axis}, got shape {logits.shape}")
    shape = [1] * logits.ndim
    shape[axis] = len(scales)
    found: NDArray[np.float64] = logits * np.reshape(scales, shape) + np.reshape(biases, shape)
    return found


def softmax(logits: NDArray[np.float64], axis: int = 1) -> NDArray[np.float64]:
    """Return the softmax along an axis."""
    powers = np.exp(logits - logits.max(axis=axis, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=axis, keepdims=True)
    return shares
