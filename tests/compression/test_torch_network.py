"""A network of this process answers as its exported form does."""

from __future__ import annotations

import numpy as np
import torch

from medkd.compression.torch_network import TorchNetwork
from medkd.models._load import load_network
from medkd.serving.network import OnnxNetwork
from tests.compression.made import payload_of


def test_it_gives_what_the_onnx_form_gives_and_stays_in_its_mode(workspace, student):
    network = load_network(workspace, student).train()
    asked = TorchNetwork(network, student.task)
    images = np.random.default_rng(0).normal(size=(3, 1, *student.task.image_size)).astype(np.float32)
    for own, other in zip(asked.ask(images), OnnxNetwork(payload_of(workspace, student), student.task).ask(images), strict=True):
        np.testing.assert_allclose(own, other, atol=1e-4)
    assert network.training
    assert asked.has_map
    assert asked.runtime.startswith(f"torch {torch.__version__.split('+')[0]}")
