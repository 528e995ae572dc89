"""What another setting of the scanner makes of the same picture: gain, gamma, contrast, kernel, noise, spacing. The lesion changes with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

Picture = NDArray[np.float32]
Setting = Callable[[Picture, np.random.Generator], Picture]


def gain(picture: Picture, _: np.random.Generator) -> Picture:
    """Return a picture a fifth brighter, cut at the brightest."""
    return _cut(1.2 * picture)


def gamma(picture: Picture, _: np.random.Generator) -> Picture:
    """Return a picture under a grey curve of exponent 0.8."""
    return _cut(np.clip(picture, 0, 1) ** np.float32(0.8))


def contrast(picture: Picture, _: np.random.Generator) -> Picture:
    """Return a picture whose deviations from its mean are a fifth larger."""
    middle = picture.mean()
    return _cut(middle + 1.2 * (picture - middle))


def kernel(picture: Picture, _: np.random.Generator) -> Picture:
    """Return a picture smoothed as by a softer reconstruction kernel (Gaussian, 0.7 pixels)."""
    smooth: Picture = gaussian_filter(picture, 0.7)
    return smooth


def noise(picture: Picture, rng: np.random.Generator) -> Picture:
    """Return a picture with white noise, its deviation 3 % of the grey range."""
    return _cut(picture + rng.normal(0, 0.03, picture.shape))


def spacing(picture: Picture, _: np.random.Generator) -> Picture:
    """Return a picture that was taken with pixels a third larger and brought to the same grid."""
    coarse = zoom(picture, 0.75, order=1, grid_mode=True, mode="nearest")
    back = zoom(coarse, [to / now for to, now in zip(picture.shape, coarse.shape, strict=True)], order=1, grid_mode=True, mode="nearest")
    return _cut(back)


def _cut(values: NDArray[Any]) -> Picture:
    """Return values cut at the darkest and the brightest."""
    cut: Picture = np.clip(values, 0, 1).astype(np.float32)
    return cut


#: What is changed, by name. Pictures are float32 of any number of axes, 0 for the darkest and 1 for the brightest.
SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {"gain": gain, "gamma": gamma, "contrast": contrast, "kernel": kernel, "noise": noise, "spacing": spacing}
)
