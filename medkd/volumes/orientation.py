"""The one place where LPS becomes RAS: NIfTI at the edge."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from data_contracts import Geometry, VolumeRef
from medkd.volumes.store import Store

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def ras_affine(geometry: Geometry) -> NDArray[np.float64]:
    """Return the NIfTI affine, (column, row, slice) index → RAS mm, of a geometry kept as (slice, row, column) → LPS mm."""
    lps = np.asarray(geometry.affine_lps_mm)
    return _LPS_TO_RAS @ lps[:, [2, 1, 0, 3]]


def write_nifti(store: Store, volume: VolumeRef, path: Path) -> Path:
    """Write a stored volume as NIfTI with axes (column, row, slice) and its affine in RAS mm; the header names no one."""
    values = store.read_tensors(volume.array)["volume"].numpy()
    image = nibabel.Nifti1Image(np.ascontiguousarray(values.transpose(2, 1, 0)), ras_affine(volume.geometry))
    image.header.set_xyzt_units("mm")
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return path
