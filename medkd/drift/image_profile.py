"""What images are like after the model's own preprocessing: grey values, noise, sharpness; and how they were acquired."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from data_contracts import Geometry, SeriesRecord, VolumeRef

#: Shares of the voxels below the grey values that are kept.
QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
#: Median of the absolute value of a standard normal variable.
_MAD = 0.6744897501960817


def image_profile(image: Tensor, geometry: Geometry) -> dict[str, float | None]:
    """Return the features of one prepared study.

    Args:
        image: what the network sees, [..., row, column], in its own units.
        geometry: of the study's own voxels.
    """
    planes = image.detach().float().reshape(-1, 1, *image.shape[-2:])
    values = torch.quantile(_some(planes.flatten()), torch.tensor(QUANTILES))
    spacing, shape = geometry.spacing_mm, geometry.shape
    return {
        **{f"quantile_{100 * share:g}": float(value) for share, value in zip(QUANTILES, values, strict=True)},
        "spread": float(planes.std()),
        "noise": noise(planes),
        "sharpness": sharpness(planes),
        **shading(planes),
        "slices": float(shape[0]),
        "spacing_slice_mm": spacing[0],
        "spacing_in_plane_mm": math.sqrt(spacing[1] * spacing[2]),
        "field_of_view_mm": math.sqrt(shape[1] * spacing[1] * shape[2] * spacing[2]),
    }


def noise(planes: Tensor) -> float | None:
    """Return the standard deviation of white noise in planes [n, 1, row, column], by the median of a mask blind to slopes.

    The mask is Immerkær's (1996); the median instead of his mean lets edges count little. Where neighbours are equal to the last bit
    (air that the window cuts off) nothing was measured: such places do not count. None where there is no other.
    """
    mask = torch.tensor([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]])
    if min(planes.shape[-2:]) < 3:
        return None
    answer = functional.conv2d(planes, mask[None, None]).abs()
    measured = answer[answer > 1e-6]
    # Six is the mask's root sum of squares.
    return None if not len(measured) else float(measured.median()) / (6 * _MAD)


def sharpness(planes: Tensor) -> float | None:
    """Return the standard deviation of the Laplacian over that of the planes [n, 1, row, column]; None for constant ones or a side below 3."""
    spread = float(planes.std())
    if min(planes.shape[-2:]) < 3 or not spread > 0:
        return None
    laplacian = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    return float(functional.conv2d(planes, laplacian[None, None]).std()) / spread


def shading(planes: Tensor) -> dict[str, float | None]:
    """Return how the brighter part of planes [n, 1, row, column] gets brighter down, to the right and outwards: what a coil's field does.

    The coefficients of a least-squares fit of the values above the mean to 1, row, column and (row² + column²) / 2, rows and columns from -1 to
    1; None where nothing is above the mean.
    """
    names = ("shading_rows", "shading_columns", "shading_radial")
    rows, columns = (torch.linspace(-1, 1, extent, dtype=torch.double) for extent in planes.shape[-2:])
    row, column = torch.meshgrid(rows, columns, indexing="ij")
    terms = torch.stack([torch.ones_like(row), row, column, (row.square() + column.square()) / 2], -1)
    bright = (planes > planes.mean())[:, 0].double()
    # The normal equations, summed over the planes: every plane has the same terms.
    seen = bright.sum(0)
    matrix = torch.einsum("rci,rcj,rc->ij", terms, terms, seen)
    right = torch.einsum("rci,rc->i", terms, (planes[:, 0].double() * bright).sum(0))
    if int((seen > 0).sum()) < len(names) + 1 or float(torch.linalg.cond(matrix)) > 1e12:
        return dict.fromkeys(names)
    found = torch.linalg.solve(matrix, right)[1:]
    return {name: float(value) for name, value in zip(names, found, strict=True)}


def image_tags(volume: VolumeRef, series: SeriesRecord | None) -> dict[str, str]:
    """Return what a study's images are called, in words that identify nobody (codes, numbers, a closed list of words)."""
    found = {"modality": volume.modality, "unit": volume.unit}
    return found if series is None or not series.acquisition else {**found, "acquisition": series.acquisition}


def _some(values: Tensor, most: int = 2**23) -> Tensor:
    """Return evenly spaced values where there are more than :func:`torch.quantile` takes."""
    return values[:: -(-len(values) // most)]
