"""An ONNX network, answered by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_contracts import Task
from medkd.serving.runtime_network import CLASS_MAP, IMAGE, LOGITS, PICTURES_AT_ONCE, RuntimeNetwork, default_threads

__all__ = ["CLASS_MAP", "IMAGE", "LOGITS", "PICTURES_AT_ONCE", "OnnxNetwork"]


class OnnxNetwork(RuntimeNetwork):
    """A network in its serving form.

    Args:
        model: bytes or file of the ONNX model.
        task: what it was trained for.
        threads: of one forward pass; 0 leaves it to ``OMP_NUM_THREADS``, and without that to ONNX Runtime (all cores).
        maps: whether class maps are asked for, where the model has them; without, what only they need is not computed.
    """

    def __init__(self, model: bytes | Path, task: Task, *, threads: int = 0, maps: bool = True) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or default_threads()
        # Outputs that are computed twice differ by rounding where threads share a sum; this keeps the order.
        options.use_deterministic_compute = True
        options.log_severity_level = 3
        source = model if isinstance(model, bytes) else str(model)
        self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self.runtime = f"onnxruntime {onnxruntime.__version__}"
        known = {output.name for output in self._session.get_outputs()}
        self._outputs = [name for name in (LOGITS, CLASS_MAP)[: 1 + maps] if name in known]
        self._options = onnxruntime.RunOptions()
        # Without it every output is computed, whichever are asked for.
        self._options.only_execute_path_to_fetches = not maps
        super().__init__(task, has_map=CLASS_MAP in self._outputs)

    def run(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return [logits, class maps] (or [logits]) of images [n, channel, *size of the task] in one forward pass."""
        answers: list[NDArray[np.float32]] = self._session.run(self._outputs, {IMAGE: images}, self._options)
        return answers
