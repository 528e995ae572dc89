"""An ONNX network is asked in chunks, over mirrorings and over windows; its answers are known, being the image times known numbers."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from data_contracts import Task
from medkd.serving.network import CLASS_MAP, IMAGE, LOGITS, PICTURES_AT_ONCE, OnnxNetwork

PICTURES = Task(kind="segmentation", classes=("a", "b"), image_size=(4, 6))
VOLUMES = Task(kind="segmentation", classes=("a", "b"), image_size=(4, 4, 4))


def factors_of(task):
    """Return a number per class and voxel, [1, 2, *space], like none of its mirrorings."""
    return np.random.default_rng(1).normal(size=(1, 2, *task.image_size)).astype(np.float32)


def model_of(task, outputs=(LOGITS, CLASS_MAP)):
    """Return a model whose logits are the image times :func:`factors_of` and whose class maps are twice that."""
    shape = ["n", 1, *task.image_size]
    values = [numpy_helper.from_array(factors_of(task), "factors"), numpy_helper.from_array(np.float32(2.0), "two")]
    nodes = [helper.make_node("Mul", [IMAGE, "factors"], [LOGITS]), helper.make_node("Mul", [LOGITS, "two"], [CLASS_MAP])]
    graph = helper.make_graph(
        nodes[: len(outputs)],
        "test",
        [helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2, *task.image_size]) for name in outputs],
        values,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


def summed(task):
    """Return a model that puts out one number per class: the sum of the image times :func:`factors_of`."""
    model = onnx.load_from_string(model_of(task, (LOGITS,)))
    model.graph.node[0].output[0] = "product"
    axes = numpy_helper.from_array(np.arange(2, 2 + task.spatial_dims), "axes")
    model.graph.initializer.append(axes)
    model.graph.node.append(helper.make_node("ReduceSum", ["product", "axes"], [LOGITS], keepdims=0))
    del model.graph.output[0].type.tensor_type.shape.dim[2:]
    return model.SerializeToString()


def images_of(task, count=3):
    return np.random.default_rng(0).normal(size=(count, 1, *task.image_size)).astype(np.float32)


@pytest.mark.parametrize("task", [PICTURES, VOLUMES])
@pytest.mark.parametrize("count", [1, PICTURES_AT_ONCE, PICTURES_AT_ONCE + 3])
def test_chunks_are_put_together_in_their_order(task, count):
    images = images_of(task, count)
    logits, maps = OnnxNetwork(model_of(task), task).ask(images)
    assert np.allclose(logits, images * factors_of(task), atol=1e-6)
    assert np.allclose(maps, 2 * logits, atol=1e-6)


@pytest.mark.parametrize("task", [PICTURES, VOLUMES])
def test_pictures_go_many_at_once_and_volumes_one_by_one(task):
    network, sizes = OnnxNetwork(model_of(task), task), []
    session = network._session

    class Counting:
        def run(self, names, given):
            sizes.append(len(given[IMAGE]))
            return session.run(names, given)

    network._session = Counting()
    network.ask(images_of(task, PICTURES_AT_ONCE + 1))
    assert sizes == ([PICTURES_AT_ONCE, 1] if task is PICTURES else [1] * (PICTURES_AT_ONCE + 1))


@pytest.mark.parametrize(("task", "flips"), [(PICTURES, ()), (PICTURES, (0,)), (PICTURES, (0, 1)), (VOLUMES, (2,)), (VOLUMES, (0, 1, 2))])
def test_mirrored_answers_are_turned_back_and_averaged(task, flips):
    """A mirrored image times the factors, turned back, is the image times the mirrored factors: their mean is taken by hand."""
    own = task.model_copy(update={"test_time_flips": flips})
    images, factors = images_of(task), factors_of(task)
    mirrorings = [axes for size in range(len(flips) + 1) for axes in itertools.combinations(flips, size)]
    assert len(mirrorings) == 2 ** len(flips)
    mean = np.mean([np.flip(factors, [axis + 2 for axis in axes]) for axes in mirrorings], axis=0)
    logits, maps = OnnxNetwork(model_of(task), own).predict(images)
    assert logits.dtype == np.float32
    assert np.allclose(logits, images * mean, atol=1e-5)
    assert np.allclose(maps, 2 * images * mean, atol=1e-5)


def test_one_number_per_class_is_averaged_and_not_turned():
    task = PICTURES.model_copy(update={"kind": "classification", "test_time_flips": (0, 1)})
    images, factors = images_of(task), factors_of(task)
    network = OnnxNetwork(summed(task), task)
    assert not network.has_map
    (logits,) = network.predict(images)
    mirrored = [np.flip(factors, axes) for axes in ((), (2,), (3,), (2, 3))]
    assert np.allclose(logits, np.mean([(images * one).sum((2, 3)) for one in mirrored], axis=0), atol=1e-5)


def test_a_volume_is_answered_on_all_its_voxels_with_logits_and_maps_apart():
    """Without overlap every voxel is seen by one window: the factors are laid side by side."""
    task = VOLUMES.model_copy(update={"overlap": 0.0})
    volume = np.random.default_rng(0).normal(size=(1, 8, 4, 12)).astype(np.float32)
    logits, maps = OnnxNetwork(model_of(task), task).predict_volume(volume)
    assert logits.shape == maps.shape == (2, 8, 4, 12)
    assert np.allclose(logits, volume * np.tile(factors_of(task)[0], (1, 2, 1, 3)), atol=1e-5)
    assert np.allclose(maps, 2 * logits, atol=1e-5)


def test_a_file_is_a_model_too_and_gives_the_same_answers(tmp_path):
    (tmp_path / "model.onnx").write_bytes(model_of(PICTURES))
    from_file, from_bytes = OnnxNetwork(tmp_path / "model.onnx", PICTURES, threads=1), OnnxNetwork(model_of(PICTURES), PICTURES)
    assert from_file.has_map
    for one, other in zip(from_file.predict(images_of(PICTURES)), from_bytes.predict(images_of(PICTURES)), strict=True):
        assert np.array_equal(one, other)
