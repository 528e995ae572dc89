"""Small networks as they are bundled, and studies that they are asked about."""

from __future__ import annotations

import hashlib

import torch

from data_contracts import Checkpoint, ModelRef, NetworkSpec, Ref, Task
from medkd.models._build import build_network
from medkd.serving.write_bundle import BundledModel

SHA = hashlib.sha256(b"x").hexdigest()
OPTIONS = {"unet": {"channels": (4, 8, 16)}, "resnet": {"channels": (4, 4, 8, 8)}}


def bundled(builder, size=(16, 16, 24), **task) -> BundledModel:
    """Return a network of three classes (two where it classifies), none of which it prefers on the whole."""
    segments = builder == "unet"
    classes = ("background", "left", "right") if segments else ("no", "yes")
    wanted = Task(kind="segmentation" if segments else "classification", classes=classes, image_size=size, **task)
    spec = NetworkSpec(builder=builder, spatial_dims=len(size), options=OPTIONS[builder], out_channels=len(classes))
    network = build_network(spec, seed=3).eval()
    head = network.get_submodule(network.layer_map.head)
    if head.bias is not None:
        with torch.no_grad():
            noise = torch.randn(4, 1, *size, generator=torch.Generator().manual_seed(0))
            head.bias -= network(noise).mean(dim=(0, *range(2, 2 + len(size))))
    model = ModelRef(name="net", version=1, manifest_digest=SHA, role="student", weights_digest=SHA)
    checkpoint = Checkpoint(
        role="student", arm="a", seed=0, network=spec, task=wanted, weights=Ref(store="run", key="w", sha256=SHA), weights_digest=SHA,
        cohort_digest=SHA, recipe_digest=SHA, parameters=9, epochs=1,
    )  # fmt: skip
    return BundledModel(model, checkpoint, None, network)
