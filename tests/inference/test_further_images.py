"""Several images of a study: each voxel of the first is shown what lies there in the patient, and what nobody measured is said."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data_contracts import DataError, Geometry, Task, VolumeRef
from medkd.cohorts.volume_cohort import bring_intensity
from medkd.inference.further_images import NO_FURTHER, FurtherImages, images_caveats, read_further
from medkd.inference.segment import prepare_study
from medkd.storage.store import Store
from medkd.volumes.orientation import grid_of

TASK = Task(kind="segmentation", classes=("background", "lesion"), image_size=(8, 8, 8), window=(0.0, 100.0), channels=("t1", "t2"))
SLOPE = np.array([2.0, 3.0, -1.0])


def image(store, name, shape, step, origin=(0.0, 0.0, 0.0), modality="MR"):
    """Keep an image along the patient's axes whose values are linear in the place, and return its record."""
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = np.array([[0, 0, step], [0, step, 0], [step, 0, 0]], float), origin
    geometry = Geometry(shape=shape, affine_lps_mm=tuple(map(tuple, affine.tolist())), spacing_mm=(step,) * 3, residual_mm=0.0)
    array = store.write_tensors(f"{name}.safetensors", {"volume": torch.from_numpy(centres(geometry) @ SLOPE)})
    keys = {"patient_key": "p", "study_key": "t", "series_key": name, "frame_of_reference_key": "f"}
    return VolumeRef(array=array, geometry=geometry, unit="a.u.", modality=modality, **keys)


def centres(geometry):
    affine = np.asarray(geometry.affine_lps_mm)
    return np.moveaxis(np.indices(geometry.shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def test_what_lies_at_a_voxel_of_the_first_is_shown_there(store):
    first, other = image(store, "a", (6, 8, 10), 2.0), image(store, "b", (14, 20, 24), 1.0, (-1.0, -1.0, -1.0))
    found = read_further(first, (other,), store, TASK)
    assert found.volumes == (other,)
    assert found.unmeasured == 0
    assert np.allclose(found.values[0], centres(first.geometry) @ SLOPE, atol=1e-3)


def test_voxels_that_an_image_does_not_reach_are_counted(store):
    first, other = image(store, "a", (6, 8, 10), 2.0), image(store, "b", (6, 8, 5), 2.0)
    assert read_further(first, (other,), store, TASK).unmeasured == 0.5
    far = image(store, "c", (6, 8, 10), 2.0, (0.0, 0.0, 90.0))
    with pytest.raises(DataError, match="expected t2 to reach a quarter of t1's volume or more, it reaches 0%") as caught:
        read_further(first, (far,), store, TASK)
    assert caught.value.code == "CHANNEL_OUTSIDE"


def test_networks_see_the_images_in_the_order_of_their_channels(store):
    first, other = image(store, "a", (8, 8, 8), 2.0), image(store, "b", (8, 8, 8), 2.0, (0.0, 0.0, 4.0))
    grid = grid_of(first.geometry)
    values, further = torch.rand(grid.shape), read_further(first, (other,), store, TASK).values
    study = prepare_study(values, grid, TASK, further)
    assert study.image.shape == (2, *grid.shape)
    for channel, one in zip(study.image, (values, *map(torch.from_numpy, further)), strict=True):
        assert torch.equal(channel, bring_intensity(study.alignment.to_network(one), TASK))
    flat = TASK.model_copy(update={"image_size": (8, 8)})
    assert torch.equal(prepare_study(values, grid, flat, further).image[:, 1], bring_intensity(torch.from_numpy(further[0]), flat))


@pytest.mark.parametrize(("channels", "count"), [(("t1", "t2", "flair"), 1), (("t1",), 1), (("t1", "t2"), 2)])
def test_more_or_fewer_images_than_a_network_sees_are_refused(store, channels, count):
    first, task = image(store, "a", (8, 8, 8), 2.0), TASK.model_copy(update={"channels": channels})
    for ask in (
        lambda: read_further(first, (first,) * count, store, task),
        lambda: prepare_study(torch.zeros(8, 8, 8), grid_of(first.geometry), task, (np.zeros((8, 8, 8), np.float32),) * count),
    ):
        with pytest.raises(DataError, match=channels[0]) as caught:
            ask()
        assert caught.value.code == "TASK_INPUTS"


def test_a_network_of_one_image_has_no_further_and_nothing_is_said(store):
    first = image(store, "a", (8, 8, 8), 2.0)
    assert read_further(first, (), store, TASK) == NO_FURTHER
    assert images_caveats(TASK, first, NO_FURTHER) == ()


@pytest.mark.parametrize(("unmeasured", "said"), [(0.0, None), (0.001, "1%"), (0.328, "33%")])
def test_the_images_are_named_and_what_they_do_not_share_is_said(store, unmeasured, said):
    first, other = image(store, "a", (8, 8, 8), 2.0), image(store, "b", (8, 8, 8), 2.0, modality="CT")
    found = images_caveats(TASK, first, FurtherImages((other,), (np.zeros((8, 8, 8), np.float32),), unmeasured))
    assert "t1 (MR), t2 (CT); findings lie on t1" in found[0].text
    assert [(one.code, one.text.partition(" of the volume")[0], one.severity) for one in found[1:]] == (
        [] if said is None else [("IMAGES_OUTSIDE", said, 2)]
    )
