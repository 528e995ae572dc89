"""Another image of a case on the grid of its first; numpy alone, so that a served model needs no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_contracts import DataError, VolumeRef
from medkd.cohorts.study_arrays import SYNTHETIC, VOLUME
from medkd.storage.store import Store
from medkd.volumes.onto_grid import onto_grid
from medkd.volumes.orientation import Grid, require_space

#: Least share of the first image's grid that each other one reaches: less is another part of the body.
LEAST_REACHED = 0.25


def on_first(volume: VolumeRef, first: VolumeRef, names: tuple[str, str], store: Store) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return an image of a case on the grid of its first, and where it was not measured there.

    Args:
        volume: the image.
        first: the first image.
        names: of both, for the sentence of an error.
        store: that holds it.

    Raises:
        DataError: ``CHANNEL_OUTSIDE`` when it hardly reaches the first's grid.
    """
    held, own, wanted = store.read_arrays(volume.array), grid_of_image(volume), grid_of_image(first)
    values, reached = onto_grid(held[VOLUME], own, wanted)
    if reached.mean() < LEAST_REACHED:
        text = f"expected {names[0]} to reach a quarter of {names[1]}'s volume or more, it reaches {reached.mean():.0%}: another part of the body"
        raise DataError("CHANNEL_OUTSIDE", text)
    if SYNTHETIC in held:
        # What took anything from a voxel that was not measured was not measured either.
        reached &= onto_grid(held[SYNTHETIC], own, wanted)[0] == 0
    return values, ~reached


def grid_of_image(volume: VolumeRef) -> Grid:
    """Return the grid of a volume that is an image of a case."""
    geometry = require_space(volume, "several images of a case")
    return Grid(geometry.shape, np.asarray(geometry.affine_lps_mm))
