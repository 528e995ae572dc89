from __future__ import annotations

from pathlib import Path

import torch

from data_contracts import LabelRef, VolumeRef, read_record
from medkd.cohorts.marked import marked_voxels
from medkd.storage.store import Store

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden"


def test_what_any_label_marks_is_marked_whatever_value_it_has(tmp_path):
    manifest = read_record((GOLDEN / "volume_1.json").read_bytes(), VolumeRef)
    store, labels = Store(tmp_path, "run"), []
    one = read_record((GOLDEN / "label_1.json").read_bytes(), LabelRef)
    for number, place in ((1, 0), (7, 3)):
        values = torch.zeros(2, 2, 2, dtype=torch.uint8)
        values.view(-1)[place] = number
        labels.append(one.model_copy(update={"array": store.write_tensors(f"{number}", {"label": values})}))
    marked = marked_voxels(manifest.model_copy(update={"label": labels[0], "further_labels": (labels[1],)}), store)
    assert marked.dtype is torch.uint8
    assert marked.flatten().tolist() == [1, 0, 0, 1, 0, 0, 0, 0]
    assert marked_voxels(manifest.model_copy(update={"label": None}), store) is None
