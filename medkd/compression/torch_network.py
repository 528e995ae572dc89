"""A network asked by torch, as exported forms are asked: what every form of it is compared with."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from data_contracts import Task
from medkd.serving.export_onnx import ServedNetwork
from medkd.serving.runtime_network import RuntimeNetwork
from medkd.trace import frozen


class TorchNetwork(RuntimeNetwork):
    """A network of this process.

    Args:
        network: built by medkd; its mode stays as it is.
        task: what it was trained for.
    """

    def __init__(self, network: nn.Module, task: Task) -> None:
        self._network, self._served = network, ServedNetwork(network)
        self.runtime = f"torch {torch.__version__.split('+')[0]}"
        super().__init__(task, has_map=self._served.has_map)

    def run(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return [logits, class maps] (or [logits]) of images [n, image, *size of the task] in one forward pass."""
        device = next(self._network.parameters()).device
        with frozen(self._network), torch.no_grad():
            found = self._served(torch.from_numpy(images).to(device))
        parts: tuple[Tensor, ...] = found if isinstance(found, tuple) else (found,)
        return [part.float().cpu().numpy() for part in parts]
