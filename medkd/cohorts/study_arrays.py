"""The voxels of an ingested volume and what its labels mark, as arrays: who reads them needs no torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import VolumeRef
from medkd.storage.store import Store

#: The voxels of an ingested volume, as they are stored; of a picture its values, and what is shown of them and networks see.
VOLUME, PICTURE = "volume", "picture"
LABEL = "label"
#: Voxels that nobody measured, uint8.
SYNTHETIC = "synthetic"


def study_arrays(volume: VolumeRef, store: Store) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
    """Return what a network is asked about, [slice, row, column], and what the volume's own labels mark, uint8; None without a label.

    Raises:
        StoreError: when bytes are gone or altered.
    """
    values = store.read_arrays(volume.array)[VOLUME if volume.picture is None else PICTURE]
    marked = [store.read_arrays(label.array)[LABEL] > 0 for label in volume.labels]
    return values, np.any(marked, axis=0).astype(np.uint8) if marked else None
