"""An OpenVINO network: the intermediate representation made of the ONNX form, and how it is answered."""

from __future__ import annotations

import importlib
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import CompressionError, MissingDependencyError, Task
from medkd.serving.runtime_network import CLASS_MAP, IMAGE, LOGITS, RuntimeNetwork, default_threads

#: Files of a form: topology, and weights beside it under the same name.
TOPOLOGY, WEIGHTS = "model.xml", "model.bin"
#: Names that OpenVINO counts up through the whole process, so that the same model would be other bytes each time.
_COUNTED = re.compile(r"[A-Za-z0-9]+_\d+")


@dataclass(frozen=True)
class OpenVinoForm:
    """A network as OpenVINO's intermediate representation.

    Attributes:
        topology: bytes of ``model.xml``.
        weights: bytes of ``model.bin``, float32 unless it was quantised.
    """

    topology: bytes
    weights: bytes


def import_openvino() -> Any:
    """Return OpenVINO, without its telemetry.

    ``import openvino`` alone sends an event over the network; where the package that sends cannot be imported, OpenVINO and NNCF use stubs.

    Raises:
        MissingDependencyError: ``OPENVINO_MISSING``.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # what Python itself writes to refuse an import
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise MissingDependencyError(
            "OPENVINO_MISSING", f"expected OpenVINO, it cannot be imported ({error}); pip install '.[compression]', or choose the ONNX form"
        ) from error


def convert_to_openvino(onnx: bytes) -> OpenVinoForm:
    """Return an ONNX form as OpenVINO's, float32, with its names of input and outputs and its free batch; the same bytes each time.

    Raises:
        MissingDependencyError: ``OPENVINO_MISSING``.
        CompressionError: ``FORM_NOT_EXPORTED`` when OpenVINO does not read it.
    """
    openvino = import_openvino()
    try:
        # The reader that `openvino.convert_model` calls too; that one counts its calls for its makers first.
        model = openvino.Core().read_model(onnx)
    except RuntimeError as error:
        why = " ".join(str(error).split())[-160:]
        raise CompressionError("FORM_NOT_EXPORTED", f"expected an ONNX network that OpenVINO reads, it refuses this one ({why})") from error
    return save_openvino(model)


def save_openvino(model: Any) -> OpenVinoForm:
    """Return an ``openvino.Model`` as the bytes of its form, the same each time it is made; weights keep their precision."""
    openvino = import_openvino()
    for place, operation in enumerate(model.get_ordered_ops()):
        if _COUNTED.fullmatch(operation.get_friendly_name()):
            operation.set_friendly_name(f"{operation.get_type_name()}_{place}")
    with tempfile.TemporaryDirectory(prefix="medkd-openvino-") as folder:
        topology = Path(folder) / TOPOLOGY
        openvino.save_model(model, str(topology), compress_to_fp16=False)
        return OpenVinoForm(topology.read_bytes(), topology.with_name(WEIGHTS).read_bytes())


class OpenVinoNetwork(RuntimeNetwork):
    """A network that OpenVINO answers on the processor.

    Args:
        model: the form, or its ``model.xml`` with ``model.bin`` beside it.
        task: what it was trained for.
        threads: of one forward pass; 0 leaves it to ``OMP_NUM_THREADS``, and without that to OpenVINO (all cores).
        maps: whether class maps are asked for, where the model has them; without, what only they need is not computed.

    Raises:
        MissingDependencyError: ``OPENVINO_MISSING``.
        CompressionError: ``FORM_UNREADABLE`` for files that are no model of OpenVINO.
    """

    def __init__(self, model: OpenVinoForm | Path, task: Task, *, threads: int = 0, maps: bool = True) -> None:
        openvino = import_openvino()
        form = model if isinstance(model, OpenVinoForm) else OpenVinoForm(model.read_bytes(), model.with_suffix(".bin").read_bytes())
        self._core, self._settings, self._shape = openvino.Core(), _settings(threads), [1, task.in_channels, *task.image_size]
        self._requests: dict[bool, Any] = {}
        try:
            self._model = self._core.read_model(form.topology, form.weights)
            names = [] if maps else [CLASS_MAP]
            for unwanted in [one for one in self._model.get_results() if one.input_value(0).get_names() & set(names)]:
                self._model.remove_result(unwanted)
            self._request(alone=True)
        except RuntimeError as error:
            why = " ".join(str(error).split())[-160:]
            raise CompressionError("FORM_UNREADABLE", f"expected a model of OpenVINO, it cannot be compiled ({why})") from error
        known = {name for output in self._model.outputs for name in output.get_names()}
        self._outputs = [name for name in (LOGITS, CLASS_MAP) if name in known]
        self.runtime = f"openvino {openvino.get_version().split('-')[0]}"
        super().__init__(task, has_map=CLASS_MAP in self._outputs)

    def run(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return [logits, class maps] (or [logits]) of images [n, channel, *size of the task] in one forward pass."""
        request = self._request(alone=len(images) == 1)
        request.infer({IMAGE: images}, share_inputs=True)
        # Copies: the next forward pass writes to the same memory.
        return [np.array(request.get_tensor(name).data, dtype=np.float32) for name in self._outputs]

    def _request(self, *, alone: bool) -> Any:
        """Return what answers one image, or any number of them: shapes that are known when a network is compiled save a tenth of its time."""
        if alone not in self._requests:
            model = self._model.clone()
            if alone:
                model.reshape(self._shape)
            self._requests[alone] = self._core.compile_model(model, "CPU", self._settings).create_infer_request()
        return self._requests[alone]


def _settings(threads: int) -> dict[str, Any]:
    chosen = threads or default_threads()
    return {
        # Processors that compute bfloat16 would do so unasked, and the answers would differ by 1e-2.
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        # Pinned threads of two processes on one machine would wait for the same cores.
        "ENABLE_CPU_PINNING": False,
        **({"INFERENCE_NUM_THREADS": chosen} if chosen else {}),
    }
