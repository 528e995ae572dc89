"""A network is asked in chunks, over mirrorings and over windows, whichever library answers; its answers are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from medkd.serving.network import OnnxNetwork
from medkd.serving.openvino_network import OpenVinoNetwork, convert_to_openvino
from medkd.serving.runtime_network import PICTURES_AT_ONCE, default_threads
from tests.serving.known_models import PICTURES, VOLUMES, factors_of, images_of, model_of, summed


@pytest.fixture(params=["onnx", "openvino"])
def opened(request):
    """Return what opens an ONNX model by a library."""
    if request.param == "onnx":
        return OnnxNetwork
    return lambda model, task, **more: OpenVinoNetwork(convert_to_openvino(model), task, **more)


@pytest.mark.parametrize("task", [PICTURES, VOLUMES])
@pytest.mark.parametrize("count", [1, PICTURES_AT_ONCE, PICTURES_AT_ONCE + 3])
def test_chunks_are_put_together_in_their_order(task, count, opened):
    images = images_of(task, count)
    logits, maps = opened(model_of(task), task).ask(images)
    assert np.allclose(logits, images * factors_of(task), atol=1e-6)
    assert np.allclose(maps, 2 * logits, atol=1e-6)


@pytest.mark.parametrize("task", [PICTURES, VOLUMES])
def test_pictures_go_many_at_once_and_volumes_one_by_one(task, opened, monkeypatch):
    network, sizes = opened(model_of(task), task), []
    run = network.run
    monkeypatch.setattr(network, "run", lambda images: [sizes.append(len(images)), run(images)][1])
    network.ask(images_of(task, PICTURES_AT_ONCE + 1))
    assert sizes == ([PICTURES_AT_ONCE, 1] if task is PICTURES else [1] * (PICTURES_AT_ONCE + 1))


@pytest.mark.parametrize(("task", "flips"), [(PICTURES, ()), (PICTURES, (0,)), (PICTURES, (0, 1)), (VOLUMES, (2,)), (VOLUMES, (0, 1, 2))])
def test_mirrored_answers_are_turned_back_and_averaged(task, flips, opened):
    """A mirrored image times the factors, turned back, is the image times the mirrored factors: their mean is taken by hand."""
    own = task.model_copy(update={"test_time_flips": flips})
    images, factors = images_of(task), factors_of(task)
    mirrorings = [axes for size in range(len(flips) + 1) for axes in itertools.combinations(flips, size)]
    assert len(mirrorings) == 2 ** len(flips)
    mean = np.mean([np.flip(factors, [axis + 2 for axis in axes]) for axes in mirrorings], axis=0)
    logits, maps = opened(model_of(task), own).predict(images)
    assert logits.dtype == np.float32
    assert np.allclose(logits, images * mean, atol=1e-5)
    assert np.allclose(maps, 2 * images * mean, atol=1e-5)


def test_one_number_per_class_is_averaged_and_not_turned(opened):
    task = PICTURES.model_copy(update={"kind": "classification", "test_time_flips": (0, 1)})
    images, factors = images_of(task), factors_of(task)
    network = opened(summed(task), task)
    assert not network.has_map
    (logits,) = network.predict(images)
    mirrored = [np.flip(factors, axes) for axes in ((), (2,), (3,), (2, 3))]
    assert np.allclose(logits, np.mean([(images * one).sum((2, 3)) for one in mirrored], axis=0), atol=1e-5)


def test_a_volume_is_answered_on_all_its_voxels_with_logits_and_maps_apart(opened):
    """Without overlap every voxel is seen by one window: the factors are laid side by side."""
    task = VOLUMES.model_copy(update={"overlap": 0.0})
    volume = np.random.default_rng(0).normal(size=(1, 8, 4, 12)).astype(np.float32)
    logits, maps = opened(model_of(task), task).predict_volume(volume)
    assert logits.shape == maps.shape == (2, 8, 4, 12)
    assert np.allclose(logits, volume * np.tile(factors_of(task)[0], (1, 2, 1, 3)), atol=1e-5)
    assert np.allclose(maps, 2 * logits, atol=1e-5)


def test_an_answer_is_its_own_and_stays_when_the_next_is_asked(opened):
    network = opened(model_of(PICTURES), PICTURES)
    images = images_of(PICTURES, 2)
    first = network.run(images[:1])
    kept = [part.copy() for part in first]
    network.run(images[1:])
    assert all(np.array_equal(one, other) for one, other in zip(first, kept, strict=True))


@pytest.mark.parametrize("task", [PICTURES, VOLUMES])
def test_without_maps_the_logits_are_the_same_and_there_is_no_map(task, opened):
    network, whole = opened(model_of(task), task, maps=False), opened(model_of(task), task)
    assert whole.has_map
    assert not network.has_map
    for count in (1, 3):
        (logits,) = network.predict(images_of(task, count))
        assert np.allclose(logits, whole.predict(images_of(task, count))[0], atol=1e-6)


def test_a_volume_within_one_window_is_answered_once_and_to_the_bit(opened):
    task = VOLUMES.model_copy(update={"overlap": 0.5})
    rows = task.image_size[0] - 1
    volume = np.random.default_rng(0).normal(size=(1, rows, *task.image_size[1:])).astype(np.float32)
    network = opened(model_of(task), task)
    window = np.concatenate([volume, np.full((1, 1, *task.image_size[1:]), volume.min(), np.float32)], axis=1)
    for found, wanted in zip(network.predict_volume(volume), network.ask(window[None]), strict=True):
        assert np.array_equal(found, wanted[0][:, :rows])
        assert found.flags.c_contiguous


def test_the_runtime_is_named_with_its_version(opened):
    assert opened(model_of(PICTURES), PICTURES).runtime.split()[0] in ("onnxruntime", "openvino")


@pytest.mark.parametrize(("said", "threads"), [("3", 3), ("", 0), (None, 0)])
def test_threads_are_those_that_the_environment_allows(monkeypatch, said, threads):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if said is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert default_threads() == threads
