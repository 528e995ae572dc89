"""Sources as they come from elsewhere, made once."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from monai.networks.nets import SegResNet

from medkd.registry.mlflow_registry import MlflowRegistry

NNUNET = Path(__file__).with_name("nnunet_2_8_1.zip")
ARGUMENTS = {"init_filters": 4, "blocks_down": [1, 1], "blocks_up": [1], "norm": "batch"}


@pytest.fixture(scope="session")
def tracking(tmp_path_factory):
    return tmp_path_factory.mktemp("registry") / "mlflow.db"


@pytest.fixture(scope="session")
def registry(tracking):
    return MlflowRegistry(f"sqlite:///{tracking}", artifacts=tracking.parent / "artifacts")


@pytest.fixture(scope="session")
def nnunet(tmp_path_factory):
    """Return the folder that nnU-Net 2.8.1 left, and its own answer beside it."""
    folder = tmp_path_factory.mktemp("nnunet")
    with zipfile.ZipFile(NNUNET) as packed:
        packed.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def answer(nnunet):
    with np.load(nnunet / "answer.npz") as found:
        return {name: torch.from_numpy(found[name]) for name in found.files}


def monai_source(seed=0):
    """Return a network of MONAI as somebody else trained it."""
    torch.manual_seed(seed)
    network = SegResNet(spatial_dims=3, in_channels=1, out_channels=3, **ARGUMENTS).eval()
    for parameter in network.parameters():
        parameter.data.normal_(0, 0.3)
    return network


def write_bundle_folder(folder, network, *, definition=None, weights="model.pt", **metadata):
    """Write a bundle as MONAI's model zoo has them."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    channels = {"0": "background", "1": "liver", "2": "tumour"}
    image = {"type": "image", "num_channels": 1, "spatial_shape": [16, 24, 32], "channel_def": {"0": "image"}}
    pred = {"type": "image", "num_channels": 3, "spatial_shape": [16, 24, 32], "channel_def": channels}
    said = {"name": "Liver Tumour", "version": "0.3.1", "authors": "somebody", "data_licence": "CC-BY-4.0", **metadata}
    said["network_data_format"] = {"inputs": {"image": image}, "outputs": {"pred": pred}}
    steps = [
        {"_target_": "LoadImaged", "keys": "image"},
        {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
        {"_target_": "Spacingd", "keys": "image", "pixdim": [1.5, 1.5, 2.0], "mode": "bilinear"},
        {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": -57, "a_max": 164, "b_min": 0.0, "b_max": 1.0, "clip": True},
        {"_target_": "CropForegroundd", "keys": "image", "source_key": "image"},
    ]
    config = {
        "imports": ["$import os", f"$__import__('pathlib').Path({str(folder / 'ran')!r}).touch()"],
        "classes": 3,
        "network_def": definition
        or {"_target_": "SegResNet", "spatial_dims": 3, "in_channels": 1, "out_channels": "@classes", **ARGUMENTS},
        "preprocessing": {"_target_": "Compose", "transforms": steps},
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [16, 24, 32], "overlap": 0.25},
    }
    (folder / "configs" / "metadata.json").write_text(json.dumps(said))
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    if weights.endswith(".safetensors"):
        safetensors.torch.save_file(network.state_dict(), folder / "models" / weights)
    else:
        torch.save({"model": network.state_dict(), "epoch": 3}, folder / "models" / weights)
    return folder


class Malicious:
    """What runs when it is unpickled."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return (exec, (f"open({str(self.place)!r}, 'w').close()",))
