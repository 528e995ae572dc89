"""What the labels of a volume mark: all of them, whoever reads them."""

from __future__ import annotations

import torch
from torch import Tensor

from data_contracts import VolumeRef
from medkd.storage.store import Store


def marked_voxels(volume: VolumeRef, store: Store) -> Tensor | None:
    """Return the voxels that any structure of any label of a volume holds, uint8 [slice, row, column]; None without a label.

    Raises:
        StoreError: when the bytes of a label are gone or altered.
    """
    marked = [store.read_tensors(label.array)["label"] > 0 for label in volume.labels]
    return torch.stack(marked).any(0).to(torch.uint8) if marked else None
