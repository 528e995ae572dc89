"""A fetched version opened by a run-time that needs no torch: its own ONNX form, or OpenVINO's."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from data_contracts import CompressionError, Task
from medkd.serving.form import NETWORK
from medkd.serving.network import OnnxNetwork
from medkd.serving.runtime_network import RuntimeNetwork

#: What answers a study: torch, with everything that explains; ONNX Runtime or OpenVINO, with closed-form maps.
Runtime = Literal["torch", "onnx", "openvino"]


def open_runtime(runtime: Runtime, serving: Path, task: Task, *, form: Path | None = None) -> RuntimeNetwork:
    """Return the network of a version; every byte was verified when it was fetched.

    Args:
        runtime: ``onnx`` or ``openvino``.
        serving: folder of the version's serving form.
        task: of the version.
        form: folder of a form that was exported for the run-time, where there is one; without, OpenVINO reads the serving form.

    Raises:
        CompressionError: ``FORM_UNKNOWN`` for a version without a serving form, ``FORM_UNREADABLE``.
        MissingDependencyError: ``OPENVINO_MISSING``.
    """
    path = serving / NETWORK
    if form is None and not path.is_file():
        raise CompressionError(
            "FORM_UNKNOWN", f"expected {NETWORK} in the serving form, there is none; register the version again, or ask by torch"
        )
    if runtime == "onnx":
        return OnnxNetwork(path if form is None else form / NETWORK, task)
    from medkd.serving.openvino_network import TOPOLOGY, OpenVinoNetwork, convert_to_openvino

    return OpenVinoNetwork(convert_to_openvino(path.read_bytes()) if form is None else form / TOPOLOGY, task)
