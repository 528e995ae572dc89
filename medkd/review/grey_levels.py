"""Values of a study as 256 grey levels that a browser can window again: most of them within the report's own window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import VolumeRef
from medkd.review.texts import Said, say

#: Levels that are kept for what lies below, and above, the report's window.
_ASIDE = 32
#: What counts as the range of an image: single bright voxels would take the levels of all others.
_RANGE = (0.1, 99.9)
#: Window level and width of CT, HU, that radiologists choose by number.
CT_WINDOWS = {"soft_tissue": (50.0, 400.0), "lung": (-600.0, 1500.0), "bone": (400.0, 1800.0), "brain": (40.0, 80.0)}
#: Elsewhere values have no unit of their own: shares of the image.
_PERCENTILES = {"whole": _RANGE, "percentiles_1": (1.0, 99.0), "percentiles_5": (5.0, 95.0), "percentiles_20": (20.0, 99.5)}


@dataclass(frozen=True)
class Levels:
    """Which value a grey level stands for: straight lines between points.

    Attributes:
        points: level (0 to 255) and value, ascending.
    """

    points: tuple[tuple[int, float], ...]

    def encode(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the level of each value, the first of what is not a number."""
        levels, edges = zip(*self.points, strict=True)
        found = np.interp(np.nan_to_num(values, nan=edges[0], posinf=edges[-1], neginf=edges[0]), edges, levels)
        rounded: NDArray[np.uint8] = found.round().astype(np.uint8)
        return rounded

    def step(self) -> tuple[float, float]:
        """Return how far apart two neighbouring levels are at the least and at the most, in the unit of the values."""
        steps = [(value - before) / (level - first) for (first, before), (level, value) in zip(self.points, self.points[1:], strict=False)]
        return min(steps), max(steps)


def levels_of(values: NDArray[Any], window: tuple[float, float], volume: VolumeRef) -> Levels:
    """Return the levels of a study: three quarters of them within the report's window, the rest for what lies outside of it.

    Args:
        values: of the study, any shape.
        window: low and high value of the report's grey scale.
        volume: a picture is shown as it is: its values are levels already.
    """
    if volume.picture is not None:
        return Levels(((0, 0.0), (255, 255.0)))
    (low, high), (least, most) = window, _whole(values)
    below, above = least < low, most > high
    points = [(0, least)] if below else []
    points += [(_ASIDE if below else 0, low), (255 - _ASIDE if above else 255, high)]
    return Levels((*points, *([(255, most)] if above else [])))


def windows_of(values: NDArray[Any], window: tuple[float, float], volume: VolumeRef) -> tuple[tuple[Said, float, float], ...]:
    """Return name, low and high value of the windows that the keys 1 to 5 choose, the report's own first; those of CT for CT alone."""
    found: list[tuple[Said, float, float]] = [(say("window.report"), *window)]
    if volume.modality == "CT" and volume.unit == "HU":
        found += [(say(f"window.{name}"), level - width / 2, level + width / 2) for name, (level, width) in CT_WINDOWS.items()]
    else:
        finite = _sample(values)
        for name, shares in _PERCENTILES.items():
            low, high = (float(one) for one in np.percentile(finite, shares))
            found.append((say(f"window.{name}"), low, max(high, low + 1e-6)))
    return tuple(found)


def _whole(values: NDArray[Any]) -> tuple[float, float]:
    low, high = (float(one) for one in np.percentile(_sample(values), _RANGE))
    return low, high


def _sample(values: NDArray[Any]) -> NDArray[Any]:
    """Return at most a million or so finite values, evenly taken."""
    flat = values.reshape(-1)
    flat = flat[:: max(1, flat.size // 2**20)]
    finite = flat[np.isfinite(flat)]
    return finite if finite.size else np.zeros(1, np.float32)
