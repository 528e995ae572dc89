"""The serving form of a version: what its folder holds, and where MLflow finds the code that it executes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import Task, TaskKind

#: The model's own file, which MLflow copies into every version and executes (:mod:`medkd.serving.predict`).
PREDICT = Path(__file__).with_name("predict.py")
#: Files of the serving form beside its manifest.
NETWORK, CODE, REQUIREMENTS = "model.onnx", "medkd-code.zip", "requirements.txt"


#: Voxels along an axis of a synthetic volume that is segmented: windows take any size, and an example should be small.
_EXAMPLE_EXTENT = 8


@dataclass(frozen=True)
class PackedForm:
    """A serving form that was written and agrees with its network.

    Attributes:
        folder: its files and their manifest.
        digest: of the manifest.
        requirements: libraries, pinned.
        example: synthetic image [channel, *space] that the network takes; noise, of nobody.
        parity: largest difference of logits (and maps) from the network, as a share of the magnitude.
    """

    folder: Path
    digest: str
    requirements: tuple[str, ...]
    example: NDArray[np.float32]
    parity: dict[str, float]

    def example_rows(self) -> list[dict[str, Any]]:
        """Return the example as a row of the table that a served version takes."""
        return [{"image": self.example.tolist()}]


def example_image(task: Task) -> NDArray[np.float32]:
    """Return a synthetic image [channel, *space] that a network of a task takes: noise, of nobody."""
    windows = task.spatial_dims == 3 and task.kind is TaskKind.SEGMENTATION
    size = (_EXAMPLE_EXTENT,) * 3 if windows else task.image_size
    return np.random.default_rng(0).normal(size=(task.in_channels, *size)).astype(np.float32).round(3)
