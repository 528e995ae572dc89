"""Forms planted for tests: one that does its work ten times, one whose maps lie elsewhere, one that answers the contrary."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

from data_contracts import Candidate, MadeForm
from medkd.compression.made_forms import keep_files
from medkd.compression.make_form import BASELINES, make_form
from medkd.models._load import load_network
from medkd.serving.export_onnx import export_onnx
from medkd.serving.form import NETWORK
from medkd.serving.network import CLASS_MAP, LOGITS


def own_form(workspace, cohorts, checkpoint, runtime):
    return make_form(workspace, runtime, BASELINES[runtime], checkpoint, cohorts, checkpoint.seed)


def made(workspace, cohorts, checkpoint, name, **candidate):
    return make_form(workspace, name, Candidate(**candidate), checkpoint, cohorts, checkpoint.seed)


def payload_of(workspace, checkpoint):
    return export_onnx(load_network(workspace, checkpoint), checkpoint.task).payload


def planted(workspace, checkpoint, name, payload):
    files = keep_files(workspace.store, f"compression/planted/{name}", {NETWORK: payload})
    return MadeForm(name=name, seed=checkpoint.seed, checkpoint=checkpoint.without_measured(), runtime="onnx", files=files)


def with_output(payload, output, nodes, values=()):
    """Return a model whose output is made of what it was: nodes read ``own`` and write the output."""
    model = onnx.load_from_string(payload)
    for node in model.graph.node:
        node.output[:] = ["own" if name == output else name for name in node.output]
        node.input[:] = ["own" if name == output else name for name in node.input]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(values)
    return model.SerializeToString()


def blind(payload, extent):
    """Return a model that answers as before and whose class maps are mirrored."""
    turned = numpy_helper.from_array(np.arange(extent)[::-1].copy(), "turned")
    return with_output(payload, CLASS_MAP, [helper.make_node("Gather", ["own", "turned"], [CLASS_MAP], axis=-1)], [turned])


def contrary(payload):
    """Return a model that answers the other class."""
    return with_output(payload, LOGITS, [helper.make_node("Neg", ["own"], [LOGITS])])


class TenTimes(nn.Module):
    """A convolution's work done ten times for the same answer."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        # Of ten inputs that are not quite the same: whoever asks may not do it once and keep what came of it.
        return torch.stack([self.network(image + 1e-7 * turn) for turn in range(10)]).mean(0)


def ten_times(workspace, checkpoint):
    """Return ONNX of the network, asked ten times for one answer; without maps."""
    import io
    import warnings

    network, stream = TenTimes(load_network(workspace, checkpoint)), io.BytesIO()
    image = torch.zeros(1, 1, *checkpoint.task.image_size)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(network.eval(), (image,), stream, dynamo=False, input_names=["image"], output_names=["logits"], dynamic_axes={"image": {0: "n"}, "logits": {0: "n"}}, opset_version=18)  # fmt: skip
    return stream.getvalue()
