"""Models whose answers are known by hand: an image times known numbers."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from data_contracts import Task
from medkd.serving.runtime_network import CLASS_MAP, IMAGE, LOGITS

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
