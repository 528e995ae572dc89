"""Lesions of a segmented volume: connected components, frozen, with what can be measured of them; numpy alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import pdist

from data_contracts import Geometry, Lesion

#: 26-neighbourhood: voxels that share a face, an edge or a corner.
_NEIGHBOURS = np.ones((3, 3, 3), dtype=np.uint8)
#: Components of fewer voxels are left out where nothing else is said.
SMALLEST = 8
#: Components of fewer voxels are noise, of which no map can be measured; so are those of less volume where voxels are finer than a millimetre.
SMALLEST_VOXELS, SMALLEST_MM3 = 20, 20.0
#: Volumes that reach less far from left to right than this show a part of the body.
NARROW_MM = 100.0


def smallest_voxels(geometry: Geometry | None) -> int:
    """Return of how many voxels a component is at least a finding; of a picture (None) it is pixels that count."""
    if geometry is None:
        return SMALLEST_VOXELS
    return max(SMALLEST_VOXELS, math.ceil(SMALLEST_MM3 / abs(geometry.determinant_mm3())))


def find_components(
    mask: NDArray[Any],
    geometry: Geometry | None,
    *,
    class_name: str = "lesion",
    smallest: int = SMALLEST,
    wanted: Callable[[NDArray[np.uint8]], bool] | None = None,
) -> tuple[tuple[Lesion, NDArray[np.uint8]], ...]:
    """Return the connected components of a mask with their own masks, largest first.

    Args:
        mask: [slice, row, column], non-zero inside.
        geometry: of the same shape; gives volume, diameter and centroid in mm (LPS). None of a picture, of which none of them is known.
        class_name: name of the structure.
        smallest: components of fewer voxels are left out (their number is recorded nowhere).
        wanted: says of a component's own mask whether it is returned; None returns all. What is left out is not measured.
    """
    labelled, count = ndimage.label(mask > 0, structure=_NEIGHBOURS)
    # Everything else is done within a component's box: a segmented head has hundreds of components, and each would be looked for in all of it.
    sizes, boxes = np.bincount(labelled.ravel(), minlength=count + 1), ndimage.find_objects(labelled)
    large = [index for index in range(1, count + 1) if sizes[index] >= smallest]
    # Of components of one size the first in the volume comes first: the order is the same on every machine.
    large.sort(key=lambda index: (-int(sizes[index]), _first_voxel(labelled, boxes[index - 1], index)))
    masks = (((labelled == index).astype(np.uint8), boxes[index - 1]) for index in large)
    kept = ((own, box) for own, box in masks if wanted is None or wanted(own))
    return tuple((_describe(own, box, geometry, class_name, rank), own) for rank, (own, box) in enumerate(kept, 1))


def _first_voxel(labelled: NDArray[Any], box: tuple[slice, ...], index: int) -> int:
    """Return the place of a component's first voxel in the flattened volume."""
    within = labelled[box] == index
    first = np.unravel_index(int(within.argmax()), within.shape)
    return int(np.ravel_multi_index([begin.start + at for begin, at in zip(box, first, strict=True)], labelled.shape))


def _describe(own: NDArray[np.uint8], box: tuple[slice, ...], geometry: Geometry | None, class_name: str, rank: int) -> Lesion:
    component, begin = own[box], np.array([part.start for part in box])
    indices = np.argwhere(component) + begin
    counted: dict[str, Any] = {
        "tracking_id": f"lesion-{rank}",
        "class_name": class_name,
        "voxels": len(indices),
        "key_slice": int(begin[0] + component.sum(axis=(1, 2), dtype=np.int64).argmax()),
        "first_slice": int(indices[:, 0].min()),
        "last_slice": int(indices[:, 0].max()),
        "mask_sha256": hashlib.sha256(own.tobytes()).hexdigest(),
    }
    if geometry is None:
        return Lesion(**counted, volume_ml=None, diameter_mm=None, centroid_lps_mm=None)
    affine = np.asarray(geometry.affine_lps_mm)
    positions = indices @ affine[:3, :3].T + affine[:3, 3]
    centroid = positions.mean(axis=0)
    return Lesion(
        **counted,
        volume_ml=float(len(indices) * abs(geometry.determinant_mm3()) / 1000),
        diameter_mm=_diameter_mm(positions),
        axes_mm=axes_mm(component, geometry, begin=(int(begin[1]), int(begin[2]))),
        centroid_lps_mm=(float(centroid[0]), float(centroid[1]), float(centroid[2])),
        side=_side(centroid, geometry),
    )


def _diameter_mm(positions: np.ndarray) -> float:
    """Return the largest distance between two voxel centres, searched among the extreme voxels of 13 directions."""
    directions = np.array([d for d in np.ndindex(3, 3, 3) if d > (1, 1, 1)], dtype=float) - 1
    projections = positions @ directions.T
    extreme = np.unique(np.concatenate([projections.argmin(axis=0), projections.argmax(axis=0)]))
    return float(pdist(positions[extreme]).max()) if len(extreme) > 1 else 0.0


def axes_mm(component: NDArray[Any], geometry: Geometry, *, begin: tuple[int, int] = (0, 0)) -> tuple[float, float]:
    """Return the long and the short axis of a component [slice, row, column], in mm between voxel centres.

    The long axis is the longest distance within one slice, the first slice of those as long; the short axis is how far the component reaches in
    that slice along the direction perpendicular to it. ``begin`` is where rows and columns of a cut-out begin in the volume.
    """
    affine = np.asarray(geometry.affine_lps_mm)[:3, :3]
    longest, axes = -1.0, (0.0, 0.0)
    for plane in component[component.any(axis=(1, 2))] > 0:
        positions = (np.argwhere(plane) + begin) @ affine[:, 1:].T
        ends = (_ends(plane) + begin) @ affine[:, 1:].T
        apart = np.linalg.norm(ends[:, None] - ends[None], axis=-1)
        one, other = np.unravel_index(int(apart.argmax()), apart.shape)
        if apart[one, other] > longest + 1e-9:
            longest = float(apart[one, other])
            along = ends[other] - ends[one]
            across = np.cross(np.cross(affine[:, 1], affine[:, 2]), along)
            length = float(np.linalg.norm(across))
            axes = (longest, float(np.ptp(positions @ across)) / length if length > 0 else 0.0)
    return axes


def _ends(plane: NDArray[Any]) -> NDArray[np.int64]:
    """Return (row, column) of the first and the last pixel of every row: no other pixel can be an end of the longest distance."""
    rows = np.flatnonzero(plane.any(axis=1))
    first, last = plane[rows].argmax(axis=1), plane.shape[1] - 1 - plane[rows, ::-1].argmax(axis=1)
    return np.concatenate([np.stack([rows, first], 1), np.stack([rows, last], 1)])


def _side(centroid: np.ndarray, geometry: Geometry) -> str:
    """Return the side of the volume's middle: LPS x grows to the patient's left. Within 5 mm it is the midline.

    A narrow volume is a crop whose middle is not the patient's: its side is not known.
    """
    if float(np.abs(np.asarray(geometry.affine_lps_mm)[0, :3]) @ (np.array(geometry.shape) - 1)) < NARROW_MM:
        return "unknown"
    middle = geometry.position_lps_mm(*((extent - 1) / 2 for extent in geometry.shape))[0]
    offset = float(centroid[0]) - middle
    return "midline" if abs(offset) < 5.0 else ("left" if offset > 0 else "right")
