"""A network whose maps are known, and volumes with bright boxes in any orientation."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

from data_contracts import Checkpoint, Geometry, ModelRef, NetworkSpec, Ref, Task, VolumeRef
from medkd.explanation.explain_study import LoadedModel
from medkd.storage.store import Store
from medkd.trace import LayerMap

TASK = Task(kind="segmentation", classes=("background", "bright"), image_size=(16, 16, 16), window=(0.0, 1.0))
SPEC = NetworkSpec(builder="unet", spatial_dims=3, options={"channels": (4, 8)})
SHA = hashlib.sha256(b"x").hexdigest()


class Neighbourhood(nn.Module):
    """Calls bright what is bright, and looks at the six neighbours a little: its maps are known."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv3d(1, 1, 3, padding=1, bias=False)
        kernel = torch.zeros(3, 3, 3)
        kernel[1, 1, 1] = 1.0
        for axis in range(3):
            for step in (0, 2):
                place = [1, 1, 1]
                place[axis] = step
                kernel[tuple(place)] = 0.05
        self.features.weight.data = kernel.view(1, 1, 3, 3, 3)
        self.head = nn.Conv3d(1, 2, 1, bias=False)
        self.head.weight.data = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1, 1)
        self.layer_map = LayerMap(feature_layers=("features",), cam_layer="features", head="head")

    def forward(self, image):
        return self.head(self.features(image))


def bright_model() -> LoadedModel:
    """Return the network as it is loaded from a registry."""
    model = ModelRef(name="m", version=1, manifest_digest=SHA, role="student", weights_digest=SHA)
    checkpoint = Checkpoint(
        role="student",
        arm="alone",
        seed=0,
        network=SPEC,
        task=TASK,
        weights=Ref(store="run", key="w", sha256=SHA),
        weights_digest=SHA,
        cohort_digest=SHA,
        recipe_digest=SHA,
        parameters=9,
        epochs=1,
    )
    return LoadedModel(model, checkpoint, Neighbourhood())


def bright_volume(store: Path, boxes, shape=(20, 24, 28), turn=((0, 0, 2.0), (0, 2.0, 0), (2.0, 0, 0))):
    """Return a volume's values and record; boxes are bright, everything else dark. Rows of ``turn`` are the axes in LPS."""
    values = torch.zeros(shape)
    for box in boxes:
        values[box] = 1.0
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = np.asarray(turn, dtype=float).T, (-28.0, -24.0, 5.0)
    spacing = tuple(float(v) for v in np.linalg.norm(affine[:3, :3], axis=0))
    geometry = Geometry(shape=shape, affine_lps_mm=tuple(map(tuple, affine.tolist())), spacing_mm=spacing, residual_mm=0.0)
    array = Store(store).write_tensors("v.safetensors", {"volume": values})
    keys = {"patient_key": "p1", "study_key": "t1", "series_key": "s1", "frame_of_reference_key": "f1"}
    return values, VolumeRef(array=array, geometry=geometry, unit="HU", modality="CT", **keys)
