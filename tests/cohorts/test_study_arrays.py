from __future__ import annotations

import numpy as np
import pytest

from data_contracts import StoreError
from medkd.cohorts.shards import seen_values
from medkd.cohorts.study_arrays import study_arrays
from medkd.storage.store import Store
from tests.explanation.studies import bright_volume


def test_the_arrays_of_a_volume_are_its_tensors(tmp_path):
    values, volume = bright_volume(tmp_path, [np.s_[2:4, 2:4, 2:4]])
    store = Store(tmp_path)
    found, label = study_arrays(volume, store)
    np.testing.assert_array_equal(found, values.numpy())
    np.testing.assert_array_equal(found, seen_values(volume, store).numpy())
    assert label is None


def test_what_any_label_marks_is_marked(tmp_path):
    _, volume = bright_volume(tmp_path, [])
    store, shape = Store(tmp_path), volume.geometry.shape
    masks = np.zeros((2, *shape), np.uint8)
    masks[0, 1, 1, 1], masks[1, 2, 2, 2] = 1, 3
    refs = [store.write_arrays(f"l{place}.safetensors", {"label": mask}) for place, mask in enumerate(masks)]
    labels = tuple(type("Label", (), {"array": ref})() for ref in refs)
    _, label = study_arrays(type("Volume", (), {"array": volume.array, "picture": None, "labels": labels})(), store)
    assert label.dtype == np.uint8
    assert label.sum() == 2
    assert label[1, 1, 1] == label[2, 2, 2] == 1


def test_altered_bytes_are_refused(tmp_path):
    _, volume = bright_volume(tmp_path, [])
    (tmp_path / "v.safetensors").write_bytes(b"x")
    with pytest.raises(StoreError) as caught:
        study_arrays(volume, Store(tmp_path))
    assert caught.value.code == "STORE_ALTERED"
