from __future__ import annotations

import torch

from data_contracts import NetworkSpec, Task
from medkd.attribution.cam import cam
from medkd.models._build import build_network
from medkd.models._inputs import PicksInputs, picked, picking
from medkd.targets import class_margin
from medkd.trace import layer_map_of, trace

SHOWN = Task(kind="classification", classes=("no", "yes"), image_size=(16, 16), channels=("a", "b"))
OWN = SHOWN.seen_through(("b",))


def test_a_network_is_shown_all_and_sees_its_own():
    network = build_network(NetworkSpec(builder="resnet", options={"channels": (4, 4, 6, 8)}), seed=1).eval()
    image = torch.randn(3, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    seeing = picking(network, OWN, SHOWN).eval()
    assert isinstance(seeing, PicksInputs)
    torch.testing.assert_close(seeing(image), network(image[:, 1:]))
    # Its class map, and the gradient with respect to what it does not see.
    layers = (layer_map_of(seeing).cam_layer,)
    target = class_margin(torch.ones(3, dtype=torch.int64))
    torch.testing.assert_close(
        cam(trace(seeing, image, layers=layers), target), cam(trace(network, image[:, 1:], layers=("layer4",)), target)
    )
    given = image.clone().requires_grad_()
    seeing(given).sum().backward()
    assert given.grad[:, 1].abs().sum() > 0 == given.grad[:, 0].abs().sum()
    assert picked(seeing) is network
    assert picked(network) is network


def test_a_network_that_sees_all_is_itself():
    network = torch.nn.Identity()
    assert picking(network, SHOWN, SHOWN) is network
    assert picking(network, OWN, OWN) is network


def test_every_named_layer_is_found_through_the_picking():
    spec = NetworkSpec(builder="multi_task_unet", options={"channels": (4, 6, 8)})
    task = SHOWN.model_copy(update={"kind": "segmentation"})
    seeing = picking(build_network(spec), task.seen_through(("a",)), task)
    named = layer_map_of(seeing)
    every = (
        *named.feature_layers,
        named.cam_layer,
        named.head,
        *named.encoder,
        *named.other_heads.values(),
        *named.other_cam_layers.values(),
    )
    assert all(layer.startswith("network.") and seeing.get_submodule(layer) is not None for layer in every)
    assert set(trace(seeing, torch.zeros(2, 2, 32, 32)).outputs) == {"default", "classification"}
