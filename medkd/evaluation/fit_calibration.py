"""Parameters that calibrate logits: one temperature, or a scale and a bias per class, by the negative log likelihood of labels.

Guo et al. 2017 (1706.04599). Both losses are convex in the inverse temperature, or in scales and biases, so each fit has one value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data_contracts import DataError
from medkd.inference.apply_calibration import scaled, softmax

#: Temperatures beyond these would only say that a cohort is too small: they are clipped, with the reason.
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.05, 20.0
_LARGEST_BIAS = 20.0
SEPARATED = "no case is on the wrong side, so that the loss has no minimum: the temperature stands at its lower bound"
UNRELATED = "the logits say nothing of the labels: the temperature stands at its upper bound"
CONSTANT = "the logits are the same for every class"


@dataclass(frozen=True)
class Scaling:
    """Fitted parameters: ``scales · logits + biases``.

    Attributes:
        method: what was fitted.
        scales: per class.
        biases: per class.
        reason: why a temperature is not the minimum of the loss; empty where it is.
    """

    method: Literal["none", "temperature", "vector"]
    scales: tuple[float, ...]
    biases: tuple[float, ...]
    reason: str = ""

    @property
    def temperature(self) -> float:
        """Return what logits are divided by; 1 of scalings that have a value per class."""
        return 1 / self.scales[0] if self.method == "temperature" else 1.0

    def __call__(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the calibrated logits of logits [sample, class]."""
        return scaled(logits, self.scales, self.biases)


def unscaled(classes: int, reason: str = "") -> Scaling:
    """Return the scaling that changes nothing."""
    return Scaling("none", (1.0,) * classes, (0.0,) * classes, reason)


def fit_temperature(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> Scaling:
    """Return the temperature under which the labels are most likely.

    Args:
        logits: [sample, class].
        labels: class of each sample, [sample].

    Raises:
        DataError: ``CALIBRATION_NOT_FINITE`` for logits that are not finite, ``CALIBRATION_ONE_CLASS`` where all labels are the same,
            ``CALIBRATION_LABELS`` where labels do not fit the logits.
    """
    require_fit(logits, labels)
    return temperature_of(logits, labels)


def fit_vector(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> Scaling:
    """Return the scale and bias per class under which the labels are most likely; arguments and errors as of :func:`fit_temperature`."""
    require_fit(logits, labels)
    return vector_of(logits, labels)


def require_fit(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> None:
    """Refuse what nothing can be fitted on; see :func:`fit_temperature`."""
    if logits.ndim != 2 or len(logits) != len(labels) or not len(labels):
        raise DataError("CALIBRATION_LABELS", f"expected logits [sample, class] and as many labels, got {logits.shape} and {labels.shape}")
    if not np.isfinite(logits).all():
        raise DataError("CALIBRATION_NOT_FINITE", f"expected finite logits, {int((~np.isfinite(logits)).any(1).sum())} samples have others")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise DataError("CALIBRATION_LABELS", f"expected labels below {logits.shape[1]}, got {labels.min()} to {labels.max()}")
    if labels.min() == labels.max():
        raise DataError("CALIBRATION_ONE_CLASS", f"expected validation cases of at least two classes, all {len(labels)} are of one")


def temperature_of(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> Scaling:
    """Return the fitted temperature of what was checked before; a part of it may hold one class only."""
    from scipy.optimize import brentq  # half a second to import: paid where something is fitted

    classes = logits.shape[1]
    # Only differences between classes count; without this, large common values would swallow them.
    values = by_class(logits - logits.mean(1, keepdims=True))
    if not np.ptp(values, axis=0).any():
        return unscaled(classes, CONSTANT)
    own = values[labels, np.arange(len(labels))].mean()

    def slope(inverse: float) -> float:
        """Return the derivative of the mean loss by the inverse temperature: it grows, for the loss is convex."""
        return float((softmax(inverse * values, axis=0) * values).sum(0).mean() - own)

    lowest, highest = 1 / HIGHEST_TEMPERATURE, 1 / LOWEST_TEMPERATURE
    if slope(highest) <= 0:
        inverse, reason = highest, SEPARATED
    elif slope(lowest) >= 0:
        inverse, reason = lowest, UNRELATED
    else:
        inverse, reason = float(brentq(slope, lowest, highest, xtol=1e-10)), ""
    return Scaling("temperature", (inverse,) * classes, (0.0,) * classes, reason)


def vector_of(logits: NDArray[np.float64], labels: NDArray[np.int64], start: Scaling | None = None) -> Scaling:
    """Return the fitted scale and bias per class of what was checked before, from a scaling that lies near."""
    from scipy.optimize import minimize

    classes = logits.shape[1]
    begin = start or temperature_of(logits, labels)
    values, wanted = by_class(logits), by_class(np.eye(classes)[labels])

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the mean loss and its gradient."""
        answer = values * parameters[:classes, None] + parameters[classes:, None]
        answer -= answer.max(0)
        powers = np.exp(answer)
        total = powers.sum(0)
        gap = powers / total - wanted
        return float((np.log(total) - (answer * wanted).sum(0)).mean()), np.concatenate([(gap * values).mean(1), gap.mean(1)])

    bounds = [(1 / HIGHEST_TEMPERATURE, 1 / LOWEST_TEMPERATURE)] * classes + [(-_LARGEST_BIAS, _LARGEST_BIAS)] * classes
    first = np.array([*begin.scales, *begin.biases])
    found = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12, "gtol": 1e-8, "maxiter": 200}).x
    biases = found[classes:] - found[classes:].mean()  # a common bias changes no probability
    return Scaling("vector", tuple(map(float, found[:classes])), tuple(map(float, biases)))


def by_class(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values [class, sample] of values [sample, class], side by side in memory: sums over few classes are ten times as fast then."""
    return np.array(values.T, order="C")


def losses(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the negative log likelihood of each sample's label, [sample]."""
    values = by_class(logits)
    values -= values.max(0)
    found: NDArray[np.float64] = np.log(np.exp(values).sum(0)) - values[labels, np.arange(len(labels))]
    return found
