"""An image of a case at the voxels of its first; the whole way from DICOM is in test_dicom_series.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from data_contracts import DataError, Geometry, VolumeRef
from medkd.cohorts.on_first import grid_of_image, on_first
from medkd.storage.store import Store


def image(store, name, values, step, origin=(0.0, 0.0, 0.0), **more):
    """Keep an image along the patient's axes and return its record."""
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = np.array([[0, 0, step], [0, step, 0], [step, 0, 0]], float), origin
    shape = tuple(values.shape)
    geometry = Geometry(shape=shape, affine_lps_mm=tuple(map(tuple, affine.tolist())), spacing_mm=(step,) * 3, residual_mm=0.0)
    array = store.write_tensors(f"{name}.safetensors", {"volume": torch.from_numpy(values), **more})
    return VolumeRef(
        array=array,
        geometry=geometry,
        unit="a.u.",
        modality="MR",
        patient_key="p",
        study_key="t",
        series_key=name,
        frame_of_reference_key="f",
    )


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def test_a_voxel_twice_as_large_is_the_mean_over_its_extent_where_the_finer_image_covers_it(store):
    fine = np.random.default_rng(0).normal(size=(8, 10, 12)).astype(np.float32)
    first, other = image(store, "a", np.zeros((4, 5, 6), np.float32), 2.0), image(store, "b", fine, 1.0)
    values, missing = on_first(other, first, ("b", "a"), store)
    # Centred on a fine voxel, it holds that one and half of each neighbour: what lies half a fine voxel beside the centre is the mean of two.
    mean = fine.astype(np.float64)
    for axis in range(3):
        mean = ndimage.correlate1d(mean, [0.25, 0.5, 0.25], axis=axis)
    inner = (slice(1, None),) * 3
    assert np.allclose(values[inner], mean[::2, ::2, ::2][inner], atol=1e-5)
    assert np.allclose(values[0], fine[::2, ::2, ::2][0], atol=1e-5)  # half of these lies before the image
    assert not missing.any()


def test_what_was_not_measured_in_the_image_is_not_measured_on_the_first(store):
    synthetic = torch.zeros(4, 5, 6, dtype=torch.uint8)
    synthetic[1] = 1
    first = image(store, "a", np.zeros((4, 5, 6), np.float32), 2.0)
    other = image(store, "b", np.ones((4, 5, 6), np.float32), 2.0, (0.0, 0.0, 1.0), synthetic=synthetic)  # half a voxel further on
    _, missing = on_first(other, first, ("b", "a"), store)
    # Slices 1 and 2 lie between one that was measured and one that was not.
    assert missing[:, 2, 2].tolist() == [False, True, True, False]


def test_an_image_of_another_part_of_the_body_is_refused_with_its_share(store):
    first = image(store, "a", np.zeros((4, 5, 6), np.float32), 2.0)
    for share, origin in ((0.25, (0.0, 0.0, 6.0)), (0.0, (0.0, 0.0, 90.0))):
        other = image(store, f"b{share}", np.ones((4, 5, 6), np.float32), 2.0, origin)
        if share:
            assert 1 - on_first(other, first, ("b", "a"), store)[1].mean() == pytest.approx(share)
            continue
        with pytest.raises(DataError, match="expected b to reach a quarter of a's volume or more, it reaches 0%") as caught:
            on_first(other, first, ("b", "a"), store)
        assert caught.value.code == "CHANNEL_OUTSIDE"


def test_a_picture_has_no_grid_in_the_patient(store):
    picture = image(store, "a", np.zeros((1, 5, 6), np.float32), 2.0).model_copy(update={"geometry": None})
    with pytest.raises(DataError):
        grid_of_image(picture)
