"""Reports and explanations are held against every label of a volume, not against the object that was read first."""

from __future__ import annotations

import torch

from data_contracts import Geometry, LabelRef, Segment, VolumeRef
from medkd.explanation.of_registry import read_volume
from medkd.storage.store import Store

SHAPE = (3, 8, 8)
GEOMETRY = Geometry(
    shape=SHAPE, affine_lps_mm=((0, 0, 1.0, 0), (0, 1.0, 0, 0), (1.0, 0, 0, 0), (0, 0, 0, 1.0)), spacing_mm=(1.0, 1.0, 1.0), residual_mm=0
)


def labelled_twice(store):
    """Write a volume with two label objects of one voxel each."""
    array = store.write_tensors("volumes/v.safetensors", {"volume": torch.zeros(SHAPE)})
    labels = []
    for number, place in ((1, (0, 1, 1)), (2, (2, 3, 3))):
        values = torch.zeros(SHAPE, dtype=torch.uint8)
        values[place] = number
        written = store.write_tensors(f"labels/{number}.safetensors", {"label": values})
        segments = (Segment(value=number, name=f"part {number}"),)
        labels.append(LabelRef(array=written, geometry=GEOMETRY, segments=segments, volume_sha256=array.sha256))
    return VolumeRef(
        array=array, geometry=GEOMETRY, unit="HU", modality="CT", patient_key="p", study_key="t", series_key="s",
        label=labels[0], further_labels=(labels[1],),
    )  # fmt: skip


def test_explanations_and_so_reports_are_held_against_all_labels(tmp_path):
    store = Store(tmp_path)
    assert torch.nonzero(read_volume(store, labelled_twice(store)).label).tolist() == [[0, 1, 1], [2, 3, 3]]
