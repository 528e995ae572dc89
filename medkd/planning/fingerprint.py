"""The fingerprint of a folder: sizes, spacings, intensities and classes, measured before anything is decided (Isensee et al. 2021)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data_contracts import DataError

#: Images whose pixels are read, evenly spread: headers of all are.
MOST_READ = 40
#: Voxels of the foreground that are kept per image.
_MOST_VALUES = 5000

Source = Literal["image_folder", "volume_folder", "dicom"]


@dataclass(frozen=True)
class Fingerprint:
    """What was measured of a folder.

    Attributes:
        source: how the folder is read.
        cases: cases that were listed.
        patients: their patients; None where nobody says.
        shapes: int [n, axes], (slice, row, column) or (row, column).
        spacings: float [n, 3], mm; empty of pictures.
        classes: name → number of cases that hold it.
        frequencies: foreground class → share of the voxels, mean over the cases that were read; empty of classes of whole images.
        lesions: connected components of the foreground per case that was read; empty where nothing is marked.
        lesion_sides: smallest side of each component's box in pixels.
        percentiles: .5, 50 and 99.5 of the foreground's intensities (of the whole image where nothing is marked).
        mean: of the same intensities.
        deviation: of the same intensities.
        whole: least and greatest value of all that was read.
        modality: as the list or the headers say; empty where nothing does.
        masks: whether masks exist.
        channels: names of the images of a case; empty where it has one. Intensities are those of the first.
        fields: of ``data``, as a recipe says how the folder is read.
        unknown: what could not be known, a sentence each that says what to look at.
    """

    source: Source
    cases: int
    patients: int | None
    shapes: NDArray[np.int64]
    spacings: NDArray[np.float64]
    classes: dict[str, int]
    frequencies: dict[str, float] = field(default_factory=dict)
    lesions: tuple[int, ...] = ()
    lesion_sides: tuple[int, ...] = ()
    percentiles: tuple[float, float, float] = (0.0, 0.0, 0.0)
    mean: float = 0.0
    deviation: float = 1.0
    whole: tuple[float, float] = (0.0, 0.0)
    modality: str = ""
    masks: bool = True
    channels: tuple[str, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    @property
    def median_shape(self) -> tuple[int, ...]:
        """Return the median extent of each axis."""
        return tuple(int(value) for value in np.median(self.shapes, axis=0))

    @property
    def median_spacing(self) -> tuple[float, ...]:
        """Return the median spacing of each axis, mm; empty of pictures."""
        return tuple(float(value) for value in np.median(self.spacings, axis=0)) if len(self.spacings) else ()

    @property
    def anisotropy(self) -> float:
        """Return the largest of the median spacings as a multiple of the smallest; 1 of pictures."""
        spacing = self.median_spacing
        return max(spacing) / min(spacing) if spacing else 1.0


@dataclass
class Intensities:
    """Values of images gathered one by one: what lies within the foreground, of the whole image where nothing is marked."""

    values: list[NDArray[np.float32]] = field(default_factory=list)
    least: float = float("inf")
    greatest: float = float("-inf")
    shares: list[dict[int, float]] = field(default_factory=list)
    lesions: list[int] = field(default_factory=list)
    sides: list[int] = field(default_factory=list)

    def add(self, image: NDArray[Any], mask: NDArray[Any] | None) -> None:
        """Take an image and its mask into account."""
        from scipy.ndimage import find_objects, label

        inside = image[mask > 0] if mask is not None and (mask > 0).any() else image.ravel()
        self.values.append(inside[:: max(1, len(inside) // _MOST_VALUES)].astype(np.float32))
        self.least, self.greatest = min(self.least, float(image.min())), max(self.greatest, float(image.max()))
        if mask is None:
            return
        found, counts = np.unique(mask, return_counts=True)
        self.shares.append({int(value): int(count) / mask.size for value, count in zip(found, counts, strict=True) if value > 0})
        components, number = label(mask > 0)
        self.lesions.append(int(number))
        self.sides += [min(side.stop - side.start for side in box) for box in find_objects(components) if box is not None]

    def figures(self) -> dict[str, Any]:
        """Return the fields of a fingerprint that are made of intensities."""
        if not self.values:
            return {}
        together = np.concatenate(self.values).astype(np.float64)
        low, middle, high = np.percentile(together, [0.5, 50, 99.5])
        return {
            "percentiles": (float(low), float(middle), float(high)),
            "mean": float(together.mean()),
            "deviation": float(together.std()),
            "whole": (self.least, self.greatest),
            "lesions": tuple(self.lesions),
            "lesion_sides": tuple(self.sides),
        }

    def frequency(self, value: int) -> float:
        """Return the mean share of a mask's value over the images."""
        return float(np.mean([share.get(value, 0.0) for share in self.shares])) if self.shares else 0.0


def spread(count: int, most: int = MOST_READ) -> Iterator[int]:
    """Yield at most ``most`` indices below ``count``, evenly spread."""
    yield from sorted({round(place) for place in np.linspace(0, count - 1, min(count, most))})


def counted(labels: Sequence[str]) -> dict[str, int]:
    """Return the classes of cases with their numbers; the one that reads like a negative finding first, then by name.

    Raises:
        DataError: ``PLAN_CLASSES`` where there are not two at least.
    """
    counts = Counter(label for label in labels if label)
    if len(counts) < 2:
        raise DataError(
            "PLAN_CLASSES",
            f"expected at least two classes in the label column, it holds {sorted(counts) or 'none'}; name the right one with --column label=COLUMN",
        )
    ordered = sorted(counts, key=lambda name: (name.lower() not in _NEGATIVE, name))
    return {name: counts[name] for name in ordered}


#: Names that classes without a finding have.
_NEGATIVE = ("benign", "negative", "normal", "healthy", "no", "none", "0", "false", "control", "absent")
