"""The images of a study that a page shows one at a time: the one that findings lie on, and what else a model saw on the same voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import ReviewReport, StudyExplanation, VolumeRef
from medkd.review.grey_levels import Levels, levels_of, windows_of
from medkd.review.texts import Said, Text, in_each, recognise, say

#: Grey scale of an image that networks see standardised.
PERCENTILES = (1.0, 99.0)


@dataclass(frozen=True)
class ImageGreys:
    """How the values of an image become greys.

    Attributes:
        levels: that its slices are kept in.
        windows: name, low and high value of what the keys 1 to 5 choose.
    """

    levels: Levels
    windows: tuple[tuple[Said, float, float], ...]

    def payload(self) -> dict[str, Any]:
        """Return what the scripts of a page are told."""
        return {
            "levels": [list(point) for point in self.levels.points],
            "windows": [{"name": in_each(name), "low": low, "high": high} for name, low, high in self.windows],
        }


def images_of(explanations: Sequence[StudyExplanation]) -> tuple[VolumeRef, ...]:
    """Return the images that a report shows: the volume that it is of, and what else one of its models saw."""
    further = next((one.further for one in explanations if one.further), ())
    return (explanations[0].volume, *further)


def names_of(explanations: Sequence[StudyExplanation]) -> list[Text]:
    """Return what the images of a report are called, in words; nothing where there is one."""
    several = next((one for one in explanations if one.further), None)
    if several is None:
        return []
    said = several.image_names or ("",) * (1 + len(several.further))
    return [recognise(name) if name else say("images.nth", number=number) for number, name in enumerate(said, 1)]


def window_of(explanations: Sequence[StudyExplanation], values: NDArray[Any]) -> tuple[float, float]:
    """Return the grey scale of an image: what the network sees of it, or of standardised values what nearly all of them lie in."""
    seen = next((one.window for one in explanations if one.window is not None), None)
    if seen is not None:
        return seen
    low, high = (float(value) for value in np.percentile(values, PERCENTILES))
    return low, max(high, low + 1.0)


def greys_of(report: ReviewReport, image: int, values: NDArray[Any]) -> ImageGreys:
    """Return how an image of a report is shown.

    Args:
        report: what is shown.
        image: its number; 0 is the one that findings lie on.
        values: of the image, or some of them evenly taken.
    """
    volume = images_of(report.explanations)[image]
    window = report.window if image == 0 else window_of(report.explanations, values)
    return ImageGreys(levels_of(values, window, volume), windows_of(values, window, volume))
