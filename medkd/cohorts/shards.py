"""What a case of a cohort of volumes lies in: the one place that knows the names of tensors in files.

A folder of volumes is imported into one file per case. A volume that was ingested from DICOM lies in the store of the ingestion, and the
cohort refers to it there; what its label was made of for this task lies beside the cohort.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from data_contracts import Case, VolumeRef
from medkd.cohorts.study_arrays import LABEL as LABEL
from medkd.cohorts.study_arrays import PICTURE as PICTURE
from medkd.cohorts.study_arrays import SYNTHETIC as SYNTHETIC
from medkd.cohorts.study_arrays import VOLUME as VOLUME
from medkd.storage.store import Store

IMAGE, AFFINE = "image", "affine_lps_mm"


@dataclass(frozen=True)
class VolumeShard:
    """One case, on the voxels it came with.

    Attributes:
        image: float32 [slice, row, column], in the unit of its modality.
        affine_lps_mm: float64 [4, 4], of (slice, row, column).
        label: uint8 [slice, row, column]; zeros where nothing is marked.
        synthetic: non-zero where a voxel was not measured; None where all were.
        channels: the images that were asked for, as ``image``; that one alone where nothing was named.
    """

    image: Tensor
    affine_lps_mm: Tensor
    label: Tensor
    synthetic: Tensor | None
    channels: tuple[Tensor, ...]


def seen_values(volume: VolumeRef, store: Store) -> Tensor:
    """Return what a network is asked about of an ingested volume, every byte verified: its voxels, of a picture what is shown of them."""
    return store.read_tensors(volume.array)[VOLUME if volume.picture is None else PICTURE]


def read_volume(case: Case, store: Store, channels: tuple[str, ...] = (IMAGE,)) -> VolumeShard:
    """Read a case, every byte verified; ``channels`` are the tensors of the images that are asked for."""
    arrays = store.read_tensors(case.image)
    marked = arrays if case.mask is None or case.mask == case.image else store.read_tensors(case.mask)
    image = arrays[IMAGE] if IMAGE in arrays else arrays[VOLUME].float()
    affine = arrays[AFFINE] if case.geometry is None else torch.tensor(case.geometry.affine_lps_mm, dtype=torch.float64)
    label = marked.get(LABEL)
    asked = tuple(image if name == IMAGE else arrays[name] for name in channels)
    return VolumeShard(image, affine, torch.zeros(image.shape, dtype=torch.uint8) if label is None else label, arrays.get(SYNTHETIC), asked)
