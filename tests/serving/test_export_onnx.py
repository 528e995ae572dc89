"""Every network of the catalogue as ONNX gives the answers and the maps that the network gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data_contracts import NetworkSpec, RegistryError, Task
from medkd.attribution.cam import cam
from medkd.models._build import build_network
from medkd.serving import export_onnx as exporting
from medkd.serving.export_onnx import TOLERANCE, compare_forms, export_onnx
from medkd.serving.network import OnnxNetwork
from medkd.targets import ClassLogit
from medkd.trace import frozen, layer_map_of, trace

NETWORKS = [
    ("resnet", 2, (32, 32), {"channels": (4, 8, 8, 8)}),
    ("resnet", 3, (16, 16, 16), {"channels": (4, 4, 8, 8)}),
    ("densenet", 2, (64, 64), {}),
    ("vit", 2, (32, 32), {}),
    ("unet", 2, (32, 32), {"channels": (4, 8, 16)}),
    ("unet", 3, (16, 16, 24), {"channels": (4, 8, 16), "residual_units": 1}),
    ("dyn_unet", 3, (16, 16, 16), {"filters": (4, 8, 16)}),
    ("seg_resnet", 2, (32, 32), {}),
    ("basic_unet", 2, (32, 32), {}),
    ("light_unet", 3, (16, 16, 24), {"channels": (4, 8, 8)}),
]
CLASSIFIERS = {"resnet", "densenet", "vit"}


def made(builder, dims, size, options, **more):
    kind = "classification" if builder in CLASSIFIERS else "segmentation"
    network = build_network(NetworkSpec(builder=builder, spatial_dims=dims, options=options, out_channels=3), seed=1).eval()
    return network, Task(kind=kind, classes=("none", "a", "b"), image_size=size, **more)


@pytest.mark.parametrize(("builder", "dims", "size", "options"), NETWORKS, ids=[f"{n}-{d}d" for n, d, _, _ in NETWORKS])
def test_answers_and_maps_are_the_networks(builder, dims, size, options):
    network, task = made(builder, dims, size, options)
    form = export_onnx(network, task)
    assert form.logits_difference <= TOLERANCE
    images = torch.randn(5, 1, *size, generator=torch.Generator().manual_seed(4))
    served = OnnxNetwork(form.payload, task)
    found = served.ask(images.numpy())
    with frozen(network), torch.no_grad():
        wanted = network(images)
    assert np.abs(found[0] - wanted.numpy()).max() <= TOLERANCE * max(1.0, float(wanted.abs().max()))
    assert served.has_map is (form.map_difference is not None)
    assert served.has_map
    # The map of each class by the explainer that the catalogue calls cam.
    with torch.no_grad():
        traced = trace(network, images, layers=(layer_map_of(network).cam_layer,))
    for index in range(3):
        own = _cam(traced, index)
        assert np.abs(found[1][:, index] - own).max() <= TOLERANCE * max(1.0, float(np.abs(own).max()))


def _cam(traced, index):
    if traced.logits.ndim == 2:
        return cam(traced, ClassLogit(index)).numpy()
    # Of a segmentation cam sums over voxels; voxel by voxel it is the head's product, less the bias.
    bias = traced.model.get_submodule(traced.layer_map.head).bias
    return (traced.logits[:, index] - (0 if bias is None else bias[index])).detach().numpy()


def test_the_bytes_are_the_same_each_time_and_name_no_place_of_this_machine():
    network, task = made("resnet", 2, (32, 32), {"channels": (4, 4, 4, 4)})
    first, second = export_onnx(network, task).payload, export_onnx(network, task).payload
    assert first == second
    assert b"/medkd/" not in first


def test_a_network_comes_back_in_the_mode_it_was_in():
    network, task = made("resnet", 2, (32, 32), {"channels": (4, 4, 4, 4)})
    network.train()
    network.layer1.eval()
    export_onnx(network, task)
    assert network.training
    assert not network.layer1.training
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("where", [0, 1])
def test_a_form_that_differs_is_refused(where):
    rng = np.random.default_rng(0)
    own = [rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=(4, 3, 8, 8)).astype(np.float32)]
    other = [part.copy() for part in own]
    assert compare_forms(own, other) == [0.0, 0.0]
    other[where].flat[5] += 3e-4 * max(1.0, float(np.abs(own[where]).max()))
    with pytest.raises(RegistryError, match="expected") as caught:
        compare_forms(own, other)
    assert caught.value.code == "FORM_DIFFERS"
    other[where].flat[5] = np.nan
    with pytest.raises(RegistryError):
        compare_forms(own, other)


def test_a_form_without_its_map_is_refused():
    own = [np.zeros((2, 3), np.float32), np.zeros((2, 3, 4, 4), np.float32)]
    with pytest.raises(RegistryError, match="2 outputs"):
        compare_forms(own, own[:1])


def test_an_exporter_that_refuses_is_said_in_a_sentence(monkeypatch):
    network, task = made("resnet", 2, (32, 32), {"channels": (4, 4, 4, 4)})

    def refuse(*args, **options):
        raise RuntimeError("no operator for this")

    monkeypatch.setattr(exporting.torch.onnx, "export", refuse)
    with pytest.raises(RegistryError, match="no operator") as caught:
        export_onnx(network, task)
    assert caught.value.code == "FORM_NOT_EXPORTED"
